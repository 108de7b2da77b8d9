"""A second pass over the region that an edit changed, drawn as large as the model draws a whole picture.

    result = next(editor.edit_seeds(EditRequest(image, "paint the door red", refine=0.5), [0]))

The model works at a fixed area, so that of a large photograph a small subject is drawn with few pixels. Here the surroundings of the change
are cut out of the original and edited again by the same instruction, from the first result on, and what came of it is put in the first
result's place, if it is the same edit: what is cut out may mean something else, as "on the left" does. Outside the box nothing is touched;
inside it, what the first pass left alone stays as it was, to the last bit.

Choice: not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.types import EditRequest, EditResult

STRONG = 0.25
"""Share of the strongest changes from which a change counts for the box; specks far from the edit do not widen it."""
MARGIN = 0.3
"""Surroundings on each side of the change, as share of its longer side: the model is to see what it edits in its place."""
BORDER = 0.02
"""Width of the band around the change in which the second pass fades out, as share of the box's longer side."""
LEAST_GAIN = 1.25
"""The box is drawn at least so much larger than before, or it is left alone."""
LONGEST = 2.0
"""Longer side of the box over the shorter one, at most."""
SAME, COMPARED = 0.85, 64
"""From which cosine on two changes are the same edit, seen at so many pixels a side, where detail that the second one adds does not count.
Chosen on pasted subjects: no addition reached it, of which nearly all came out worse; nearly all edits of what is there did."""

NOWHERE = "The second pass was left out: there is no change that it could draw larger."
ANOTHER = "The second pass would have made another edit than the first, whose result this is."


@dataclass(frozen=True)
class Region:
    """Where the second pass acts: a box of pixels (left, top, right, bottom), and within it a mask of its size, white inside."""

    box: tuple[int, int, int, int]
    mask: Image.Image

    def cut(self, request: EditRequest, first: EditResult, strength: float) -> EditRequest:
        """The request of the second pass."""
        assert request.image is not None
        original, start = to_standard(request.image).image.crop(self.box), first.image.crop(self.box)
        return replace(request, image=original, start=start, mask=self.mask, strength=strength, refine=None)

    def put_back(self, first: EditResult, second: EditResult) -> EditResult:
        """The first result with the second one in its place, if both are the same edit, else with a note; `seconds` are those of both."""
        seconds = {step: first.seconds.get(step, 0.0) + second.seconds.get(step, 0.0) for step in {**first.seconds, **second.seconds}}
        if not _goes_on(second):
            return replace(first, seconds=seconds, notes=(*first.notes, ANOTHER))
        image = first.image.copy()
        image.paste(second.image, self.box[:2])
        return replace(first, image=image, seconds=seconds)


def find_region(result: EditResult) -> Region | None:
    """Where a second pass is worth while; None where nothing changed, or so much that it would be drawn hardly larger."""
    request = result.request
    if request.image is None or request.size is None:
        return None
    before, after = (np.asarray(flatten(to_standard(each).image)).astype(np.int16) for each in (request.image, result.image))
    change = np.abs(after - before).max(axis=-1)
    if not change.any():
        return None
    strong = change >= max(1.0, STRONG * float(np.percentile(change[change > 0], 99)))
    box = _widen(_bounds(strong), (change.shape[1], change.shape[0]), request.size)
    left, top, right, bottom = box
    if change.size < LEAST_GAIN**2 * (right - left) * (bottom - top):
        return None
    if request.mask is not None:
        return Region(box, request.mask.convert("L").crop(box))
    border = max(1, round(BORDER * max(right - left, bottom - top)))
    touched = Image.fromarray(((change > 0) * 255).astype(np.uint8)).crop(box)
    grown = touched.filter(ImageFilter.MaxFilter(2 * border + 1)).filter(ImageFilter.BoxBlur(border / 2))
    return Region(box, Image.fromarray(np.maximum(np.asarray(grown), np.asarray(touched))))


def _goes_on(second: EditResult) -> bool:
    """Whether a second pass changes the picture as its start does, which is what the first one made of it."""
    request = second.request
    assert request.image is not None
    assert request.start is not None
    before = _reduce(request.image)
    once, twice = (_reduce(each) - before for each in (request.start, second.image))
    least = SAME * float(np.linalg.norm(once)) * float(np.linalg.norm(twice))
    return bool(once.any() and twice.any()) and float(np.vdot(once, twice)) >= least


def _reduce(picture: Image.Image) -> np.ndarray:
    """The colours of a picture that is in standard form, at the size at which changes are compared, float32."""
    return np.asarray(flatten(picture).resize((COMPARED, COMPARED), Image.Resampling.BOX)).astype(np.float32)


def _bounds(marked: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is marked in a bool [H, W]."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _widen(box: tuple[int, int, int, int], picture: tuple[int, int], size: int) -> tuple[int, int, int, int]:
    """The box with its surroundings, not too long, and of no fewer pixels than the model draws, within the picture."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    margin = 2 * MARGIN * max(width, height)
    wide, high = max(width + margin, float(size)), max(height + margin, float(size))
    wide, high = max(wide, high / LONGEST), max(high, wide / LONGEST)
    first, last = _place((left + right) / 2, wide, picture[0])
    upper, lower = _place((top + bottom) / 2, high, picture[1])
    return first, upper, last, lower


def _place(centre: float, length: float, limit: int) -> tuple[int, int]:
    """A stretch of that length about the centre, moved to lie within 0..limit."""
    length = min(round(length), limit)
    start = min(max(0, round(centre - length / 2)), limit - length)
    return start, start + length
