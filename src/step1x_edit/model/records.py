"""The small records that travel between the boxes of the figure.

Shape suffixes: B batch, L text tokens, C the MLLM's hidden size, D the DiT's context size, V the DiT's vector size,
A rope axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor


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
        return self._each(lambda x: F.pad(x, (0, 0, 0, missing) if x.ndim == 3 else (0, missing)))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Embedding:
        """The same on another device, its hidden states and embeddings in another type; masks and positions keep theirs."""
        moved = self._each(lambda x: x.to(device))
        quoted = None if moved.quoted_BLC is None else moved.quoted_BLC.to(dtype)
        return replace(moved, tokens_BLC=moved.tokens_BLC.to(dtype), quoted_BLC=quoted)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Embedding:
        present = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        return replace(self, **{name: change(value) for name, value in present.items()})


@dataclass(frozen=True)
class Context:
    """What the connector hands to the DiT: context tokens [B, L, D], which change with t, and a vector [B, V], which does not."""

    tokens_BLD: Tensor
    vector_BV: Tensor
