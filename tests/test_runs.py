"""What the scripts in runs/ make, and what the one in examples/ that draws the pictures of the README refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import torch

from step1x_edit import Editor
from step1x_edit.model.tensors import read_tensors
from step1x_edit.model.weights import MODEL_FILE

RUNS = Path(__file__).parents[1] / "runs"


def test_the_folders_given_to_the_whole_training_are_those_of_where_it_is_called(tmp_path: Path) -> None:
    clone, here = tmp_path / "clone", tmp_path / "here"
    shown = clone / ".venv" / "bin" / "step1x"
    for folder in (shown.parent, clone / "runs", here / "photos", here / "cutouts"):
        folder.mkdir(parents=True)
    shutil.copy(RUNS / "mini.sh", clone / "runs")
    shown.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 1\n')
    shown.chmod(0o755)
    script = Path("..", "clone", "runs", "mini.sh")
    done = subprocess.run(["bash", script, "photos", "cutouts", "new/out"], cwd=here, capture_output=True, text=True)
    given = done.stdout.splitlines()
    assert f'data.photos=["{here / "photos"}"]' in given
    assert f'data.cutouts=["{here / "cutouts"}"]' in given
    assert given[given.index("--out") + 1] == str(here / "new" / "out" / "mini_autoencoder")
    asked = subprocess.run(["bash", script], cwd=here, capture_output=True, text=True)
    assert (asked.returncode, asked.stderr) == (2, "")
    assert "runs/mini.sh PHOTOS CUTOUTS [OUT]" in asked.stdout


def test_the_mean_of_two_models_is_a_whole_model(tmp_path: Path, random_mini: Path, still_mini: Path) -> None:
    out = tmp_path / "new" / "mean"
    done = subprocess.run([sys.executable, RUNS / "mean.py", random_mini, still_mini, "--out", out], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    first, second, mean = (read_tensors(folder / MODEL_FILE) for folder in (random_mini, still_mini, out))
    for name, value in mean.items():
        torch.testing.assert_close(value.float(), (first[name].float() + second[name].float()) / 2, rtol=1e-2, atol=1e-3)
    assert Editor.open("mini", "cpu", folder=out).preset.squares


def test_the_gallery_refuses_the_name_of_no_picture(tmp_path: Path) -> None:
    command = [sys.executable, RUNS.parent / "examples" / "gallery.py", "--only", "nights", "--out", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "invalid choice: 'nights'" in done.stderr
