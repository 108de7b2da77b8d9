"""Filling a hole with patches from the rest of the picture, coarse to fine. Offline inpainter.

OpenCV's own methods (Telea, Navier-Stokes) smear the border inwards: fine for a scratch, mud for a subject. Here each patch that touches
the hole takes its pixels from the patch outside that is most like it, on a pyramid, so that large structure is settled before detail.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.filtering import grow
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.triplet import Floats, Mask, Pixels

_PATCH = 7
_COARSEST = 32
"""Longer side of the top of the pyramid."""

_FINEST = 256
"""Longer side of the last level at which patches are searched for; above, the places found are scaled up and copied from."""

_ROUNDS, _FEWER, _LARGE = 4, 2, 128
"""Rounds of search and averaging at a level, and at those whose longer side is above `_LARGE`, where most is settled already."""

_Places = npt.NDArray[np.int32]


class PatchFill(BareTool):
    """Coordinate search over patches and averaging of what overlaps, level by level.

    Source: Wexler, Shechtman, Irani, Space-Time Completion of Video, 2007; search by Barnes and others, PatchMatch, 2009.
    """

    @property
    def card(self) -> ToolCard:
        return ToolCard("patchfill", "2", {"patch": _PATCH, "rounds": _ROUNDS, "finest": _FINEST})

    @property
    def reads_prompts(self) -> bool:
        return False

    def inpaint(self, picture: Pixels, hole: Mask, prompt: str = "", seed: int = 0) -> Pixels:
        """Fill the hole from the picture around it; `prompt` is not read."""
        if not hole.any():
            return picture.copy()
        if np.count_nonzero(~hole) < 64 or min(picture.shape[:2]) < 2 * _PATCH:
            return cv2.inpaint(picture, hole.view(np.uint8), 3, cv2.INPAINT_TELEA).astype(np.uint8)
        generator = np.random.default_rng(seed)
        levels = _build_pyramid(picture, hole)
        filled, places = _start(*levels[0]), None
        for index, (known, gap) in enumerate(levels):
            if index:
                shape = known.shape[1::-1]
                filled = np.where(gap[..., None], cv2.resize(filled, shape, interpolation=cv2.INTER_CUBIC), known)
            longest = max(known.shape[:2])
            rounds = 1 if longest > _FINEST else _FEWER if longest > _LARGE else _ROUNDS
            filled, places = _solve(filled, gap, places, generator, rounds=rounds, search=longest <= _FINEST)
        return np.where(hole[..., None], (np.clip(filled, 0, 255) + 0.5).astype(np.uint8), picture)


def _build_pyramid(picture: Pixels, hole: Mask) -> list[tuple[Floats, Mask]]:
    """Coarse to fine: float32 [h, w, 3] and the hole at each size; a coarse pixel averages the known pixels alone."""
    height, width = picture.shape[:2]
    known = (~hole).astype(np.float32)[..., None]
    values = picture.astype(np.float32)
    levels = [(values, hole)]
    longest = max(height, width)
    while longest > _COARSEST:
        longest = round(longest / (2 if longest > _FINEST else 1.6))
        factor = longest / max(height, width)
        shape = (max(_PATCH + 2, round(width * factor)), max(_PATCH + 2, round(height * factor)))
        weight = cv2.resize(known, shape, interpolation=cv2.INTER_AREA)[..., None]
        small = cv2.resize(values * known, shape, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-4)
        gap = weight[..., 0] < 0.5
        if not (~_reach(gap)).any():
            break
        levels.append((np.where(weight > 1e-3, small, 128).astype(np.float32), gap))
    return levels[::-1]


def _reach(hole: Mask) -> Mask:
    """Centres of patches that touch the hole."""
    return grow(hole, _PATCH // 2)


def _drop_border(centres: Mask) -> Mask:
    """Those of the centres whose patches lie inside the picture."""
    inside = np.zeros_like(centres)
    margin = _PATCH // 2
    inside[margin:-margin, margin:-margin] = centres[margin:-margin, margin:-margin]
    return inside


def _start(known: Floats, hole: Mask) -> Floats:
    """A first guess: colours that flow in from the border."""
    pixels = cv2.inpaint(np.clip(known, 0, 255).astype(np.uint8), hole.view(np.uint8), 3, cv2.INPAINT_TELEA)
    return np.where(hole[..., None], pixels.astype(np.float32), known)


def _solve(
    filled: Floats, hole: Mask, places: _Places | None, generator: np.random.Generator, *, rounds: int, search: bool
) -> tuple[Floats, _Places]:
    """Improve the filling at one level; `places` int32 [h, w, 2], (row, column) of the centre of each patch's source."""
    height, width = hole.shape
    wanted, source = _drop_border(_reach(hole)), _drop_border(~_reach(hole))
    if not source.any():
        source = _drop_border(~hole)
    if not source.any() or not wanted.any():
        return filled, places if places is not None else np.zeros((height, width, 2), np.int32)
    targets = np.argwhere(wanted).astype(np.int32)
    options = np.argwhere(source).astype(np.int32)
    if places is None:
        field = np.zeros((height, width, 2), np.int32)
        field[wanted] = options[generator.integers(len(options), size=len(targets))]
    else:
        field = _enlarge_places(places, (height, width))
        lost = wanted & ~source[field[..., 0], field[..., 1]]
        field[lost] = options[generator.integers(len(options), size=int(lost.sum()))]
    confidence = _trust(hole)
    for turn in range(rounds):
        if search:
            _search(filled, field, targets, options, source, generator, steps=5 if turn == 0 else 3)
        elif turn == 0:
            _search(filled, field, targets, options, source, generator, steps=1, far=False)
        filled = _vote(filled, hole, field, targets, confidence)
    return filled, field


def _enlarge_places(places: _Places, shape: tuple[int, int]) -> _Places:
    """Scale a field of places up: the offsets grow with the picture, and neighbours keep their order."""
    height, width = shape
    small_height, small_width = places.shape[:2]
    row = np.minimum((np.arange(height) + 0.5) * small_height / height, small_height - 1).astype(np.int32)
    column = np.minimum((np.arange(width) + 0.5) * small_width / width, small_width - 1).astype(np.int32)
    offset = places[row[:, None], column[None]].astype(np.float32) - np.stack(np.broadcast_arrays(row[:, None], column[None]), -1)
    offset *= np.array([height / small_height, width / small_width], np.float32)
    own = np.stack(np.broadcast_arrays(np.arange(height)[:, None], np.arange(width)[None]), -1)
    found = np.rint(own + offset).astype(np.int32)
    margin = _PATCH // 2
    found[..., 0] = np.clip(found[..., 0], margin, height - 1 - margin)
    found[..., 1] = np.clip(found[..., 1], margin, width - 1 - margin)
    return found


def _trust(hole: Mask) -> Floats:
    """Weight of a patch's vote: large near the border of the hole, where more of it is known; float32 [h, w]."""
    distance = cv2.distanceTransform(hole.view(np.uint8), cv2.DIST_L2, 3)
    return np.power(1.3, -distance).astype(np.float32)


def _measure(patches: Floats, views: Floats, at: _Places) -> Floats:
    """Squared distance of patches [N, D] to those around places [N, 2]."""
    difference = patches - views[at[:, 0], at[:, 1]].reshape(len(at), -1)
    return np.einsum("nd,nd->n", difference, difference)


def _search(
    filled: Floats,
    field: _Places,
    targets: _Places,
    options: _Places,
    source: Mask,
    generator: np.random.Generator,
    *,
    steps: int,
    far: bool = True,
) -> None:
    """Find better places, in place: those of neighbours moved along, random ones ever nearer to the present one, and any."""
    height, width = source.shape
    margin = _PATCH // 2
    views = _view_patches(filled)
    patches = views[targets[:, 0], targets[:, 1]].reshape(len(targets), -1)
    best = field[targets[:, 0], targets[:, 1]]
    cost = _measure(patches, views, best)

    def offer(places: _Places) -> None:
        nonlocal best, cost
        places = np.clip(places, margin, [height - 1 - margin, width - 1 - margin]).astype(np.int32)
        usable = source[places[:, 0], places[:, 1]] & (places != best).any(1)
        rows = np.flatnonzero(usable)
        if not len(rows):
            return
        found = _measure(patches[rows], views, places[rows])
        better = found < cost[rows]
        rows, found = rows[better], found[better]
        best[rows], cost[rows] = places[rows], found
        field[targets[rows, 0], targets[rows, 1]] = places[rows]

    reach = max(height, width) / 2
    for step in range(steps):
        jump = max(1, 2 ** (steps - 1 - step) // 2) if far else 1
        for shift in ((0, jump), (0, -jump), (jump, 0), (-jump, 0)):
            near = np.clip(targets + np.array(shift, np.int32), 0, [height - 1, width - 1])
            place = field[near[:, 0], near[:, 1]]
            offer(np.where(place[:, :1] > 0, place - np.array(shift, np.int32), best))
        if far:
            offer(options[generator.integers(len(options), size=len(targets))])
            offer(best + np.rint(generator.uniform(-reach, reach, size=best.shape)).astype(np.int32))
            reach = max(2.0, reach * 0.4)


def _view_patches(filled: Floats) -> Floats:
    """All patches as a view without a copy: [h, w, patch, patch, 3] float32, the border repeated outwards."""
    margin = _PATCH // 2
    padded = cv2.copyMakeBorder(filled.astype(np.float32), margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), axis=(0, 1))


def _vote(filled: Floats, hole: Mask, field: _Places, targets: _Places, confidence: Floats) -> Floats:
    """Every patch over a pixel of the hole puts its source's colour there; the weighted mean wins: float32 [h, w, 3]."""
    height, width = hole.shape
    margin = _PATCH // 2
    total = np.zeros((height * width, 3), np.float64)
    weight = np.zeros(height * width, np.float64)
    places = field[targets[:, 0], targets[:, 1]]
    views = _view_patches(filled)
    patches = views[targets[:, 0], targets[:, 1]].reshape(len(targets), -1)
    error = np.sqrt(_measure(patches, views, places) / patches.shape[1])
    scale = max(float(np.percentile(error, 60)), 1.0)
    trust = np.exp(-(error**2) / (2 * scale**2)).astype(np.float64) * confidence[targets[:, 0], targets[:, 1]] + 1e-6
    for down in range(-margin, margin + 1):
        for right in range(-margin, margin + 1):
            index = (targets[:, 0] + down) * width + targets[:, 1] + right
            colour = filled[places[:, 0] + down, places[:, 1] + right]
            weight += np.bincount(index, trust, height * width)
            for channel in range(3):
                total[:, channel] += np.bincount(index, trust * colour[:, channel], height * width)
    voted: Floats = total / np.maximum(weight, 1e-12)[:, None]
    replace: Mask = hole & (weight > 0).reshape(height, width)
    return np.where(replace[..., None], voted.reshape(height, width, 3), filled).astype(np.float32)
