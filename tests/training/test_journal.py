"""What a run says of itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import step1x_edit
from step1x_edit.errors import UsageError
from step1x_edit.training.journal import PACKAGE, Journal, Pace, code_version, line
from step1x_edit.training.recipe import Recipe

CPU = torch.device("cpu")


def test_numbers_logged_after_the_last_state_are_taken_back(tmp_path: Path, line_recipe: Callable[..., Recipe]) -> None:
    journal = Journal(tmp_path, line_recipe(), CPU, 1)
    for step in (1, 2, 3, 4):
        journal.log(step, {"loss": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # killed in the middle of a line
    journal.resume(2)
    journal.log(3, {"loss": 33.0})
    rows = [json.loads(row) for row in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 1.0), (2, 2.0), (3, 33.0)]


def test_tensorboard_takes_them_back_too(tmp_path: Path, line_recipe: Callable[..., Recipe]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for begin, factor in ((0, 1.0), (2, 11.0)):
        journal = Journal(tmp_path, line_recipe(logging={"tensorboard": True}), CPU, 1)
        journal.resume(begin)
        for step in range(begin + 1, begin + 4):
            journal.log(step, {"loss": factor * step})
        journal.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [(1, 1.0), (2, 2.0), (3, 33.0), (4, 44.0), (5, 55.0)]


def test_a_run_says_what_it_was_made_with(tmp_path: Path, line_recipe: Callable[..., Recipe]) -> None:
    Journal(tmp_path, line_recipe(seed=5), CPU, 2)
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["seed"] == 5 and about["processes"] == 2 and about["device"] == "cpu"
    assert about["torch"] == torch.__version__ and {"step1x_edit", "commit"} <= about.keys()


def test_the_commit_is_that_of_the_code(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        return subprocess.run(["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True).stdout.strip()

    package, installed = tmp_path / "src" / "package", tmp_path / ".venv" / "package"
    for folder in (package / "model", installed):
        folder.mkdir(parents=True)
    for file in (package / "__init__.py", package / "model" / "dit.py", installed / "__init__.py"):
        file.write_text("")
    git("init", "-q")
    git("add", "src")
    git("commit", "-q", "-m", "First")
    commit = git("rev-parse", "HEAD")
    assert code_version(package)["commit"] == commit
    (package / "model" / "dit.py").write_text("# changed")
    assert code_version(package)["commit"] == f"{commit}-changed"
    assert code_version(installed)["commit"] is None  # the checkout is another one's
    assert Path(step1x_edit.__file__).parent == PACKAGE


def test_a_run_that_goes_on_with_another_recipe_says_so_and_keeps_both(
    tmp_path: Path, line_recipe: Callable[..., Recipe], capsys: pytest.CaptureFixture[str]
) -> None:
    first = line_recipe()
    Journal(tmp_path, first, CPU, 1).resume(0)
    Journal(tmp_path, first, CPU, 1).resume(4)
    assert capsys.readouterr().err == "" and not (tmp_path / "recipe-00000004.json").exists()
    stages = [{"until": 5, "size": 32, "batch": 4}, {"until": 30, "size": 32, "batch": 2}]
    second = line_recipe(seed=3, optim={**first.optim.model_dump(), "lr": 1e-3}, stages=stages)
    Journal(tmp_path, second, CPU, 1).resume(4)
    said = capsys.readouterr().err
    for words in ("Until step 4", "seed was 0 and is 3", "optim.lr was 0.01 and is 0.001", "stages.1.until was 12 and is 30"):
        assert words in said
    Journal(tmp_path, line_recipe(seed=9), CPU, 1).resume(4)  # the second made no step
    assert "seed was 0 and is 9" in capsys.readouterr().err
    kept, now = (json.loads((tmp_path / name).read_text()) for name in ("recipe-00000004.json", "recipe.json"))
    assert (kept["seed"], kept["stages"][1]["until"], now["seed"]) == (0, 12, 9)


def test_the_seconds_of_a_run_that_goes_on_are_all_it_took(tmp_path: Path, line_recipe: Callable[..., Recipe]) -> None:
    first = Journal(tmp_path, line_recipe(), CPU, 1)
    assert first.resume(0) == 0
    for step, seconds in ((2, 10.5), (4, 20.25), (6, 30.0)):
        first.log(step, {"loss": 0.5, "seconds": seconds})
    first.log(6, {"evaluation/inside_psnr": 20.0})
    pace = Pace(line_recipe(), peak=None)
    pace.before = Journal(tmp_path, line_recipe(), CPU, 1).resume(4)
    assert 20.25 <= pace.read(left=1)["seconds"] < 30


def test_pace_and_what_is_left(line_recipe: Callable[..., Recipe]) -> None:
    pace = Pace(line_recipe(), peak=1e9)
    pace.add(samples=10, flops=1e6)
    numbers = pace.read(left=100)
    assert numbers["seconds_left"] == pytest.approx(100 / numbers["samples_per_second"])
    assert numbers["mfu"] == pytest.approx(1e6 / 10 * numbers["samples_per_second"] / 1e9)
    said = line(3, line_recipe(), {"loss": 0.5, **numbers})
    assert said.startswith("step 3/12  loss 0.5000") and "MFU" in said and said.endswith("left")
    assert "mfu" not in Pace(line_recipe(), peak=None).read(left=1)


def test_a_board_that_is_not_installed_is_said(tmp_path: Path, line_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(UsageError, match="pip install wandb"):
        Journal(tmp_path, line_recipe(logging={"wandb": "edits"}), CPU, 1)
