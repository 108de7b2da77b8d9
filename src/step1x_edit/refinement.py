"""A second pass over the region that an edit changed, drawn as large as the model draws a whole picture.

    result = next(editor.edit_seeds(EditRequest(image, "paint the door red", refine=0.5), [0]))

The surroundings of the change are cut out of the original and edited again by the same instruction, from the first result on, and what came
of it is put in the first result's place, if it is the same edit: what is cut out may mean something else, as "on the left" does. Outside
the box nothing is touched; inside it, what lies within the mask may change, or where there is none what the first pass changed, and a band
about it.

Choice: not in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from step1x_edit.closeup import Box, find_closeup, soften, surround
from step1x_edit.image_modes import flatten, to_standard
from step1x_edit.types import EditRequest, EditResult

STRONG = 0.25
"""Share of the strongest changes from which a change counts for the box; specks far from the edit do not widen it."""
MARGIN = 0.3
"""Surroundings of the change on each side, as share of its longer side."""
BORDER = 0.02
"""Width of the band around the change in which the second pass fades out, as share of the box's longer side."""
LEAST_GAIN = 1.25
"""The box is drawn at least so much larger than before, or it is left alone."""
SAME, COMPARED = 0.85, 64
"""From which cosine on two changes are the same edit, seen at so many pixels a side, where detail that the second one adds does not count.
Chosen on pasted subjects: no addition reached it, of which nearly all came out worse; nearly all edits of what is there did."""

NOWHERE = "The second pass was left out: there is no change that it could draw larger."
ANOTHER = "The second pass would have made another edit than the first, whose result this is."


@dataclass(frozen=True)
class Region:
    """Where the second pass acts: a box, and within it a mask of its size, white inside, whose edges are as soft as they are to be."""

    box: Box
    mask: Image.Image

    def cut(self, request: EditRequest, first: EditResult, strength: float) -> EditRequest:
        """The request of the second pass."""
        assert request.image is not None
        original, start = to_standard(request.image).image.crop(self.box), first.image.crop(self.box)
        return replace(request, image=original, start=start, mask=self.mask, feather=0, strength=strength, refine=None, zoom=False)

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
    before, after = (flatten(to_standard(each).image) for each in (request.image, result.image))
    change = np.asarray(ImageChops.difference(before, after)).max(axis=-1)
    if not change.any():
        return None
    strong = change >= max(1.0, STRONG * float(np.percentile(change[change > 0], 99)))
    picture = change.shape[1], change.shape[0]
    box, seen = surround(_bounds(strong), picture, request.size, MARGIN), find_closeup(request, request.size) or (0, 0, *picture)
    if _area(seen) < LEAST_GAIN**2 * _area(box):
        return None
    if request.mask is not None:
        return Region(box, soften(request.mask, request.feather).crop(box))
    left, top, right, bottom = box
    touched = change[top:bottom, left:right] > 0
    border = max(1, round(BORDER * max(touched.shape)))
    grown = _to_mask(_grow(touched, border)).filter(ImageFilter.BoxBlur(border / 2))
    return Region(box, ImageChops.lighter(grown, _to_mask(touched)))


def _grow(marked: np.ndarray, pixels: int) -> np.ndarray:
    """What is marked in a bool [H, W], and what lies within so many rows and columns of it."""
    for _ in range(2):  # down the columns, then along the rows; counting takes as long for a wide band as for a narrow one
        places, height = np.arange(len(marked)), len(marked)
        above = np.pad(marked.cumsum(axis=0, dtype=np.int32), [(1, 0), (0, 0)])
        marked = (above[np.minimum(places + pixels + 1, height)] > above[np.maximum(places - pixels, 0)]).T
    return marked


def _to_mask(marked: np.ndarray) -> Image.Image:
    return Image.fromarray((marked * 255).astype(np.uint8))


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


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _bounds(marked: np.ndarray) -> Box:
    """What is marked in a bool [H, W]."""
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
