"""A task small enough to be trained in milliseconds, and recipes for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.tensors import write_tensors
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.trainer import Task
from step1x_edit.types import EditCategory


class LineTask(Task):
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


ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored_set(tmp_path: Path) -> Path:
    """Six triplets in two shards, of different proportions, with `set.json` beside them."""
    from step1x_edit.data.shards import SHARDS, Record, finish_tar, pack, to_tar
    from step1x_edit.data.triplet import Triplet

    rng = np.random.default_rng(0)
    folder = tmp_path / "set"
    (folder / SHARDS).mkdir(parents=True)
    for shard in range(2):
        stretches = []
        for number in range(3):
            width, height = [(96, 96), (96, 64), (64, 96)][number]
            source = np.repeat(np.repeat(rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8), 16, 0), 16, 1)
            region = np.zeros((height, width), np.bool_)
            region[: height // 2] = True
            target = np.where(region[..., None], 255 - source, source)
            texts = (f"invert the upper half {number}", f"上半部分反色{number}" if number else "", "blocks", "blocks", "invert")
            category = EditCategory.COLOR_ALTERATION
            triplet = Triplet(source, target, region, category, *texts)
            record = Record(f"s{shard}n{number}", category.value, *texts)
            stretches.append(to_tar(record.id, pack(triplet, record, "png")))
        data = b"".join(stretches)
        (folder / SHARDS / f"triplets-{shard:05d}.tar").write_bytes(data + finish_tar(len(data)))
    shards = [{"file": path.name, "triplets": 3, "bytes": path.stat().st_size} for path in sorted((folder / SHARDS).iterdir())]
    (folder / "set.json").write_text(json.dumps({"count": 6, "shards": shards}))
    return folder


@pytest.fixture
def edit_recipe(random_mini: Path, stored_set: Path) -> Callable[..., Recipe]:
    """The embedded model with random weights on the stored set, four steps, with any settings laid over."""

    def make(**changes: Any) -> Recipe:
        values: dict[str, Any] = {
            "task": "edit",
            "precision": "float32",
            "log_every": 1,
            "save_every": 100,
            "data": {"shards": [stored_set], "workers": 0},
            "model": {"autoencoder": random_mini, "mllm": random_mini, "start": random_mini},
            "optim": {"lr": 1e-3, "muon_lr": 1e-3, "warmup": 0, "ema": 0.9},
            "timesteps": {"low": 0.5},
            "stages": [{"until": 4, "size": 64, "batch": 2}],
        }
        return Recipe.model_validate(values | changes)

    return make
