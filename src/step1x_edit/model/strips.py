"""Convolutions of large pictures, some rows at a time: the same numbers with a fraction of the memory, and no seams.

Cutting the picture itself into tiles leaves seams, because the normalisation and the attention of the autoencoder look at all of it. Here
each layer is cut instead: the statistics of a normalisation are gathered strip by strip over the whole picture, then each strip is
normalised, activated and convolved with one more row above and below.

Shape suffixes: B batch, C channels, H, W height and width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Beside = tuple[Tensor, nn.Module]

STRIP_ROWS = 64
"""Rows of a strip. Choice: a strip of 2,048 columns is then a small part of what the layer itself holds."""


def normalise_and_convolve(x_BCHW: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d, rows: int | None, beside: Beside | None = None) -> Tensor:
    """conv(silu(norm(x))), 3 x 3 and padded by 1, added to what is `beside` it.

    Args:
        x_BCHW: the picture.
        norm: statistics of all of x are taken.
        conv: as many outputs as x has rows and columns.
        rows: rows of a strip; None computes all at once, as does a picture that is no higher.
        beside: a tensor of the result's size and the layer that it goes through first. Where strips need none, the sum takes its place.
    """
    whole = rows is None or x_BCHW.shape[2] <= rows
    if whole:
        drawn = conv(F.silu(norm(x_BCHW)))
        return drawn if beside is None else beside[1](beside[0]) + drawn
    assert rows is not None
    scale, shift = _affine(x_BCHW, norm, rows)
    batch, _, height, width = x_BCHW.shape
    in_place = beside is not None and isinstance(beside[1], nn.Identity) and not torch.is_grad_enabled()
    out = beside[0] if in_place and beside else x_BCHW.new_empty(batch, conv.out_channels, height, width)
    for top in range(0, height, rows):
        strip, above = _strip(x_BCHW, top, rows)
        here = slice(top, min(top + rows, height))
        drawn = conv(F.silu(torch.addcmul(shift, strip, scale)))[:, :, above : above + here.stop - top]
        out[:, :, here] = drawn if beside is None else beside[1](beside[0][:, :, here]) + drawn
    return out


def double_and_convolve(x_BCHW: Tensor, conv: nn.Conv2d, rows: int | None) -> Tensor:
    """conv of x with every pixel repeated 2 x 2, by strips of so many rows of x; None at once."""
    if rows is None or x_BCHW.shape[2] <= rows:
        return conv(F.interpolate(x_BCHW, scale_factor=2.0, mode="nearest"))
    batch, _, height, width = x_BCHW.shape
    out = x_BCHW.new_empty(batch, conv.out_channels, 2 * height, 2 * width)
    for top in range(0, height, rows):
        strip, above = _strip(x_BCHW, top, rows)
        drawn = conv(F.interpolate(strip, scale_factor=2.0, mode="nearest"))
        bottom = min(top + rows, height)
        out[:, :, 2 * top : 2 * bottom] = drawn[:, :, 2 * above : 2 * (above + bottom - top)]
    return out


def _affine(x_BCHW: Tensor, norm: nn.GroupNorm, rows: int) -> tuple[Tensor, Tensor]:
    """The normalisation as a scale and a shift of each channel, [B, C, 1, 1]."""
    batch, channels = x_BCHW.shape[:2]
    wide = torch.float32 if x_BCHW.device.type == "mps" else torch.float64  # MPS has no float64
    sums = torch.zeros(2, batch, norm.num_groups, dtype=wide, device=x_BCHW.device)
    for top in range(0, x_BCHW.shape[2], rows):
        strip = x_BCHW[:, :, top : top + rows].float()
        moments = torch.stack([strip.sum((2, 3)), strip.square().sum((2, 3))])
        sums += moments.reshape(2, batch, norm.num_groups, -1).sum(-1).to(sums)
    mean, square = sums * norm.num_groups / x_BCHW[0].numel()
    inverse = (square - mean.square() + norm.eps).rsqrt()
    spread = [each.repeat_interleave(channels // norm.num_groups, dim=1).float() for each in (mean, inverse)]
    scale = spread[1] * norm.weight.float()
    shift = norm.bias.float() - spread[0] * scale
    return scale[..., None, None].to(x_BCHW.dtype), shift[..., None, None].to(x_BCHW.dtype)


def _strip(x_BCHW: Tensor, top: int, rows: int) -> tuple[Tensor, int]:
    """The rows from `top` on, with one more above and below where there are any; and how many there are above."""
    above = min(top, 1)
    return x_BCHW[:, :, top - above : top + rows + 1], above
