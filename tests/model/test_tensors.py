"""Files of tensors: whole, in shards, damaged, hostile."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.model.tensors import TensorFiles, read_json, read_tensors, write_json, write_tensors

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "b.bias": torch.ones(4, dtype=torch.bfloat16)}
WHOLE = save(WEIGHTS)


def _with_header(header: Any, data: bytes = b"\0" * 24) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text)) + text + data


def _entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **changes}}


class _Explosive:
    """A pickle of it would print if it were ever opened."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return exec, ("raise SystemExit('a pickle was opened')",)


HOSTILE = {
    "empty": b"",
    "truncated": WHOLE[:-3],
    "cut in the header": WHOLE[:20],
    "longer than it says": WHOLE + b"\0\0",
    "pickle": pickle.dumps({"a": _Explosive()}),
    "zip": b"PK\x03\x04" + b"\0" * 100,
    "header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{}",
    "header of 100 MB": struct.pack("<Q", 10**8 + 1) + b" " * 100,
    "header is a list": _with_header([]),
    "header is not JSON": _with_header(b"{{{{{{{{"),
    "header nested deeply": _with_header(b"[" * 100_000),
    "shape lies": _with_header(_entry(shape=[200, 3])),
    "shape overflows": _with_header(_entry(shape=[2**62, 2**62])),
    "negative shape": _with_header(_entry(shape=[-2, -3])),
    "offsets outside": _with_header(_entry(data_offsets=[10**9, 10**9 + 24])),
    "offsets reversed": _with_header(_entry(data_offsets=[24, 0])),
    "unknown type": _with_header(_entry(dtype="F99")),
    "web page": b"<!DOCTYPE html><html>404</html>" * 40,
    "pointer of git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 24930000000\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_not_whole_is_one_sentence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(WeightsError, match="not a whole safetensors file") as raised:
        read_tensors(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(WHOLE) - 1), value=st.integers(0, 255), cut=st.integers(0, len(WHOLE)))
def test_damage_anywhere_loads_or_is_reported(tmp_path: Path, position: int, value: int, cut: int) -> None:
    path = tmp_path / "model.safetensors"
    damaged = bytearray(WHOLE)
    damaged[position] = value
    path.write_bytes(bytes(damaged[:cut]) if cut % 3 == 0 else bytes(damaged))
    try:
        tensors = read_tensors(path)
    except WeightsError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(WeightsError, match="missing"):
            read_tensors(path)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model.safetensors"
    write_tensors(path, WEIGHTS, metadata={"preset": "mini"})
    read = read_tensors(path)
    assert read.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        torch.testing.assert_close(read[name], tensor, rtol=0, atol=0)
    write_tensors(path, WEIGHTS, torch.float16)
    assert {tensor.dtype for tensor in read_tensors(path).values()} == {torch.float16}


def test_cuts_of_one_tensor_are_written_apart(tmp_path: Path) -> None:
    whole = torch.arange(12.0).view(6, 2)
    write_tensors(tmp_path / "m.safetensors", {"top": whole[:3], "bottom": whole[3:], "turned": whole.T})
    read = read_tensors(tmp_path / "m.safetensors")
    torch.testing.assert_close(torch.cat([read["top"], read["bottom"]]), whole)
    torch.testing.assert_close(read["turned"], whole.T)
    assert (tmp_path / "m.safetensors").stat().st_size < 1000


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    write_tensors(path, WEIGHTS)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("step1x_edit.model.tensors.os.replace", full)
    with pytest.raises(Step1XError, match="No space left"):
        write_tensors(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


def _write_shards(folder: Path, index: Any) -> Path:
    save_file({"a.weight": WEIGHTS["a.weight"]}, folder / "part-1.safetensors")
    save_file({"b.bias": WEIGHTS["b.bias"]}, folder / "part-2.safetensors")
    path = folder / "model.safetensors.index.json"
    path.write_text(index if isinstance(index, str) else json.dumps(index))
    return path


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    path = _write_shards(tmp_path, {"metadata": {}, "weight_map": {"a.weight": "part-1.safetensors", "b.bias": "part-2.safetensors"}})
    tensors = TensorFiles(path)
    assert set(tensors) == set(WEIGHTS) and len(tensors) == 2
    torch.testing.assert_close(tensors["a.weight"], WEIGHTS["a.weight"])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a.weight": "part-3.safetensors"}}, "part-3.safetensors are missing"),
        ({"weight_map": {"a.weight": "part-2.safetensors"}}, "part-2.safetensors does not hold a.weight"),
        ({"weight_map": {"a.weight": "../part-1.safetensors"}}, "not the name of a file"),
        ({"weight_map": {"a.weight": "/etc/passwd"}}, "not the name of a file"),
        ({"weight_map": {"a.weight": "..\\part-1.safetensors"}}, "not the name of a file"),
        ({"weight_map": {"a.weight": 7}}, "not the name of a file"),
        ({"weight_map": {"a.weight": ".."}}, "not the name of a file"),
        ({"weight_map": []}, "no weight_map"),
        ({"weight_map": {}}, "no weight_map"),
        ({}, "no weight_map"),
        ([], "no weight_map"),
        ("{", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
    ],
)
def test_an_index_that_lies_is_one_sentence(tmp_path: Path, index: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        TensorFiles(_write_shards(tmp_path, index))


def test_a_shared_file_may_be_written_by_another_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "cached.safetensors"

    def write_another(done: int, total: int) -> None:
        write_tensors(path, {"a": torch.ones(3)}, shared=True)
        assert read_tensors(path)["a"].tolist() == [1, 1, 1]

    write_tensors(path, {"a": torch.zeros(3)}, progress=write_another, shared=True)
    assert read_tensors(path)["a"].tolist() == [0, 0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_tensors(tmp_path / "m.safetensors", {"a": torch.zeros(3)}, progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "preset.json", {"name": "mini"})
    assert read_json(tmp_path / "deep" / "preset.json") == {"name": "mini"}
    with pytest.raises(WeightsError, match="missing"):
        read_json(tmp_path / "none.json")
