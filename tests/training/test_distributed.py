"""Two processes do, step for step, what one does, weights shared out or whole on each; either takes up what the other began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from step1x_edit.model.tensors import read_tensors, write_json
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.tasks import build_task
from step1x_edit.training.trainer import train

CPU = torch.device("cpu")

PROGRAM = """
import sys
from pathlib import Path
import torch
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.tasks import build_task
from step1x_edit.training.trainer import train

torch.set_num_threads(1)
out = Path(sys.argv[1])
recipe = Recipe.model_validate_json((out / "asked.json").read_text())
train(build_task(recipe, torch.device("cpu"), out), recipe, out, torch.device("cpu"), torchrun=True)
"""


def on_two(out: Path, recipe: Recipe) -> None:
    """Train with two processes that torchrun starts."""
    write_json(out / "asked.json", recipe.model_dump(mode="json"))
    program = out / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def numbers(out: Path, name: str) -> list[float]:
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row[name] for row in rows if name in row]


def steps(count: int) -> list[dict[str, int]]:
    return [{"until": count, "size": 64, "batch": 4}]


@pytest.mark.parametrize("shard", ["always", "never"])
def test_two_processes_agree_with_one_which_then_goes_on_alone(tmp_path: Path, edit_recipe: Callable[..., Recipe], shard: str) -> None:
    slow = {"lr": 3e-4, "muon_lr": 3e-4, "warmup": 0, "ema": 0.9}  # so that the rounding of one step does not grow much in the next
    recipe = edit_recipe(stages=steps(4), activation_checkpointing=True, optim=slow, shard=shard)
    assert train(build_task(recipe, CPU, tmp_path), recipe, tmp_path / "one", CPU) == 4
    watched = {"every": 2, "count": 1, "heldout": False}  # which changes nothing
    begun = edit_recipe(stages=steps(3), activation_checkpointing=True, optim=slow, shard=shard, evaluation=watched)
    on_two(tmp_path / "two", begun)
    if shard == "always":
        assert len(list((tmp_path / "two/state/step-00000003").iterdir())) == 2
    assert train(build_task(recipe, CPU, tmp_path), recipe, tmp_path / "two", CPU) == 4
    for name in ("loss", "gradient_norm"):
        assert numbers(tmp_path / "two", name) == pytest.approx(numbers(tmp_path / "one", name), abs=1e-5)
    one, two = (read_tensors(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-2, rtol=1e-2) for name in one)  # written in bfloat16


def test_adapters_on_two_processes_agree_with_one(tmp_path: Path, edit_recipe: Callable[..., Recipe]) -> None:
    recipe = edit_recipe(stages=steps(3), adapter={"rank": 4}, optim={"lr": 1e-2, "warmup": 0, "ema": 0.9})
    assert train(build_task(recipe, CPU, tmp_path), recipe, tmp_path / "one", CPU) == 3
    on_two(tmp_path / "two", recipe)
    for name in ("loss", "gradient_norm"):
        assert numbers(tmp_path / "two", name) == pytest.approx(numbers(tmp_path / "one", name), abs=1e-5)
