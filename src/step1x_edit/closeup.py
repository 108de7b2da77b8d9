"""The part of a picture that is worked at, where that is less than the whole of it, and the edge of what may change.

The model works at a fixed area, so that of a large photograph a small subject is drawn with few pixels. Where the surroundings of the
subject are cut out, it is drawn as large as a whole picture is. `EditRequest.zoom` does so about the mask, `EditRequest.refine` about what
an edit changed.

Choice: not in the paper.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from step1x_edit.image_modes import to_grey
from step1x_edit.types import EditRequest

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

MARGIN = 0.45
"""Surroundings of a mask on each side, as share of its longer side: the model is to see what it edits in its place. Chosen among 0.3,
0.45, 0.6 and 1 by what the embedded model makes of small pasted subjects."""
LONGEST = 2.0
"""Longer side of a box over the shorter one, at most."""
STAIRS = 8
"""Steps of a soft edge, at least where it is so wide."""


def find_closeup(request: EditRequest, size: int) -> Box | None:
    """What a model that works at `size` is to be shown of the picture; None for all of it."""
    if not request.zoom or request.image is None or request.mask is None:
        return None
    marked = to_grey(request.mask).getbbox()
    return None if marked is None else surround(marked, request.image.size, size, MARGIN)


def find_shape(request: EditRequest, size: int) -> tuple[int, int]:
    """Width and height of what is to be drawn, in pixels of the picture, or of a picture made from text alone."""
    if request.image is None:
        return request.shape or (1, 1)
    left, top, right, bottom = find_closeup(request, size) or (0, 0, *request.image.size)
    return right - left, bottom - top


def surround(box: Box, picture: tuple[int, int], size: int, margin: float) -> Box:
    """The box with its surroundings, not too long, and of no fewer pixels than a model draws that works at `size`, within the picture.

    `margin` is what is added on each side, as share of the longer side.
    """
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    more = 2 * margin * max(width, height)
    wide, high = max(width + more, float(size)), max(height + more, float(size))
    wide, high = max(wide, high / LONGEST), max(high, wide / LONGEST)
    first, last = _place((left + right) / 2, wide, picture[0])
    upper, lower = _place((top + bottom) / 2, high, picture[1])
    return first, upper, last, lower


def soften(mask: Image.Image, pixels: int) -> Image.Image:
    """The mask, grey, with an edge that fades over so many pixels, all of them inside: nothing that was black gets brighter.

    The borders of the picture are no edges.
    """
    mask = to_grey(mask)
    marked = mask.getbbox()
    if pixels < 1 or marked is None:
        return mask
    step = max(1, pixels // STAIRS)
    left, top, right, bottom = marked
    box = max(0, left - step), max(0, top - step), min(mask.width, right + step), min(mask.height, bottom + step)
    hard = mask.crop(box)
    stairs = [_darkest(hard, step)]
    for _ in range(round(pixels / step)):
        stairs.append(stairs[-1].filter(ImageFilter.MinFilter(3)))
    soft = Image.fromarray(np.mean([np.asarray(stair) for stair in stairs], axis=0).round().astype(np.uint8))
    faded = Image.new("L", mask.size, 0)
    even = soft.resize((soft.width * step, soft.height * step), Image.Resampling.BILINEAR).crop((0, 0, *hard.size))
    faded.paste(ImageChops.darker(even, hard), box[:2])
    return faded


def _darkest(mask: Image.Image, step: int) -> Image.Image:
    """The mask in cells of `step` pixels, each as dark as its darkest one, so that narrow black is not lost."""
    grey = np.asarray(mask)
    grey = np.pad(grey, [(0, -side % step) for side in grey.shape], mode="edge")
    rows, columns = (side // step for side in grey.shape)
    return Image.fromarray(grey.reshape(rows, step, columns, step).min(axis=(1, 3)))


def _place(centre: float, length: float, limit: int) -> tuple[int, int]:
    """A stretch of that length about the centre, moved to lie within 0..limit."""
    length = min(round(length), limit)
    start = min(max(0, round(centre - length / 2)), limit - length)
    return start, start + length
