"""Put a drawing that came out shifted back in its place, so that what was not edited lies on what it was drawn from.

A model may draw the whole picture a few pixels off. Against the original every edge then differs, and nothing would count as unedited.
The shift is looked for by phase correlation, and taken only where most of the picture fits far better with it than without.

Shape suffixes: C channels, h, w drawn size.
"""

from __future__ import annotations

import torch
from torch import Tensor

FARTHEST = 12
"""Longest shift in drawn pixels that is looked for."""
BETTER = 0.6
"""The median difference must fall under this share of what it is unshifted; an edit alone does not do that."""


def realign(drawn_Chw: Tensor, baseline_Chw: Tensor) -> Tensor:
    """The drawing moved onto the baseline by whole pixels, what moves in at the border taken from the baseline; or as it was."""
    down, right = find_shift(drawn_Chw, baseline_Chw)
    if not down and not right:
        return drawn_Chw
    moved = torch.roll(drawn_Chw, (-down, -right), dims=(1, 2))
    height, width = drawn_Chw.shape[1:]
    rows, columns = torch.arange(height)[:, None] + down, torch.arange(width)[None, :] + right
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    moved = torch.where(inside, moved, baseline_Chw)
    before, after = (float((x - baseline_Chw).abs().mean(0)[inside].median()) for x in (drawn_Chw, moved))
    return moved if after < BETTER * before else drawn_Chw


def find_shift(drawn_Chw: Tensor, baseline_Chw: Tensor) -> tuple[int, int]:
    """By how many pixels the drawing lies further (down, to the right) than the baseline; at most `FARTHEST`."""
    one, other = (_edges(x.float().mean(0)) for x in (drawn_Chw, baseline_Chw))
    cross = torch.fft.rfft2(one) * torch.fft.rfft2(other).conj()
    peak = torch.fft.irfft2(cross / cross.abs().clamp_min(1e-9), s=one.shape)
    height, width = peak.shape
    far_down, far_right = min(FARTHEST, (height - 1) // 2), min(FARTHEST, (width - 1) // 2)
    near = torch.roll(peak, (far_down, far_right), dims=(0, 1))[: 2 * far_down + 1, : 2 * far_right + 1]
    best = int(near.argmax())
    return best // near.shape[1] - far_down, best % near.shape[1] - far_right


def _edges(x_hw: Tensor) -> Tensor:
    """The picture without its mean, fading out towards the border, whose jump would be an edge of its own."""
    windows = [torch.hann_window(n, periodic=False).clamp_min(1e-3) if n > 2 else torch.ones(n) for n in x_hw.shape]
    return (x_hw - x_hw.mean()) * windows[0][:, None] * windows[1][None, :]
