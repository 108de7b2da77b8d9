"""Weights in GGUF, as programs for little memory keep them: a quarter to a half of the size to fetch and to store, and rounded for it.

Each tensor is widened when it is asked for, so that a model of such a file is one like others from then on; what keeps it small in memory
is narrow.py. The package `gguf` knows the format and how its some thirty types are widened. What comes in may be damaged or hostile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from step1x_edit.errors import WeightsError, first_line

SUFFIX = ".gguf"
HEADER = 2**20
"""Most bytes before the weights; names and shapes of 817 tensors are a tenth of it, and `gguf` reads arrays there element by element."""
_SHAPE = "comfy.gguf.orig_shape."
"""Before the name of a tensor that was reshaped to be stored: its own shape."""


class GGUFFile(Mapping[str, Tensor]):
    """The tensors of a GGUF file in float32, each read and widened when asked for.

    Raises:
        WeightsError: the package is missing; or, on construction or reading, the file is damaged or holds a type that nobody can widen.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            reader = _open(path)
        except ImportError as error:
            raise WeightsError(f"{path} needs the package gguf: pip install 'step1x-edit[gguf]'.") from error
        except (ValueError, LookupError, OverflowError, OSError) as error:
            raise WeightsError(f"The weights {path} are no whole GGUF file ({first_line(error)}).") from error
        self._tensors = {each.name: each for each in reader.tensors}
        self._fields = reader.fields

    def __getitem__(self, name: str) -> Tensor:
        from gguf.quants import dequantize

        stored = self._tensors[name]
        try:
            wide = dequantize(np.asarray(stored.data), stored.tensor_type)
            field = self._fields.get(f"{_SHAPE}{name}")
            shape = wide.shape if field is None else tuple(int(field.parts[i][0]) for i in field.data)
            return torch.from_numpy(np.array(wide, np.float32).reshape(shape))
        except (ValueError, LookupError, OverflowError, NotImplementedError) as error:
            raise WeightsError(f"The weights {self.path} are damaged at {name} ({first_line(error)}).") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _open(path: Path) -> Any:
    """The file's header, by a reader that stops where the file, or what may be its header, does; the package's own reads on there."""
    from gguf import GGUFReader

    class Reader(GGUFReader):
        def _get(self, offset: int, dtype: Any, count: Any = 1, override_order: Any = None) -> Any:
            end = int(offset) + np.dtype(dtype).itemsize * int(count)
            if end > len(self.data):
                raise ValueError("it ends too early")
            if end > HEADER and not hasattr(self, "data_offset"):
                raise ValueError("its header is too long")
            return super()._get(offset, dtype, count, override_order)

    return Reader(path)
