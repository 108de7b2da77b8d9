"""Lay an edit that was drawn small over the full-size original.

The model draws at a fixed area, photographs are larger. Enlarging its drawing would blur all of the photograph; enlarging the *change* and
adding it keeps the detail of what was not edited, but not of what was re-coloured, and leaves the texture of what was removed. So the
change is described, at the size at which it was drawn, by local affine maps of colour, and these are enlarged and applied to the original:

    D = E - R                     the change: what the model drew less its own reconstruction of the unedited picture (3 channels)
    D(p) = A(p) I(p) + b(p) + r(p)     I the reduced original, A a 3 x 3 matrix and b a shift that vary slowly, r what they leave
    F = O + up(s) * (up(A) O + up(b) + up(r))    O the full-size original, F the result

Where colours change but content stays (tone, colour, darkening), r is nearly zero and A carries the original's finest detail along. Where
content is replaced, the fit makes I + A I flat, which removes the old texture, and b + r draw the new content, as sharp as it was drawn.
Edges between edited and unedited parts lie where the original's colours differ, so A I + b follows them at full resolution.

Where r is large, at the rim of new content above all, A says nothing of the original's detail. There the drawing itself is enlarged, which
is the same formula with A = -1, b = 0 and r = I + D; a weight m, 1 there and 0 where the fit is good, mixes the two.

An edit of tone is made even before all this: of what no map of colour explains, patches that do not stand out are dropped (`steady_tone`).

The weight s is 0 wherever the change is within the noise of the model, so that pixels outside the edit come back exactly as they were.

Choice: the paper resizes the drawing back to the input's size. Nothing of this file is from it; the fit is that of the guided filter
(He, Sun, Tang 2013), here of the change and with the wider windows as prior of the narrower ones.

Shape suffixes: H, W full size, h, w drawn size, C channels; colours are float 0..1 unless they say uint8.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from step1x_edit.model.layers import ramp

RADII = (24, 8, 2)
"""Radii in drawn pixels of the windows of the affine fits, each fit to what the wider ones before it left."""
RIDGE = 3e-4
"""Variance of colour below which a window cannot tell a gain from a shift; the wider windows' gain is then kept."""
NOISE = (3 / 255, 12 / 255)
"""Bounds of the change that counts as none, in the mean over a 3 x 3 window."""
LEFTOVER = 2 / 255
"""Leftovers r smaller than this are not added: they are grain of the drawing, and would lie over the original's own."""
POOR = (8 / 255, 24 / 255)
"""Leftover, as length of its colour, up to which a fit is good and from which it says nothing."""
TONE = (0.8, 0.95)
"""Share of the change's energy, explained by colour alone, from which an edit counts as one of tone in part and wholly."""
PATCH, PATCHY = 4, (0.5, 0.7)
"""Radius above which an unevenness is coarse, and share of coarse energy from which it is taken out in part and wholly."""
ROWS = 256
"""Rows of the full-size picture that are computed at once, which bounds the memory."""


@dataclass(frozen=True)
class Change:
    """The change at drawn size: gain A [9, h, w] (row by row), shift b [3, h, w], leftover r [3, h, w] and weight s [1, h, w]."""

    gain: Tensor
    shift: Tensor
    leftover: Tensor
    weight: Tensor


def transfer(original: np.ndarray, reduced: Tensor, baseline: Tensor, drawn: Tensor, rows: range | None = None) -> np.ndarray:
    """The original with the edit laid over it.

    Args:
        original: uint8 [H, W, 3].
        reduced: the original at drawn size, [3, h, w].
        baseline: what the model makes of `reduced` when it edits nothing: the autoencoder's reconstruction, or `reduced` itself, [3, h, w].
        drawn: what the model drew, [3, h, w].
        rows: those of the original over which the edit is laid; None for all of them.

    Returns:
        uint8 [H, W, 3]; equal to the original at every pixel whose neighbourhood the model left as it was.
    """
    return apply_change(original, describe_change(reduced, baseline, drawn), rows)


def describe_change(reduced: Tensor, baseline: Tensor, drawn: Tensor) -> Change:
    """D = drawn - baseline as local affine maps of `reduced`; see the top of the file. All [3, h, w]."""
    guide = reduced.float()
    change, tone = steady_tone((drawn - baseline).float(), guide)
    gain, shift, left = torch.zeros(9, *change.shape[1:]), torch.zeros_like(change), change
    for radius in RADII:
        a, b = _fit_affine(guide, left, radius)
        gain, shift = gain + a, shift + b
        left = change - _affine(gain, shift, guide)
    poor = ramp(_mean(left.square().sum(0, keepdim=True), 1).sqrt(), *POOR) * (1 - tone)
    poor = _mean(_widest(poor, 1), 1)
    return Change(
        gain=(1 - poor) * gain - poor * torch.eye(3).reshape(9, 1, 1),
        shift=(1 - poor) * shift,
        leftover=(1 - poor) * _shrink(left, LEFTOVER) + poor * (guide + change),
        weight=_weigh(change, tone, poor),
    )


def apply_change(original: np.ndarray, change: Change, within: range | None = None) -> np.ndarray:
    """O + up(s) (up(A) O + up(b) + up(r)), uint8 [H, W, 3], some rows at a time; O alone outside of the rows `within`."""
    height, width = original.shape[:2]
    smooth = _enlarge_rows(torch.cat([change.gain, change.shift, change.weight]), height, "bilinear")  # s must not swing below zero
    sharp = _enlarge_rows(change.leftover, height, "bicubic")
    result = original.copy()
    wanted = range(height) if within is None else within
    for top in range(wanted.start, wanted.stop, ROWS):
        rows = slice(top, min(top + ROWS, wanted.stop))
        if not smooth[12, rows].any():
            continue
        fields = _enlarge_columns(smooth[:, rows], width, "bilinear")
        leftover = _enlarge_columns(sharp[:, rows], width, "bicubic")
        colours = torch.from_numpy(result[rows]).permute(2, 0, 1).float() / 255
        delta = fields[12:] * (_affine(fields[:9], fields[9:12], colours) + leftover)
        edited = ((colours + delta).clamp(0, 1) * 255).round().to(torch.uint8)
        result[rows] = edited.permute(1, 2, 0).numpy()
    return result


def _fit_affine(guide: Tensor, values: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Least squares of values = a guide + b in every window, with a ridge on a; averaged over the windows that hold a pixel.

    Returns a [9, h, w] and b [3, h, w].
    """
    size = guide.shape[1:]
    guide_mean, values_mean = _mean(guide, radius), _mean(values, radius)
    second = _mean(torch.einsum("ihw,jhw->ijhw", guide, guide).reshape(9, *size), radius).reshape(3, 3, *size)
    cross = _mean(torch.einsum("ihw,jhw->ijhw", values, guide).reshape(9, *size), radius).reshape(3, 3, *size)
    variance = second - torch.einsum("ihw,jhw->ijhw", guide_mean, guide_mean) + RIDGE * torch.eye(3).view(3, 3, 1, 1)
    covariance = cross - torch.einsum("ihw,jhw->ijhw", values_mean, guide_mean)
    gain = torch.linalg.solve(variance.permute(2, 3, 0, 1), covariance.permute(2, 3, 1, 0)).permute(3, 2, 0, 1).reshape(9, *size)
    shift = values_mean - _affine(gain, torch.zeros_like(values_mean), guide_mean)
    return _mean(gain, radius), _mean(shift, radius)


def _affine(gain: Tensor, shift: Tensor, colours: Tensor) -> Tensor:
    return torch.einsum("ijhw,jhw->ihw", gain.reshape(3, 3, *colours.shape[1:]), colours) + shift


def _weigh(change: Tensor, tone: Tensor, poor: Tensor) -> Tensor:
    """s [1, h, w]: 0 where the change is noise, 1 where it is an edit.

    The threshold is twice the change's own lower quartile, a quarter of most pictures being left alone by a local edit. Of an edit of tone
    (`tone` near 1) small changes are part too. Around the edit, s reaches as far as the windows of the fit, which knows the edges better;
    where the fit is poor it follows the change pixel by pixel.
    """
    pixel = change.abs().amax(0, keepdim=True)
    local = _mean(pixel, 1)
    noise = (2 * local[:, ::2, ::2].quantile(0.25)).clamp(*NOISE)
    threshold = (noise * (1 - tone)).clamp_min(0.25 / 255)
    wide = _widest(ramp(local, threshold, 2 * threshold), RADII[-1])
    narrow = ramp(pixel, threshold, 2 * threshold)
    return _mean((1 - poor) * wide + poor * narrow, 1)


def steady_tone(change: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    """Take the patchiness out of an edit of tone; returns the change, and how much it is one (0..1).

    An edit of tone is told by one map of colour, cubic and the same for the whole picture, that explains it. Where what the map leaves is
    coarse, not fine as the lines of a drawing are, it is the model's unevenness: it is shortened by twice its own median length, which
    keeps what stands out, a moon in a night sky. Other edits stay as they are.
    """
    x = guide.reshape(3, -1).T - 0.5
    powers = [itertools.combinations_with_replacement(range(3), degree) for degree in range(4)]
    terms = torch.stack([x[:, list(channels)].prod(1) for channels in itertools.chain(*powers)], dim=1).double()
    values = change.reshape(3, -1).T.double()
    ridge = 1e-4 * len(terms) * torch.eye(terms.shape[1], dtype=torch.float64)
    explained = (terms @ torch.linalg.solve(terms.T @ terms + ridge, terms.T @ values)).T.reshape(change.shape).float()
    rest = change - explained
    tone = ramp(1 - _energy(rest) / _energy(change).clamp_min(1e-12), *TONE)
    coarse = _mean(rest, PATCH)
    patchy = tone * ramp(_energy(coarse) / (_energy(coarse) + _energy(rest - coarse)).clamp_min(1e-12), *PATCHY)
    length = coarse.square().sum(0, keepdim=True).sqrt().clamp_min(1e-6)
    dropped = (patchy * 2 * length[:, ::2, ::2].median() / length).clamp_max(1)
    return change - dropped * coarse, tone


def _energy(x: Tensor) -> Tensor:
    return x.square().sum()


def _shrink(x: Tensor, amount: float) -> Tensor:
    return x.sign() * (x.abs() - amount).clamp_min(0)


def _mean(x: Tensor, radius: int) -> Tensor:
    """Mean over windows of side 2 radius + 1, cut off at the border; [C, h, w]. Wide windows are moved in steps of a quarter radius."""
    step = max(1, radius // 4)
    size, radius = x.shape[1:], radius // step
    side = 2 * radius + 1
    if step > 1:
        x = F.interpolate(x[None], [-(-length // step) for length in size], mode="area")[0]
    x = F.avg_pool2d(x, (side, 1), stride=1, padding=(radius, 0), count_include_pad=False)
    x = F.avg_pool2d(x, (1, side), stride=1, padding=(0, radius), count_include_pad=False)
    return x if step == 1 else F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]


def _widest(x: Tensor, radius: int) -> Tensor:
    """Maximum over windows of side 2 radius + 1."""
    return F.max_pool2d(x, 2 * radius + 1, stride=1, padding=radius)


def _enlarge_rows(x: Tensor, height: int, mode: str) -> Tensor:
    return F.interpolate(x[None], (height, x.shape[2]), mode=mode, align_corners=False, antialias=True)[0]


def _enlarge_columns(x: Tensor, width: int, mode: str) -> Tensor:
    return F.interpolate(x[None], (x.shape[1], width), mode=mode, align_corners=False, antialias=True)[0]
