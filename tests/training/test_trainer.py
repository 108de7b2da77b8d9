"""A run learns, can be stopped at any step and go on as if nothing had happened, and never leaves half a state."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.locking import hold
from step1x_edit.model.tensors import TensorFiles
from step1x_edit.training import trainer
from step1x_edit.training.portions import Portion, first_sample
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.trainer import Task, train

CPU = torch.device("cpu")
Make = Callable[..., Any]
MakeRecipe = Callable[..., Recipe]


def read_rows(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def read_weights(out: Path) -> dict[str, Tensor]:
    return dict(TensorFiles(out / "line.safetensors"))


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_learns_and_says_so(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    recipe = line_recipe(stages=[{"until": 300, "size": 32, "batch": 16}], log_every=10, save_every=100)
    assert train(line_task(), recipe, tmp_path / "run", CPU) == 300
    rows = read_rows(tmp_path / "run")
    assert [row["step"] for row in rows] == list(range(10, 301, 10))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert Recipe.model_validate_json((tmp_path / "run/recipe.json").read_text()) == recipe


def test_samples_are_counted_over_stages(line_recipe: MakeRecipe) -> None:
    recipe = line_recipe()
    counted = [first_sample(recipe, step) for step in range(13)]
    assert counted == [4 * step for step in range(6)] + [20 + 2 * step for step in range(1, 8)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, workers: int) -> None:
    data = line_recipe().data.model_copy(update={"workers": workers}).model_dump()
    recipe = line_recipe(data=data)
    train(line_task(), recipe, tmp_path / "whole", CPU)
    for stop in (3, 7, 12):  # within a stage, in the next one, at the end; each time in a new task, as in a new process
        assert train(_StopAfter(line_task(), recipe, stop), recipe, tmp_path / "parts", CPU) == stop
    assert same(read_weights(tmp_path / "whole"), read_weights(tmp_path / "parts"))


class _StopAfter(Task):
    """The task, during whose step number `step` (from 1, in all of the run) the process is asked to stop."""

    def __init__(self, task: Any, recipe: Recipe, step: int) -> None:
        self.task, self.model, self.last = task, task.model, first_sample(recipe, step - 1)

    def batch(self, portion: Portion) -> Tensor:
        return self.task.batch(portion)

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        if draws[0].initial_seed() == self.last:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.task.loss(batch, draws)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        self.task.save(folder, weights)


def test_a_killed_run_goes_on_from_its_last_saved_step(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    recipe = line_recipe()
    train(line_task(), recipe, tmp_path / "whole", CPU)
    with pytest.raises(RuntimeError, match="power cut"):
        train(_Cut(line_task(), recipe, 7), recipe, tmp_path / "cut", CPU)
    task = line_task()
    train(task, recipe, tmp_path / "cut", CPU)
    assert task.seen[0] == 16  # step 4, the last that was saved
    assert same(read_weights(tmp_path / "whole"), read_weights(tmp_path / "cut"))


class _Cut(_StopAfter):
    """The task, in which the power is cut in a step."""

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        if draws[0].initial_seed() == self.last:
            raise RuntimeError("power cut")
        return self.task.loss(batch, draws)


def test_signals_work_as_before_after_a_run(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    before = signal.getsignal(signal.SIGINT)
    train(line_task(), line_recipe(), tmp_path / "run", CPU)
    assert signal.getsignal(signal.SIGINT) is before


def test_who_asks_twice_to_stop_does_not_lose_the_state_that_is_being_written(
    tmp_path: Path, line_task: Make, line_recipe: MakeRecipe
) -> None:
    early: list[bool] = []  # whether a signal ended the patience before the state had its name
    before = signal.signal(signal.SIGINT, lambda *_: early.append(not (tmp_path / "run/state/step-00000003").is_dir()))
    ended = threading.Event()
    task = _Impatient(line_task(), line_recipe(), 3, ended)
    try:
        assert train(task, line_recipe(), tmp_path / "run", CPU) == 3
    finally:
        ended.set()
        task.asking.join()
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "run/state/step-00000003").is_dir() and not any(early)


class _Impatient(_StopAfter):
    """The task, which is stopped in a step, and asked to stop again and again from when its state is being written."""

    def __init__(self, task: Any, recipe: Recipe, step: int, ended: threading.Event) -> None:
        super().__init__(task, recipe, step)
        self.ended = ended
        self.asking = threading.Thread(target=self._ask)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        super().save(folder, weights)
        self.asking.start()

    def _ask(self) -> None:
        while not self.ended.is_set():
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_whose_output_nobody_reads_any_more_ends_with_its_state_saved(
    tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(line_task(), line_recipe(), tmp_path / "whole", CPU)
    reader, writer = os.pipe()
    os.close(reader)
    output = io.TextIOWrapper(io.FileIO(writer, "w"), write_through=True)
    with monkeypatch.context() as patched, pytest.raises(BrokenPipeError):
        patched.setattr(sys, "stdout", output)
        train(line_task(), line_recipe(), tmp_path / "run", CPU)
    output.close()
    assert [path.name for path in (tmp_path / "run/state").iterdir()] == ["step-00000003"]  # the first one that is spoken of
    train(line_task(), line_recipe(), tmp_path / "run", CPU)
    assert same(read_weights(tmp_path / "whole"), read_weights(tmp_path / "run"))


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_state(
    tmp_path: Path, line_task: Make, line_recipe: MakeRecipe
) -> None:
    with pytest.raises(Step1XError, match="step 5 is not a finite number"):
        train(line_task(bad_from=20), line_recipe(), tmp_path / "run", CPU)
    assert all(torch.isfinite(value).all() for value in read_weights(tmp_path / "run").values())
    task = line_task()
    assert train(task, line_recipe(), tmp_path / "run", CPU) == 12
    assert task.seen[0] == 16


@pytest.mark.parametrize("workers", [0, 1])
def test_a_triplet_that_cannot_be_read_is_one_sentence(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, workers: int) -> None:
    recipe = line_recipe(data=line_recipe().data.model_copy(update={"workers": workers}).model_dump())
    with pytest.raises(UsageError, match=r"^The picture is gone\.$"):
        train(_Unread(line_task(), recipe, 7), recipe, tmp_path / "run", CPU)


class _Unread(_StopAfter):
    """The task, in which a triplet cannot be read for a step."""

    def batch(self, portion: Portion) -> Tensor:
        if portion.samples.start == self.last:
            raise UsageError("The picture is gone.")
        return self.task.batch(portion)


def test_a_failure_that_nobody_expects_ends_the_process_too(tmp_path: Path) -> None:
    """With processes that make the batches, which no signal ends."""
    done = run_alone(tmp_path, "    def loss(self, batch, draws):\n        raise RuntimeError('an illegal memory access')")
    assert done.returncode == 1 and "an illegal memory access" in done.stderr


def test_steps_of_many_pieces_need_few_open_files(tmp_path: Path) -> None:
    done = run_alone(tmp_path, "    pass\nimport resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))", batch=64, micro_batch=1)
    assert done.returncode == 0, done.stderr


def test_a_killed_process_that_makes_the_batches_is_one_sentence(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    recipe = line_recipe(data=line_recipe().data.model_copy(update={"workers": 1}).model_dump())
    with pytest.raises(Step1XError, match="was killed, perhaps for want of memory"):
        train(_Killed(line_task(), recipe, 7), recipe, tmp_path / "run", CPU)
    task = line_task()
    assert train(task, line_recipe(), tmp_path / "run", CPU) == 12


class _Killed(_StopAfter):
    """The task, in which the process that makes a step's batch is killed."""

    def batch(self, portion: Portion) -> Tensor:
        if portion.samples.start == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.task.batch(portion)


def run_alone(folder: Path, body: str, **stage: int) -> subprocess.CompletedProcess[str]:
    """Train a task of its own, whose class has `body`, in a process of its own, with another that makes the batches."""
    code = f"""
import sys, torch
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import LineTask
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.trainer import train
class Own(LineTask):
{body}
here = Path({str(folder)!r})
values = {{"task": "edit", "data": {{"photos": [here], "cutouts": [here], "heldout": here / "none.toml", "workers": 1}},
    "model": {{"autoencoder": here, "mllm": here}}, "optim": {{"lr": 1e-2}},
    "stages": [{{"until": 50, "size": 32, "batch": 2}} | {stage!r}]}}
train(Own(), Recipe.model_validate(values), here / "run", torch.device("cpu"))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def test_too_little_memory_is_one_sentence(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    with pytest.raises(Step1XError, match=r"not enough for step 6; give the stages a smaller micro_batch"):
        train(_Full(line_task(), line_recipe(), 7), line_recipe(), tmp_path / "run", CPU)


class _Full(_StopAfter):
    """The task, for a step of which the device's memory is not enough."""

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        if draws[0].initial_seed() == self.last:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.task.loss(batch, draws)


def test_an_evaluation_that_fails_does_not_end_the_run(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    def fail() -> None:
        raise FloatingPointError("the latent is not finite after sampling")

    task = line_task()
    task.evaluate = fail
    assert train(task, line_recipe(evaluation={"every": 5}), tmp_path / "run", CPU) == 12
    assert [row["step"] for row in read_rows(tmp_path / "run") if row.get("evaluation/failed")] == [5, 10]


def test_a_time_limit_stops_early_and_keeps_what_was_done(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    assert train(line_task(), line_recipe(), tmp_path / "run", CPU, seconds=0) == 0
    assert train(line_task(), line_recipe(), tmp_path / "run", CPU, seconds=600) == 12


@pytest.mark.parametrize("damage", ["truncated", "empty", "of another model"])
def test_a_state_that_cannot_be_taken_up_is_one_sentence(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, damage: str) -> None:
    out = tmp_path / "run"
    train(line_task(), line_recipe(), out, CPU)
    (state,), task = (out / "state").glob("step-*/*.safetensors"), line_task()
    if damage == "of another model":
        task.model = torch.nn.Linear(3, 3)
    else:
        state.write_bytes(state.read_bytes()[: 1000 if damage == "truncated" else 0])
    with pytest.raises(WeightsError, match="state") as caught:
        train(task, line_recipe(), out, CPU)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_no_half_state(full_disk: Path, line_task: Make, line_recipe: MakeRecipe) -> None:
    out = full_disk / "run"
    train(line_task(), line_recipe(), out, CPU, seconds=0)
    (state,) = (out / "state").glob("step-*/*.safetensors")
    before = state.read_bytes()
    (full_disk / "filler").write_bytes(bytes(4096 * os.statvfs(full_disk).f_bavail))
    with pytest.raises(Step1XError, match="could not be written"):
        train(line_task(), line_recipe(), out, CPU)
    assert state.read_bytes() == before
    assert not list(out.rglob("*.partial"))


@pytest.mark.parametrize(("name", "said"), [("recipe.json", "of something else than a training"), ("set.json", "a set of triplets")])
def test_a_run_does_not_take_the_place_of_a_set(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, name: str, said: str) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_text('{"recipe": {}, "versions": {}}')
    with pytest.raises(UsageError, match=said):
        train(line_task(), line_recipe(), tmp_path / "set", CPU)
    assert [path.name for path in (tmp_path / "set").iterdir()] == [name]


def test_two_runs_do_not_share_a_folder(tmp_path: Path, line_task: Make, line_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "PATIENCE", 0.1)
    with hold(tmp_path / "run" / ".lock", ""), pytest.raises(UsageError, match="Another run is at work"):
        train(line_task(), line_recipe(), tmp_path / "run", CPU)
    assert not (tmp_path / "run" / "recipe.json").exists()
