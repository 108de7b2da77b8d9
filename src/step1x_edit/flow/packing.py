"""Latent pictures <-> sequences of tokens.

Shape suffixes: B batch, C channels, H, W latent height and width, p patch side, N tokens (rows * columns, row by row), D = C * p * p.
"""

from __future__ import annotations

from torch import Tensor


def pack(latent_BCHW: Tensor, patch: int = 2) -> Tensor:
    """[B, C, H, W] -> [B, H/p * W/p, C*p*p], channel-major inside a patch: (c, row, column).

    Raises:
        ValueError: H or W is no multiple of the patch side.

    Source: reference facts, "Latents are packed 2x2".
    """
    batch, channels, height, width = latent_BCHW.shape
    if height % patch or width % patch:
        raise ValueError(f"a latent of {height} x {width} does not divide into patches of {patch} x {patch}")
    x = latent_BCHW.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, (height // patch) * (width // patch), channels * patch * patch)


def unpack(tokens_BND: Tensor, rows: int, columns: int, patch: int = 2) -> Tensor:
    """The inverse of `pack`: [B, rows*columns, C*p*p] -> [B, C, rows*p, columns*p]."""
    batch, _, depth = tokens_BND.shape
    channels = depth // patch**2
    x = tokens_BND.reshape(batch, rows, columns, channels, patch, patch)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * patch, columns * patch)
