"""Filtering and blending of pictures, and what masks and boxes are reckoned with: what many tools and routes share."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Floats, Mask, Pixels


def guide(values: Floats, picture: Pixels, radius: int, epsilon: float = 1e-3) -> Floats:
    """Smooth a map so that its edges follow the picture's: the guided filter with a grey guide.

    Args:
        values: float32 [H, W].
        picture: uint8 [H, W, 3].
        radius: half side of the window in pixels.
        epsilon: variance of the guide, of values 0..1, below which a window counts as flat.

    Returns:
        float32 [H, W].

    Source: He, Sun, Tang, Guided Image Filtering, 2010.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    window = (2 * radius + 1, 2 * radius + 1)

    def mean(array: Floats) -> Floats:
        return cv2.blur(array, window, borderType=cv2.BORDER_REFLECT)

    values = values.astype(np.float32)
    mean_grey, mean_values = mean(grey), mean(values)
    slope = (mean(grey * values) - mean_grey * mean_values) / (mean(grey * grey) - mean_grey * mean_grey + epsilon)
    return mean(slope) * grey + mean(mean_values - slope * mean_grey)


def tidy(mask: Mask, smallest: float = 0.1) -> Mask:
    """Drop parts smaller than a share of the largest one, and fill holes that are as small: bool [H, W]."""
    kept = _drop_small(mask, smallest)
    return ~_drop_small(~kept, smallest * 0.3, of=int(kept.sum()))


def _drop_small(mask: Mask, share: float, of: int | None = None) -> Mask:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count < 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return (areas >= share * (areas.max() if of is None else of))[labels] & mask


def grow(mask: Mask, pixels: int = 2) -> Mask:
    """Dilate a mask by some pixels in every direction, with square corners: bool [H, W]."""
    side = 2 * pixels + 1
    return cv2.dilate(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)


def widen(mask: Mask, reach: float) -> Mask:
    """Grow a mask by so many pixels, at least one, in every direction, with round corners: bool [H, W]."""
    side = 2 * max(1, round(reach)) + 1
    return cv2.dilate(mask.view(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))).view(np.bool_)


def blend(picture: Pixels, region: Mask, changed: Floats, border: float) -> Pixels:
    """Lay what has changed over a picture, inside a region alone: uint8 [H, W, 3].

    Args:
        picture: uint8 [H, W, 3].
        region: bool [H, W].
        changed: float32 [H, W, 3], 0..255.
        border: pixels inside the region's border over which both mix.
    """
    inner = cv2.distanceTransform(np.pad(region, 1, mode="edge").view(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    mixed = picture + np.clip(inner / border, 0, 1)[..., None] * (changed - picture)
    return np.where(region[..., None], (np.clip(mixed, 0, 255) + 0.5).astype(np.uint8), picture)


def bound(mask: Mask) -> Box:
    """The smallest box around a mask; an empty one at the origin where nothing is marked."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Box(0, 0, 0, 0)
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def pad(box: Box, share: float, shape: tuple[int, ...]) -> Box:
    """Widen a box on each side by a share of its longer side, inside a picture of that shape [H, W, ...]."""
    step = round(max(box.width, box.height) * share)
    height, width = shape[:2]
    return Box(max(box.left - step, 0), max(box.top - step, 0), min(box.right + step, width), min(box.bottom + step, height))


def overlap(one: Box, two: Box) -> float:
    """What two boxes share of what they cover together: intersection over union."""
    shared = Box(max(one.left, two.left), max(one.top, two.top), min(one.right, two.right), min(one.bottom, two.bottom)).area
    return shared / max(one.area + two.area - shared, 1)


def shrink(picture: Pixels, longest: int, method: int = cv2.INTER_AREA) -> Pixels:
    """Scale a picture, or a map of bytes, so that its longer side is at most `longest`."""
    height, width = picture.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return picture
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(picture, shape, interpolation=method).astype(np.uint8)
