"""The small records that travel between the boxes of the figure.

Shape suffixes: B batch, L text tokens, C the MLLM's hidden size, D the DiT's context size, V the DiT's vector size,
A rope axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

R = TypeVar("R")


def map_tensors(record: R, change: Callable[[Tensor], Tensor]) -> R:
    """A record with each of its tensors changed, those of records and dictionaries within it too; anything else as it is."""
    changed: Any = record
    if isinstance(record, Tensor):
        changed = change(record)
    elif isinstance(record, dict):
        changed = {key: map_tensors(value, change) for key, value in record.items()}
    elif is_dataclass(record) and not isinstance(record, type):
        changed = replace(record, **{field.name: map_tensors(getattr(record, field.name), change) for field in fields(record)})
    return changed  # type: ignore[no-any-return]


def take_rows(record: R, kept: slice) -> R:
    """Some rows of a batch, of a record whose tensors all begin with it; a tensor of one row is the same for all rows, and stays."""
    return map_tensors(record, lambda x: x if len(x) == 1 else x[kept])


@dataclass(frozen=True)
class Grid:
    """How many rows and columns of tokens a picture has; tokens run row by row.

    `stretch_B` is how many times as wide as high a token's place is in each picture of a batch; None for 1, where none was squeezed.
    """

    rows: int
    columns: int
    stretch_B: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Embedding:
    """What the MLLM says of a picture and an instruction.

    Attributes:
        tokens_BLC: hidden states [B, L, C].
        mask_BL: bool [B, L], True where a token is real.
        ids_BLA: rope ids (kind, row, column) of the text tokens, [B or 1, L, 3]; None puts all of them at (0, 0, 0).
        quoted_BLC: raw embeddings [B, L, C] of the characters that the instruction quotes, for connectors with `text_token_mapping`;
            None where there are none.
        quoted_mask_BL: bool [B, L], True where `quoted_BLC` holds one.
    """

    tokens_BLC: Tensor
    mask_BL: Tensor
    ids_BLA: Tensor | None = None
    quoted_BLC: Tensor | None = None
    quoted_mask_BL: Tensor | None = None

    def padded(self, length: int) -> Embedding:
        """The same with padding on the right, up to `length` tokens."""
        missing = max(0, length - self.tokens_BLC.shape[1])
        return map_tensors(self, lambda x: F.pad(x, (0, 0, 0, missing) if x.ndim == 3 else (0, missing)))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Embedding:
        """The same on another device, its hidden states and embeddings in another type; masks and positions keep theirs."""
        moved = map_tensors(self, lambda x: x.to(device))
        quoted = None if moved.quoted_BLC is None else moved.quoted_BLC.to(dtype)
        return replace(moved, tokens_BLC=moved.tokens_BLC.to(dtype), quoted_BLC=quoted)


@dataclass(frozen=True)
class Context:
    """What the connector hands to the DiT: context tokens [B, L, D], which change with t, and a vector [B, V], which does not."""

    tokens_BLD: Tensor
    vector_BV: Tensor
