"""A task small enough to be trained in milliseconds, and recipes for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.tensors import write_tensors
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.tasks.untold import Untold


class LineTask(Untold):
    """Learns y = 3 x - 1 from noisy samples; one matrix for Muon, the rest for AdamW."""

    def __init__(self, bad_from: int | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))
        self.bad_from = bad_from
        self.seen: list[int] = []

    def batch(self, portion: Portion) -> Tensor:
        """Sample i is always the same. From `bad_from` on they are not numbers."""
        self.seen.append(portion.samples.start)
        rows = [torch.randn(4, generator=torch.Generator().manual_seed(number)) for number in portion.samples]
        bad = self.bad_from is not None and portion.samples.start >= self.bad_from
        return torch.stack(rows) * (torch.nan if bad else 1.0)

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        noise = 0.1 * torch.stack([torch.randn(4, generator=generator) for generator in draws])
        return (self.model(batch) - (3 * batch - 1 + noise)).square().mean()

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        write_tensors(folder / "line.safetensors", weights, torch.float32)


@pytest.fixture
def line_recipe(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe of two stages, 12 steps in all, with any top-level value replaced."""

    def make(**changes: Any) -> Recipe:
        values: dict[str, Any] = {
            "task": "edit",
            "log_every": 3,
            "save_every": 4,
            "data": {"photos": [tmp_path], "cutouts": [tmp_path], "heldout": tmp_path / "none.toml", "workers": 0},
            "model": {"autoencoder": tmp_path, "mllm": tmp_path},
            "optim": {"lr": 1e-2, "muon_lr": 1e-2, "warmup": 2, "decay": 4, "ema": 0.9},
            "stages": [{"until": 5, "size": 32, "batch": 4}, {"until": 12, "size": 32, "batch": 2}],
        }
        return Recipe.model_validate(values | changes)

    return make


@pytest.fixture
def line_task() -> Callable[..., LineTask]:
    """The task, anew."""
    return LineTask
