"""The small records that travel between the boxes of the figure.

Shape suffixes: B batch, L text tokens, C the MLLM's hidden size, D the DiT's context size, V the DiT's vector size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """How many rows and columns of tokens a picture has; tokens run row by row."""

    rows: int
    columns: int

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Embedding:
    """What the MLLM says of a picture and an instruction: hidden states [B, L, C], and which of them are real (bool [B, L])."""

    tokens_BLC: Tensor
    mask_BL: Tensor

    def padded(self, length: int) -> Embedding:
        """The same with padding on the right, up to `length` tokens."""
        missing = max(0, length - self.tokens_BLC.shape[1])
        return Embedding(F.pad(self.tokens_BLC, (0, 0, 0, missing)), F.pad(self.mask_BL, (0, missing)))


@dataclass(frozen=True)
class Context:
    """What the connector hands to the DiT: context tokens [B, L, D], which change with t, and a vector [B, V], which does not."""

    tokens_BLD: Tensor
    vector_BV: Tensor
