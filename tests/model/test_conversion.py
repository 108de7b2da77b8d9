"""The same weights in every layout, bit for bit, and hostile ones in one sentence each."""

from __future__ import annotations

import json
import struct
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.conversion import convert
from step1x_edit.model.layouts import TRANSFORMER, ToDiffusers
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import read_tensors, write_shards, write_tensors
from step1x_edit.model.weights import load_autoencoder, load_preset, load_step1x_edit, save_preset

Twin = Callable[..., Preset]


def write_single(folder: Path, preset: Preset, dtype: torch.dtype = torch.float32) -> Path:
    """A twin in the layout of the released single files."""
    torch.manual_seed(1)
    assert preset.released_file is not None or preset.message.positions
    model = {name: torch.randn(t.shape).to(dtype) for name, t in Step1XEdit(preset).state_dict().items()}
    vae = {name: torch.randn(t.shape).to(dtype) for name, t in Autoencoder(preset.autoencoder).state_dict().items()}
    folder.mkdir()
    save_file(model, folder / (preset.released_file or "model.safetensors"))
    save_file(vae, folder / "vae.safetensors")
    save_preset(folder, preset)
    (folder / "Qwen2.5-VL-7B-Instruct").mkdir()
    (folder / "Qwen2.5-VL-7B-Instruct" / "config.json").write_text('{"a": 1}')
    (folder / "Qwen2.5-VL-7B-Instruct" / "model.safetensors").write_bytes(b"large")
    (folder / "Qwen2.5-VL-7B-Instruct" / "mllm_prefix.txt").write_text("Look:")
    (folder / "mllm_prefix.txt").write_text("Another")
    return folder


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    def raw(tensor: Tensor) -> Tensor:
        return tensor.contiguous().flatten().view(torch.uint8)

    return one.keys() == other.keys() and all(
        one[n].dtype == other[n].dtype and one[n].shape == other[n].shape and torch.equal(raw(one[n]), raw(other[n])) for n in one
    )


@pytest.mark.parametrize(
    ("name", "dtype"), [("v1.0", torch.bfloat16), ("v1.1", torch.float32), ("v1.1", torch.float8_e4m3fn), ("v1.2", torch.bfloat16)]
)
def test_there_and_back(tmp_path: Path, twin_preset: Twin, name: str, dtype: torch.dtype) -> None:
    preset = twin_preset(name, "")
    single = write_single(tmp_path / "single", preset, dtype)
    convert(single, tmp_path / "parts", preset, "diffusers", shard_bytes=40_000)
    parts = tmp_path / "parts"
    assert len(list((parts / "transformer").glob("diffusion_pytorch_model-*-of-*.safetensors"))) > 1
    assert {path.name for path in parts.iterdir()} >= {"model_index.json", "scheduler", "transformer", "vae", "text_encoder", "processor"}
    assert (parts / "mllm_prefix.txt").read_text() == "Look:"  # the one that is read, not that of the folder above
    assert (parts / "text_encoder" / "model.safetensors").is_file() and not list((parts / "processor").glob("*.safetensors"))
    assert not list(parts.glob("*.partial"))
    convert(parts, tmp_path / "back", preset, "single")
    file = preset.released_file or "model.safetensors"
    for one in (file, "vae.safetensors"):
        assert same(load_file(tmp_path / "back" / one), load_file(single / one))
    assert (tmp_path / "back" / "Qwen2.5-VL-7B-Instruct" / "config.json").read_text() == '{"a": 1}'
    # and the files themselves are the same, byte for byte, as those of a second way
    convert(parts, tmp_path / "again", preset, "single")
    assert (tmp_path / "again" / file).read_bytes() == (tmp_path / "back" / file).read_bytes()


class Stored(Mapping[str, Tensor]):
    """Tensors that are made when they are asked for, as those of a GGUF file are; `most` of them were there at once."""

    def __init__(self, shapes: Mapping[str, Tensor]) -> None:
        self.shapes, self.there, self.most = shapes, 0, 0

    def __getitem__(self, name: str) -> Tensor:
        array = np.zeros(self.shapes[name].shape, np.float32)
        self.there += 1
        self.most = max(self.most, self.there)
        weakref.finalize(array, self._gone)
        return torch.from_numpy(array)

    def _gone(self) -> None:
        self.there -= 1

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


@pytest.mark.parametrize("most", [40_000, 10**9])
def test_a_few_tensors_at_a_time_are_in_memory(tmp_path: Path, twin_preset: Twin, most: int) -> None:
    stored = Stored(Step1XEdit(twin_preset("v1.1", "")).state_dict())
    write_shards(tmp_path / "x.safetensors", ToDiffusers(stored, TRANSFORMER), most)
    assert stored.most < 5 and len(stored) > 80


def test_a_diffusers_folder_says_its_sizes(tmp_path: Path, twin_preset: Twin) -> None:
    preset = twin_preset("v1.1", "")
    convert(write_single(tmp_path / "single", preset), tmp_path / "parts", preset, "diffusers")
    (tmp_path / "parts" / "preset.json").unlink()
    read = load_preset(tmp_path / "parts", PRESETS["v1.1"])
    assert (read.dit, read.connector, read.autoencoder) == (preset.dit, preset.connector, preset.autoencoder)
    one, other = (load_step1x_edit(tmp_path / folder, read) for folder in ("single", "parts"))
    assert same(dict(one.state_dict()), dict(other.state_dict()))
    assert load_autoencoder(tmp_path / "parts", read).config == preset.autoencoder


def test_float8_files_load_widened(tmp_path: Path, twin_preset: Twin) -> None:
    preset = twin_preset("v1.0", "")
    single = write_single(tmp_path / "single", preset, torch.float8_e4m3fn)
    (single / "step1x-edit-i1258.safetensors").rename(single / "step1x-edit-i1258-FP8.safetensors")
    model = load_step1x_edit(single, preset, torch.bfloat16)
    stored = load_file(single / "step1x-edit-i1258-FP8.safetensors")
    assert all(torch.equal(tensor, stored[name].to(torch.bfloat16)) for name, tensor in model.state_dict().items())


def test_a_target_that_exists_is_left_alone(tmp_path: Path, twin_preset: Twin) -> None:
    preset = twin_preset("v1.0", "")
    with pytest.raises(Step1XError, match="exists already"):
        convert(write_single(tmp_path / "single", preset), tmp_path, preset, "diffusers")


def test_another_version_is_refused_before_anything_appears(tmp_path: Path, twin_preset: Twin) -> None:
    single = write_single(tmp_path / "single", twin_preset("v1.0", ""))
    wrong = replace(twin_preset("v1.1", ""), released_file="step1x-edit-i1258.safetensors")
    with pytest.raises(WeightsError, match=r"0 missing, 1 unexpected \(connector.scale_factor\)"):
        convert(single, tmp_path / "parts", wrong, "diffusers")
    assert not (tmp_path / "parts").exists()


def test_written_files_are_those_of_safetensors(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 5).to(torch.float8_e5m2),
        "b": torch.randn(7),
        "c": torch.randn(2, 3).bfloat16().T,
        "d": torch.tensor([True, False, True]),
        "e": torch.zeros(0, 4),
        "f": torch.tensor(3, dtype=torch.int64),
        **{
            f"é{i}": torch.ones(2, 3).to(kind)
            for i, kind in enumerate((torch.float64, torch.int8, torch.uint8, torch.int16, torch.float16))
        },
    }
    told: list[tuple[int, int]] = []
    write_tensors(tmp_path / "ours.safetensors", tensors, progress=lambda done, total: told.append((done, total)))
    assert same(read_tensors(tmp_path / "ours.safetensors"), {name: tensor.contiguous() for name, tensor in tensors.items()})
    library, words = tmp_path / "library.safetensors", {"preset": "é"}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, library, words)
    write_tensors(tmp_path / "worded.safetensors", tensors, metadata=words)
    assert (tmp_path / "worded.safetensors").read_bytes() == library.read_bytes()
    assert told[-1][0] == told[-1][1] == sum(t.nbytes for t in tensors.values()) and len(told) == len(tensors)
    write_shards(tmp_path / "many.safetensors", tensors, 30)
    assert same(read_tensors(tmp_path / "many.safetensors.index.json"), read_tensors(tmp_path / "ours.safetensors"))


def spoil(path: Path, how: str) -> None:
    """Damage a safetensors file in one of the ways that damage comes in."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    first = next(name for name in header if name != "__metadata__")

    def with_header(values: object) -> bytes:
        text = json.dumps(values).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + length :]

    match how:
        case "truncated":
            content = content[:-100]
        case "truncated header":
            content = content[:40]
        case "empty":
            content = b""
        case "header too long":
            content = struct.pack("<Q", 2**62) + content[8:]
        case "header lies about the shape":
            header[first]["shape"] = [2**40, 2**20]
            content = with_header(header)
        case "header lies about the place":
            header[first]["data_offsets"] = [0, 2**50]
            content = with_header(header)
        case "header overlaps":
            second = list(header)[-1]
            header[second]["data_offsets"] = header[first]["data_offsets"]
            content = with_header(header)
        case "unknown type":
            header[first]["dtype"] = "PICKLE"
            content = with_header(header)
        case "header is no table":
            content = with_header([1, 2])
        case "deep header":
            content = struct.pack("<Q", 200_000) + b"[" * 200_000
        case "pickle":
            torch.save({"img_in.bias": torch.ones(3)}, path)
            return
        case "script":
            content = b"import os\nos.system('touch /tmp/never')\n" * 9
    path.write_bytes(content)


@pytest.mark.parametrize(
    "how",
    [
        "truncated",
        "truncated header",
        "empty",
        "header too long",
        "header lies about the shape",
        "header lies about the place",
        "header overlaps",
        "unknown type",
        "header is no table",
        "deep header",
        "pickle",
        "script",
    ],
)
def test_hostile_files_are_one_sentence(tmp_path: Path, twin_preset: Twin, how: str) -> None:
    preset = twin_preset("v1.0", "")
    single = write_single(tmp_path / "single", preset)
    for file, load in (("step1x-edit-i1258.safetensors", load_step1x_edit), ("vae.safetensors", load_autoencoder)):
        spoil(single / file, how)
        with pytest.raises(WeightsError, match=rf"^The weights .*{file} .*\.$") as raised:
            load(single, preset)
        assert "\n" not in str(raised.value)


def test_a_folder_with_a_missing_shard(tmp_path: Path, twin_preset: Twin) -> None:
    preset = twin_preset("v1.2", "")
    convert(write_single(tmp_path / "single", preset), tmp_path / "parts", preset, "diffusers", shard_bytes=40_000)
    shard = sorted((tmp_path / "parts" / "transformer").glob("*-00002-*"))[0]
    shard.unlink()
    with pytest.raises(WeightsError, match=rf"{shard.name} are missing"):
        load_step1x_edit(tmp_path / "parts", preset)
    torch.save({"x": torch.ones(1)}, shard)
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_step1x_edit(tmp_path / "parts", preset)
