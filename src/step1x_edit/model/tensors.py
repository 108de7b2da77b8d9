"""Named tensors on disk: safetensors files, whole or in shards, read one tensor at a time and written whole or not at all.

This file knows nothing of models. What comes in may be damaged or hostile: everything is checked by name before use, pickles are never
opened, and whatever is wrong is one `WeightsError`.
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from step1x_edit.errors import Step1XError, WeightsError, first_line

INDEX_SUFFIX = ".index.json"
WRAPPED = "model.diffusion_model."
"""What some programs write before every name."""


class TensorFiles(Mapping[str, Tensor]):
    """The tensors of one safetensors file, or of the shards that a `*.index.json` names; each is read when asked for.

    Raises:
        WeightsError: on construction or reading, if a file is missing or is not a whole safetensors file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, Any] = {}
        if path.name.endswith(INDEX_SUFFIX):
            self._places = _read_index(path)
            self._files = {name: _open(path.parent / name) for name in sorted(set(self._places.values()))}
            held = {shard: set(file.keys()) for shard, file in self._files.items()}
            for name, shard in self._places.items():
                if name not in held[shard]:
                    raise WeightsError(f"The weights {path} are incomplete: {shard} does not hold {name}; download it again.")
        else:
            self._files[path.name] = _open(path)
            self._places = dict.fromkeys(self._files[path.name].keys(), path.name)

    def __getitem__(self, name: str) -> Tensor:
        shard = self._places[name]
        try:
            return self._files[shard].get_tensor(name)
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise WeightsError(f"The weights {self.path.parent / shard} are damaged at {name} ({first_line(error)}).") from error

    @property
    def words(self) -> dict[str, str]:
        """What is written in the file beside its tensors."""
        return {key: word for file in self._files.values() for key, word in (file.metadata() or {}).items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def unwrap(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without `WRAPPED` before their names, if all have it."""
    return _Unwrapped(tensors) if all(name.startswith(WRAPPED) for name in tensors) else tensors


class _Unwrapped(Mapping[str, Tensor]):
    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[WRAPPED + name]

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(WRAPPED) for name in self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file or index; raises as `TensorFiles` does."""
    return dict(TensorFiles(path))


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    shared: bool = False,
) -> None:
    """Write a safetensors file whole or not at all, one tensor at a time, so that memory stays small; byte for byte as the library does.

    Args:
        path: the file; its folder is made if need be.
        tensors: what to write; each is asked for twice, and is let go of after it is written.
        dtype: type to write all of them in; None keeps the type of each.
        metadata: words to store with them.
        progress: told (bytes done, bytes in all) after each tensor.
        shared: whether other processes may write the same file at once, see `write_whole`.

    Raises:
        WeightsError: a tensor is of a type that the format does not have.
        Step1XError: the disk is full or the folder cannot be written.
    """
    described = {name: (dtype or t.dtype, list(t.shape)) for name, t in tensors.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (kind, _) in described.items():
        if kind not in _FORMAT_NAMES:
            raise WeightsError(f"{name} holds {str(kind).removeprefix('torch.')}, which a safetensors file does not.")
    ranks = {kind: rank for rank, kind in enumerate(_FORMAT_NAMES)}
    order = sorted(described, key=lambda name: (ranks[described[name][0]], name))
    for name in order:
        kind, shape = described[name]
        begin, end = end, end + math.prod(shape) * kind.itemsize
        header[name] = {"dtype": _FORMAT_NAMES[kind], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in order:
                flat = tensors[name].detach().to("cpu", dtype).contiguous().flatten().view(torch.uint8)
                file.write(flat.numpy().data)
                if progress is not None:
                    progress(header[name]["data_offsets"][1], end)

    write_whole(path, write, shared)


def write_shards(path: Path, tensors: Mapping[str, Tensor], most: int, progress: Callable[[int, int], None] | None = None) -> None:
    """`write_tensors` into one file, or, where that would be over `most` bytes, into numbered shards and an index beside them."""
    shards, sizes = [list[str]()], [0]
    for name, tensor in tensors.items():
        if sizes[-1] + tensor.nbytes > most and shards[-1]:
            shards.append([])
            sizes.append(0)
        shards[-1].append(name)
        sizes[-1] += tensor.nbytes
    if len(shards) == 1:
        return write_tensors(path, tensors, progress=progress)
    names = [f"{path.stem}-{i:05d}-of-{len(shards):05d}{path.suffix}" for i in range(1, len(shards) + 1)]
    for number, (file, part) in enumerate(zip(names, shards, strict=True)):

        def told(done: int, _: int, before: int = sum(sizes[:number])) -> None:
            if progress is not None:
                progress(before + done, sum(sizes))

        write_tensors(path.with_name(file), _Some(tensors, part), progress=told)
    places = {name: file for file, part in zip(names, shards, strict=True) for name in part}
    write_json(path.with_name(path.name + INDEX_SUFFIX), {"metadata": {"total_size": sum(sizes)}, "weight_map": places})
    return None


class _Some(Mapping[str, Tensor]):
    """Those of these names."""

    def __init__(self, tensors: Mapping[str, Tensor], names: Sequence[str]) -> None:
        self._tensors, self._names = tensors, names

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


_FORMAT_NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""In the order in which the library writes them: wide types first, so that all are aligned."""


def write_json(path: Path, values: Any) -> None:
    """Write a JSON file whole or not at all; raises as `write_tensors` does."""
    write_whole(path, lambda partial: partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8"))


def write_whole(path: Path, write: Callable[[Path], Any], shared: bool = False) -> None:
    """Let `write` fill a file beside `path`, which then takes its place; raises as `write_tensors` does.

    What a kill leaves is written over the next time; but where it is `shared`, each writer has one of its own, and the last one stays.
    """
    own = f".{secrets.token_hex(4)}" if shared else ""
    partial = path.with_name(f"{path.name}{own}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        raise Step1XError(f"{path} could not be written ({first_line(error)}); is there room, and may the folder be written to?") from error
    finally:
        with suppress(OSError):  # what it is that the disk refuses has been said
            partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """The contents of a JSON file that belongs to weights.

    Raises:
        WeightsError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing; download the weights again, or choose the folder that holds them.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not a JSON file ({first_line(error)}).") from error


def _open(path: Path) -> Any:
    if not path.is_file():
        raise WeightsError(f"The weights {path} are missing; download them again, or choose the folder that holds them.")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise WeightsError(f"The weights {path} are not a whole safetensors file ({first_line(error)}).") from error


def list_shards(path: Path) -> list[Path]:
    """The files that hold the tensors: the file itself, or those that an index names; raises as `TensorFiles` does."""
    if not path.name.endswith(INDEX_SUFFIX):
        return [path]
    return [path.parent / name for name in sorted(set(_read_index(path).values()))]


def _read_index(path: Path) -> dict[str, str]:
    index = read_json(path)
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise WeightsError(f"{path} is not an index of weights: it has no weight_map.")
    for shard in places.values():
        if not isinstance(shard, str) or shard in ("", ".", "..") or PurePosixPath(shard).name != shard or "\\" in shard:
            raise WeightsError(f"{path} is not an index of weights: {shard!r} is not the name of a file beside it.")
    return places
