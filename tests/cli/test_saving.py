"""The options of `step1x edit` that save memory or time, and of its other newer ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from step1x_edit.cli.main import run
from step1x_edit.editor import Editor
from step1x_edit.memory import GIB
from step1x_edit.types import EditResult

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_memory_and_speed_options(step1x: Run, photo: Path, random_mini: Path) -> None:
    options = ["--weights-dtype", "int8", "--offload", "blocks", "--strips", "--split", "--cache", "first-block:0.1", "--guided", "0.3,1"]
    done = step1x("edit", photo, "make it night", "--weights", random_mini, "--steps", "2", "--guidance", "2", *options)
    assert (done.returncode, done.stdout) == (0, f"{photo.with_name('photo-edited.png')}\n"), done.stderr
    assert done.stderr.count("\n") == 1


def test_memory_may_be_planned_for(step1x: Run, photo: Path, random_mini: Path) -> None:
    done = step1x("edit", photo, "make it night", "--weights", random_mini, "--vram", "2", "--steps", "1")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("gib", "main", "says"),
    [(4.0, 64.0, ""), (0.06, 64.0, "--offload parts"), (0.03, 64.0, "--offload blocks"), (0.03, 0.01, "no room")],
)
def test_a_gpu_that_is_too_small_is_found_out_before_it_is_full(
    photo: Path, random_mini: Path, gib: float, main: float, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked for, and nothing that rounds is taken."""
    monkeypatch.setattr("step1x_edit.devices.device_memory", lambda device: gib * GIB)
    monkeypatch.setattr("step1x_edit.devices.main_memory", lambda: main * GIB)
    command = ["edit", str(photo), "make it night", "--weights", str(random_mini), "--device", "cpu", "--dtype", "float32"]
    assert run(command) == (2 if "no room" in says else 0)
    said = capsys.readouterr().err
    assert says in said and ("free on cpu" in said) == bool(says) and ("--weights-dtype full" in said) == ("offload" in says)


@pytest.mark.parametrize(("gib", "says"), [((4.0, 4.0), ""), ((4.0, 0.06), "--offload parts"), ((0.03, 4.0), "no room")])
def test_of_several_gpus_the_smallest_counts_and_no_blocks_wait(
    photo: Path, random_mini: Path, gib: tuple[float, float], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = iter(gib)
    monkeypatch.setattr("step1x_edit.devices.device_memory", lambda device: next(sizes) * GIB)
    monkeypatch.setattr("step1x_edit.devices.main_memory", lambda: 64 * GIB)
    command = ["edit", str(photo), "make it night", "--weights", str(random_mini), "--device", "cpu,cpu", "--dtype", "float32"]
    assert run(command) == (2 if "no room" in says else 0)
    said = capsys.readouterr().err
    assert says in said and ("free on cpu" in said) == bool(says)


def test_a_name_that_another_takes_meanwhile_loses_no_result(
    photo: Path, random_mini: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken, edit = photo.with_name("photo-edited.png"), Editor.edit_seeds

    def edit_beside_another(*arguments: Any) -> Iterator[EditResult]:
        taken.write_bytes(b"another's")
        return edit(*arguments)

    monkeypatch.setattr(Editor, "edit_seeds", edit_beside_another)
    assert run(["edit", str(photo), "make it night", "--weights", str(random_mini)]) == 0
    assert capsys.readouterr().out == f"{photo.with_name('photo-edited-2.png')}\n"
    assert taken.read_bytes() == b"another's"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--vram", "2", "--split"], "--vram chooses the settings itself"),
        (["--weights-dtype", "int2"], "choose one of full, float8, int8, int4"),
        (["--offload", "moon"], "choose one of none, parts, blocks"),
        (["--cache", "tea"], "give first-block:0.1"),
        (["--guided", "1,0"], "Guidance must act between two times"),
        (["--box", "1,2,3"], "four whole numbers"),
        (["--box", "900,900,5,5"], "lies outside the picture"),
        (["--lora", "none.safetensors:x"], "The weight of the adapter must be a number"),
        (["--strict-size", "maybe"], "--strict-size is on or off"),
        (["--lora", "none.safetensors:nan"], "The weight of the adapter must be a number"),
        (["--text-to-image", "a fox"], "--text-to-image takes no picture"),
        (["--shape", "10x10"], "--shape is for --text-to-image"),
        (["--images", "."], "--images is for a batch file"),
        (["--thinker-model", "judge"], "give its address with --thinker"),
        (["--model", "v1.1"], "holds mini, not v1.1; choose --model mini"),
    ],
)
def test_options_that_cannot_be(
    photo: Path, random_mini: Path, options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["edit", str(photo), "make it night", "--weights", str(random_mini), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_box_bounds_the_edit(step1x: Run, photo: Path, random_mini: Path) -> None:
    done = step1x("edit", photo, "make it night", "--weights", random_mini, "--box", "50,40,100,60", "--steps", "1")
    assert done.returncode == 0, done.stderr
    before, after = (np.asarray(Image.open(path)).astype(int) for path in (photo, photo.with_name("photo-edited.png")))
    changed = (before != after).any(2)
    assert changed[40:100, 50:150].any()
    changed[40:100, 50:150] = False
    assert not changed.any()
