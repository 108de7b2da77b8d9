"""Models in GGUF: written by the format's own package, read by us, damaged by chance."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf.quants import dequantize, quantize
from PIL import Image
from torch import Tensor, nn

from gguf_writing import Kind, write_gguf
from step1x_edit.editor import Editor
from step1x_edit.errors import WeightsError
from step1x_edit.memory import Placement
from step1x_edit.model import gguf_files
from step1x_edit.model.gguf_files import GGUFFile
from step1x_edit.model.narrow import narrow_linear
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.tensors import read_tensors
from step1x_edit.model.weights import find_model, open_tensors

Draw = Callable[..., Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, random_mini: Path) -> Path:
    """The random model, its connector and DiT in Q8_0."""
    place = tmp_path_factory.mktemp("gguf") / "mini"
    shutil.copytree(random_mini, place)
    (place / "model.safetensors").unlink()
    write_gguf(place / "step1x-Q8_0.gguf", read_tensors(random_mini / "model.safetensors"), Kind.Q8_0)
    return place


@pytest.mark.parametrize("kind", [Kind.F32, Kind.F16, Kind.BF16, Kind.Q8_0, Kind.Q5_1, Kind.Q4_0])
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_tensors_come_as_the_format_says(tmp_path: Path, draw: Draw, kind: Kind, prefix: str) -> None:
    tensors = {"a.weight": draw(6, 64), "a.bias": draw(6, seed=2)}
    found = open_tensors(write_gguf(tmp_path / "a.gguf", tensors, kind, prefix), ())
    assert list(found) == list(tensors) and len(found) == 2
    assert torch.equal(found["a.bias"], tensors["a.bias"])
    expected = dequantize(quantize(tensors["a.weight"].numpy(), kind), kind)
    assert found["a.weight"].dtype is torch.float32 and np.array_equal(found["a.weight"].numpy(), expected)


def test_a_tensor_that_was_reshaped_has_its_own_shape(tmp_path: Path, draw: Draw) -> None:
    shape = {"comfy.gguf.orig_shape.a": [4, 16, 1, 1]}
    file = GGUFFile(write_gguf(tmp_path / "a.gguf", {"a": draw(2, 32)}, Kind.Q8_0, arrays=shape))
    assert file["a"].shape == (4, 16, 1, 1)


def test_q4_0_is_our_int4_but_for_the_type_of_the_scales(tmp_path: Path, draw: Draw) -> None:
    linear = nn.Linear(64, 8, bias=False).requires_grad_(False)
    linear.weight.copy_(draw(8, 64))
    file = GGUFFile(write_gguf(tmp_path / "a.gguf", {"a": linear.weight}, Kind.Q4_0))
    again = nn.Linear(64, 8, bias=False).requires_grad_(False)
    again.weight.copy_(file["a"])
    ours, theirs = narrow_linear(linear, "int4"), narrow_linear(again, "int4")
    assert float((ours.weight == theirs.weight).float().mean()) > 0.98  # ggml rounds halves otherwise
    assert torch.equal(theirs.widen(torch.float32), file["a"])  # stored again, nothing more is lost


def test_an_editor_opens_it(folder: Path, random_mini: Path, scene: Image.Image) -> None:
    exact = Editor.open("mini", "cpu", "float32", random_mini).edit(scene, "make it night", guidance=1.0).raw
    editor = Editor.open("mini", "cpu", "float32", folder)
    assert editor.weights != Editor.open("mini", "cpu", "float32", random_mini).weights
    near = editor.edit(scene, "make it night", guidance=1.0).raw
    error = np.abs(np.asarray(near, float) - np.asarray(exact, float)).mean()
    assert 0 < error < 2
    narrow = Editor.open("mini", "cpu", "float32", folder, Placement("int4"))
    assert narrow.edit(scene, "make it night", guidance=1.0).raw.size == exact.size


def test_which_of_two_must_be_clear(folder: Path, tmp_path: Path, random_mini: Path) -> None:
    shutil.copytree(folder, tmp_path / "two")
    shutil.copy(folder / "step1x-Q8_0.gguf", tmp_path / "two/another.gguf")
    with pytest.raises(WeightsError, match=r"holds several models, another\.gguf and step1x-Q8_0\.gguf among them"):
        find_model(tmp_path / "two", PRESETS["mini"])
    shutil.copy(random_mini / "model.safetensors", tmp_path / "two")
    assert find_model(tmp_path / "two", PRESETS["mini"]).name == "model.safetensors"


def test_another_model_is_refused(folder: Path, tmp_path: Path, draw: Draw) -> None:
    shutil.copytree(folder, tmp_path / "other")
    write_gguf(tmp_path / "other/step1x-Q8_0.gguf", {"blk.0.weight": draw(4, 32)}, Kind.Q8_0)
    with pytest.raises(WeightsError, match=r"do not fit the model: \d+ missing"):
        Editor.open("mini", "cpu", "float32", tmp_path / "other")


@pytest.mark.parametrize("start", range(0, 300, 10))
def test_damage_is_told_in_one_sentence(tmp_path: Path, draw: Draw, start: int) -> None:
    """Ten files each, cut off or with bytes changed by chance: read, or refused, and neither takes long."""
    whole = write_gguf(tmp_path / "a.gguf", {"a": draw(4, 64), "b": draw(5)}, Kind.Q8_0).read_bytes()
    for seed in range(start, start + 10):
        chance = random.Random(seed)
        data = bytearray(whole)
        if seed % 3 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(250 if seed % 3 == 1 else len(data))] = chance.choice([0, 1, 4, 9, 127, 255, chance.randrange(256)])
        (tmp_path / "damaged.gguf").write_bytes(data)
        try:
            dict(GGUFFile(tmp_path / "damaged.gguf"))
        except WeightsError as error:
            assert "\n" not in str(error)


def test_an_array_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_files, "HEADER", 2**14)  # the whole of it takes seconds
    string = (1).to_bytes(8, "little") + b"k"
    header = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    array = (9).to_bytes(4, "little") + (0).to_bytes(4, "little") + (2**60).to_bytes(8, "little")
    (tmp_path / "a.gguf").write_bytes(header + string + array + bytes(2**14))
    with pytest.raises(WeightsError, match="its header is too long"):
        GGUFFile(tmp_path / "a.gguf")
