"""Taking a thing out of a photograph so that nothing of it is left, which removal, addition, replacement and motion share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from step1x_edit.data.colours import to_lab
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found
from step1x_edit.data.tools.filtering import pad, widen
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Mask, Pixels

_ROUNDS = 3
_LARGEST = 0.45
"""Share of the picture that may be filled."""

_SMOOTHEST = 0.3
"""Fine contrast inside the hole as a share of that around it, below which a filling counts as smeared."""

ROLES = ("detector", "segmenter", "inpainter")
"""Roles whose tools take part."""


@dataclass(frozen=True)
class Erased:
    """A photograph without the thing: uint8 [H, W, 3], and the hole that was filled, bool [H, W]."""

    pixels: Pixels
    hole: Mask


def erase(picture: Pixels, found: Found, tools: Toolbox, seed: int) -> Erased | Unsuited:
    """Fill where a thing is; what then still stands out beside the hole belongs to it too, and goes in another round.

    Args:
        picture: uint8 [H, W, 3].
        found: the thing.
        tools: plays the roles of `ROLES`.
        seed: for the inpainter.
    """
    hole = widen_by(found.mask, 0.02)
    for _ in range(_ROUNDS):
        if hole.mean() > _LARGEST:
            return Unsuited("too much would have to be filled", {"share": round(float(hole.mean()), 4)})
        filled = tools.inpainter.inpaint(picture, hole, "", seed)
        left = _find_rest(picture, filled, hole, found, tools)
        if not left.any():
            if (ratio := _compare_texture(filled, hole)) < _SMOOTHEST:
                return Unsuited("what was filled is smeared", {"texture": round(ratio, 3)})
            return Erased(filled, hole)
        if (left & ~hole).sum() < 0.002 * hole.size:
            break
        hole = hole | widen_by(left, 0.015)
    return Unsuited("what was erased can still be seen")


def widen_by(mask: Mask, share: float) -> Mask:
    """Grow a mask on every side by a share of the picture's shorter side."""
    return widen(mask, min(mask.shape) * share)


def _find_rest(picture: Pixels, filled: Pixels, hole: Mask, found: Found, tools: Toolbox) -> Mask:
    """What stands out in the filled picture at or beside the hole and has colours of the thing: bool [H, W]."""
    rest = np.zeros(hole.shape, np.bool_)
    inside = pad(found.box, 0.3, hole.shape).within
    crop, near = np.ascontiguousarray(filled[inside]), widen_by(hole, 0.02)[inside]
    lab = to_lab(filled)[inside]
    own = to_lab(picture)[found.mask]
    colours = own[:: max(1, len(own) // 200)]
    for detection in tools.detector.detect(crop):
        mask = tools.segmenter.segment(crop, detection.box)
        if (mask & near).sum() <= 0.3 * mask.sum() or not 0.0006 * hole.size < mask.sum() < 0.9 * found.mask.sum():
            continue
        sample = lab[mask][:: max(1, int(mask.sum()) // 200)]
        if np.median(np.linalg.norm(sample[:, None] - colours[None], axis=2).min(1)) < 6:
            rest[inside] |= mask
    return rest


def _compare_texture(filled: Pixels, hole: Mask) -> float:
    """Fine contrast inside the hole divided by that in a ring around it; above 1 where the ring is smooth."""
    fine = np.abs(cv2.Laplacian(cv2.cvtColor(filled, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    ring = widen_by(hole, 0.06) & ~hole
    if not ring.any():
        return 1.0
    return float(fine[hole].mean() + 1) / float(fine[ring].mean() + 1)
