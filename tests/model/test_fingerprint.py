"""Twelve characters tell weights apart, wherever they lie and however they are cut into files' blocks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from step1x_edit.errors import WeightsError
from step1x_edit.model import fingerprint as module
from step1x_edit.model.fingerprint import fingerprint
from step1x_edit.model.presets import PRESETS

MINI = PRESETS["mini"]


def change(file: Path, position: int) -> None:
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_a_copy_has_the_same_and_every_part_counts(tmp_path: Path, random_mini: Path) -> None:
    found = fingerprint(random_mini, MINI)
    assert len(found) == 12 and set(found) <= set("0123456789abcdef")
    for part in ("model.safetensors", "autoencoder.safetensors", "mllm/model.safetensors"):
        copy = tmp_path / part.replace("/", "-")
        shutil.copytree(random_mini, copy)
        assert fingerprint(copy, MINI) == found
        change(copy / part, -1)
        assert fingerprint(copy, MINI) != found


def test_of_long_files_the_beginning_the_end_and_what_lies_between_count(
    tmp_path: Path, random_mini: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 64)
    found, size = fingerprint(random_mini, MINI), (random_mini / "model.safetensors").stat().st_size
    assert size > 64 * module.BLOCKS
    for position in (0, 31 * (size - 64) // 63 + 5, size - 1):
        shutil.copytree(random_mini, copy := tmp_path / str(position))
        change(copy / "model.safetensors", position)
        assert fingerprint(copy, MINI) != found
    shutil.copytree(random_mini, copy := tmp_path / "longer")
    with (copy / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert fingerprint(copy, MINI) != found


def test_missing_weights_are_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        fingerprint(tmp_path, MINI)
