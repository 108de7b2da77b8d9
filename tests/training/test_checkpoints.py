"""States: written while training goes on, killed at any moment, and never half there."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.model.tensors import TensorFiles
from step1x_edit.training.checkpoints import Checkpoints
from step1x_edit.training.optim import Average, build_optimizers
from step1x_edit.training.processes import Processes, joined
from step1x_edit.training.recipe import Optim, Recipe
from step1x_edit.training.trainer import train

CPU = torch.device("cpu")


def build(out: Path, processes: Processes, size: int = 1000) -> tuple[nn.Module, Checkpoints]:
    model = nn.Linear(size, size)
    optimizers = build_optimizers(model, Optim(lr=1e-3, muon_lr=1e-3))
    return model, Checkpoints(out, model, Average(model, 0.9), optimizers, processes)


def test_the_weights_of_the_moment_are_written_though_training_goes_on(tmp_path: Path) -> None:
    with joined(CPU) as processes:
        model, checkpoints = build(tmp_path, processes)
        then = model.weight.detach().clone()
        checkpoints.save(7)
        with torch.no_grad():
            model.weight.fill_(5.0)
        checkpoints.finish()
        with torch.no_grad():
            model.weight.fill_(6.0)
        assert checkpoints.load() == 7
        assert torch.equal(model.weight.detach(), then)


def test_weights_that_are_no_numbers_are_never_saved(tmp_path: Path) -> None:
    with joined(CPU) as processes:
        model, checkpoints = build(tmp_path, processes, size=4)
        checkpoints.save(1)
        with torch.no_grad():
            model.weight[2, 1] = torch.inf
        with pytest.raises(Step1XError, match="after step 2 are not finite"):
            checkpoints.save(2)
        assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-00000001"]


def test_the_state_of_an_earlier_version_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"old")
    with joined(CPU) as processes, pytest.raises(WeightsError, match=r"model\.start"):
        build(tmp_path, processes, size=4)[1].load()


@pytest.mark.parametrize(("changed", "named"), [({"ema": 0.0}, "this optim.ema;"), ({"muon_lr": None}, "this optim.muon_lr;")])
def test_a_state_that_another_optimiser_left_is_refused_by_the_key_that_is_another(
    tmp_path: Path, line_task: Callable[..., Any], line_recipe: Callable[..., Recipe], changed: dict[str, Any], named: str
) -> None:
    recipe = line_recipe()
    train(line_task(), recipe, tmp_path, CPU, seconds=0)
    other = line_recipe(optim={**recipe.optim.model_dump(), **changed})
    with pytest.raises(WeightsError, match=named):
        train(line_task(), other, tmp_path, CPU)


def test_a_run_killed_at_random_moments_ends_as_the_unbroken_one(
    tmp_path: Path, line_task: Callable[..., Any], line_recipe: Callable[..., Recipe]
) -> None:
    recipe = line_recipe(log_every=1, save_every=3, stages=[{"until": 120, "size": 32, "batch": 4}])
    train(line_task(), recipe, tmp_path / "whole", CPU)
    rng, log = random.Random(0), tmp_path / "killed/metrics.jsonl"
    for _ in range(10):
        wanted = count_rows(log) + rng.randint(1, 9)
        child = os.fork()
        if child == 0:
            torch.set_num_threads(1)
            train(_Slow(line_task()), recipe, tmp_path / "killed", CPU)
            os._exit(0)
        while count_rows(log) < wanted:
            time.sleep(0.001)
        time.sleep(0.01 * rng.random())  # any moment of a step, or of a state that is being written
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
    steps = [int(path.name.removeprefix("step-")) for path in (tmp_path / "killed/state").glob("step-*[0-9]")]
    assert steps and 0 < max(steps) < 120  # killed on the way, and taken up from there
    train(line_task(), recipe, tmp_path / "killed", CPU)
    whole, killed = (dict(TensorFiles(next((tmp_path / name).glob("state/step-00000120/*")))) for name in ("whole", "killed"))
    assert whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)
    assert count_rows(tmp_path / "whole/metrics.jsonl") == count_rows(log) == 120  # what was logged after the last state was taken back


def count_rows(log: Path) -> int:
    return log.read_text().count("\n") if log.exists() else 0


class _Slow:
    """The task, with some time in every step for the process to be killed in."""

    def __init__(self, task: Any) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        time.sleep(0.01)
        return self.task.loss(batch, draws)
