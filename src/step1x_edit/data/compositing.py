"""Pasting a subject onto a picture: size, place, mirror, turn, light and shadow, with the exact mask of what it covers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Floats, Mask, Pixels

MARGIN = 0.04
"""Distance of a subject "on the left" from the left border, as a share of the side."""


@dataclass(frozen=True)
class Sprite:
    """A subject at its final size and look: `rgb` float32 [h, w, 3] 0..1, not multiplied by alpha; `alpha` float32 [h, w, 1] 0..1."""

    rgb: Floats
    alpha: Floats

    @property
    def mask(self) -> Mask:
        """Where it is visible at all: bool [h, w]."""
        return self.alpha[..., 0] > 1 / 255


def scale_subject(pixels: Pixels, side: int, *, mirrored: bool = False, light: float = 1.0, aspect: float = 1.0) -> Sprite:
    """Scale a subject so that its longer side has `side` pixels.

    Args:
        pixels: uint8 [h, w, 4], colours multiplied by alpha.
        side: pixels, at least 1.
        mirrored: swap left and right.
        light: factor on the colours, around 1.
        aspect: of the frame it is for, see `materials.Materials`: it is made so much narrower before its longer side is taken.
    """
    height, width = pixels.shape[0], pixels.shape[1] / aspect
    factor = side / max(height, width)
    shape = (max(1, round(width * factor)), max(1, round(height * factor)))
    scaled = cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR).astype(np.float32) / 255
    if mirrored:
        scaled = scaled[:, ::-1]
    alpha = scaled[..., 3:]
    rgb = scaled[..., :3] / np.maximum(alpha, 1 / 255)
    return Sprite(np.clip(rgb * light, 0, 1), np.ascontiguousarray(alpha))


def turn_sprite(sprite: Sprite, quarters: int, aspect: float = 1.0) -> Sprite:
    """Turn a sprite by `quarters` times 90 degrees, anticlockwise, in a frame of this aspect; see `materials.Materials`."""
    rgb, alpha = (np.ascontiguousarray(np.rot90(each, quarters)) for each in (sprite.rgb, sprite.alpha))
    if quarters % 2 and aspect != 1:
        shape = (max(1, round(alpha.shape[1] / aspect)), max(1, round(alpha.shape[0] * aspect)))
        rgb, alpha = (cv2.resize(each, shape, interpolation=cv2.INTER_AREA).astype(np.float32) for each in (rgb, alpha))
    return Sprite(rgb, alpha.reshape(*alpha.shape[:2], 1))


def place_box(size: int, width: int, height: int, x: float, y: float, margin: float = MARGIN) -> tuple[int, int]:
    """Turn a relative place (0 flush left or top, 1 flush right or bottom) into the left and top pixel of a box that fits the frame."""
    edge = round(size * margin)
    return _along(size, width, edge, x), _along(size, height, edge, y)


def _along(size: int, length: int, edge: int, share: float) -> int:
    room = size - 2 * edge - length
    if room < 0:
        return (size - length) // 2
    return edge + round(room * share)


def centre_on(box: Box, sprite: Sprite, size: int) -> tuple[int, int]:
    """The left and top pixel of a sprite around the middle of a box, moved into the frame where it would stick out."""
    height, width = sprite.alpha.shape[:2]
    left = min(max((box.left + box.right - width) // 2, 0), max(size - width, 0))
    return left, min(max((box.top + box.bottom - height) // 2, 0), max(size - height, 0))


def paste(canvas: Pixels, sprite: Sprite, left: int, top: int) -> Mask:
    """Draw a sprite onto a canvas, in place; what falls outside of the canvas is cut off.

    Args:
        canvas: uint8 [H, W, 3], changed.
        sprite: what to draw.
        left: column of its left border, may be negative.
        top: row of its top border, may be negative.

    Returns:
        bool [H, W], the pixels it covers wholly or in part.
    """
    height, width = sprite.alpha.shape[:2]
    rows = slice(max(top, 0), min(top + height, canvas.shape[0]))
    columns = slice(max(left, 0), min(left + width, canvas.shape[1]))
    mask = np.zeros(canvas.shape[:2], np.bool_)
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return mask
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    alpha = sprite.alpha[inner]
    under = canvas[rows, columns].astype(np.float32)
    blended = under + (sprite.rgb[inner] * 255 - under) * alpha
    canvas[rows, columns] = (blended + 0.5).astype(np.uint8)
    mask[rows, columns] = sprite.mask[inner]
    return mask


def cast_shadow(canvas: Pixels, sprite: Sprite, left: int, top: int) -> Mask:
    """Darken the canvas softly below and beside where a sprite will be pasted, in place; returns the pixels it covers."""
    size = canvas.shape[0]
    soft = max(1, round(size * 0.03))
    pad = 3 * soft
    alpha = cv2.copyMakeBorder(sprite.alpha[..., 0], pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    alpha = cv2.blur(cv2.blur(alpha, (soft * 2 + 1, soft * 2 + 1)), (soft * 2 + 1, soft * 2 + 1))
    shade = Sprite(np.zeros((*alpha.shape, 3), np.float32), (alpha * 0.4)[..., None].astype(np.float32))
    return paste(canvas, shade, left - pad + soft, top - pad + soft)
