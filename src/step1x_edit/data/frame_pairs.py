"""Pairs of frames in which one thing moves and all else stays. Source: paper, motion change: optical flow between frames of videos.

Every pair that is refused has a reason, so that it can be counted why a clip gave few.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.clips import Sample
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.tools.filtering import bound, tidy, widen
from step1x_edit.data.tools.protocols import FlowEstimator, Matting
from step1x_edit.data.tools.scores import measure_sharpness
from step1x_edit.data.triplet import Floats, Mask, Pixels

GAPS = (1, 2, 4, 8)
"""How many samples apart the frames of a pair lie."""

_SHARPEST = 3.0
"""`measure_sharpness` below which a frame is blurred; also below half of the other frame's."""

_STILL = 0.004
"""Flow of the background, as a share of the longer side, above which the camera moves."""

_MOVING = 0.008
"""Flow beyond the background's, as a share of the longer side, from which on something moves."""

_SMALLEST, _LARGEST = 0.008, 0.3
"""Share of the frame that what moves may cover."""

STEP, _GROWTH = 0.035, 1.18
"""Least motion of its middle as a share of the longer side, or else least change of its size, to speak of."""

_OUTSIDE = 7.0
"""Mean absolute difference of all else, of 255, above which the light or the background changes."""

_CHANGED = 14
"""Difference of a pixel, of 255, that counts as a change."""


@dataclass(frozen=True)
class Motion:
    """What moved between two frames, at the size at which they were compared.

    Attributes:
        before: bool [h, w], where it was.
        after: bool [h, w], where it is.
        touched: bool [h, w], everything that changed with it, its shadow too.
        right, down: how far its middle moved, as shares of the longer side.
        growth: its width and height in the second frame as a multiple of those in the first.
        numbers: JSON-able figures behind the choice.
    """

    before: Mask
    after: Mask
    touched: Mask
    right: float
    down: float
    growth: float
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """How far its middle moved, as a share of the longer side."""
        return float(np.hypot(self.right, self.down))

    @property
    def amount(self) -> float:
        """How much moves: the step and the change of size together."""
        return self.step + abs(float(np.log(self.growth)))


@dataclass(frozen=True)
class FramePair:
    """Two frames, by number and by time in seconds, and how much moves between them.

    It is small, since clips hold many: what moved is found again, by `compare`, where a pair is used.
    """

    numbers: tuple[int, int]
    seconds: tuple[float, float]
    amount: float


@dataclass(frozen=True)
class Search:
    """What a clip gave: pairs that do not overlap in time, and how many were refused for which reason."""

    pairs: tuple[FramePair, ...]
    refused: dict[str, int]


def find_pairs(samples: Iterable[Sample], flow: FlowEstimator, matting: Matting | None = None) -> Search:
    """Look for pairs among frames that come one after the other.

    Each frame is compared with those up to eight samples before it. Of the pairs that would do, those in which most moves are taken, and
    none that overlaps with one of them in time, so that no two triplets are of the same moment.

    Args:
        samples: frames in their order; the last eight are held.
        flow: says where pixels go.
        matting: says what is foreground, where a model is chosen for it; what moves must then belong to it. Source: paper.
    """
    held: deque[Sample] = deque(maxlen=max(GAPS))
    found: list[FramePair] = []
    refused: Counter[str] = Counter()
    for sample in samples:
        if held and _is_cut(held[-1].pixels, sample.pixels):
            refused["there is a cut between the frames"] += 1
            held.clear()
        for gap in (gap for gap in GAPS if gap <= len(held)):
            motion = compare(held[-gap].pixels, sample.pixels, flow, matting)
            if isinstance(motion, Motion):
                first = held[-gap]
                found.append(FramePair((first.number, sample.number), (first.seconds, sample.seconds), motion.amount))
            else:
                refused[motion.reason] += 1
        held.append(sample)
    taken: list[FramePair] = []
    for pair in sorted(found, key=lambda pair: (-pair.amount, pair.numbers)):
        if all(pair.numbers[1] <= other.numbers[0] or pair.numbers[0] >= other.numbers[1] for other in taken):
            taken.append(pair)
        else:
            refused["it overlaps with a better pair"] += 1
    return Search(tuple(sorted(taken, key=lambda pair: pair.numbers)), dict(sorted(refused.items())))


def compare(first: Pixels, second: Pixels, flow: FlowEstimator, matting: Matting | None = None) -> Motion | Unsuited:
    """Say what moved between two frames of one size, uint8 [h, w, 3], or why they make no pair."""
    side = max(first.shape[:2])
    if _is_cut(first, second):
        return Unsuited("there is a cut between the frames")
    sharp = measure_sharpness(first), measure_sharpness(second)
    if min(sharp) < max(_SHARPEST, 0.5 * max(sharp)):
        return Unsuited("a frame is blurred", {"sharpness": round(min(sharp), 2)})
    change = cv2.GaussianBlur(cv2.absdiff(first, second).max(2), (0, 0), 1.5) > _CHANGED
    if change.mean() < 0.3 * _SMALLEST:
        return Unsuited("nothing moves", {"changed": round(float(change.mean()), 5)})
    forth = flow.flow(first, second)
    drift = float(np.linalg.norm(np.median(forth.reshape(-1, 2), axis=0))) / side
    if drift > _STILL:
        return Unsuited("the camera moves", {"drift": round(drift, 4)})
    back = flow.flow(second, first)
    before, after = _find_moving(forth, back, change), _find_moving(back, forth, change)
    if min(before.mean(), after.mean()) < _SMALLEST:
        return Unsuited("what moves is too small, or cannot be followed", {"share": round(float(min(before.mean(), after.mean())), 4)})
    parts = [_take_main(mask) for mask in (before, after)]
    if min(part.sum() / mask.sum() for part, mask in zip(parts, (before, after), strict=True)) < 0.75:
        return Unsuited("several things move")
    before, after = parts
    if matting is not None:
        front = float(min((matting.matte(frame) > 0.5)[mask].mean() for frame, mask in ((first, before), (second, after))))
        if front < 0.6:
            return Unsuited("what moves is not the foreground", {"foreground": round(front, 3)})
    fit = _fit(forth, before, after)
    if fit is None:
        return Unsuited("how it moves cannot be said")
    return _measure(first, second, before, after, change, fit, drift)


def _fit(flow: Floats, before: Mask, after: Mask) -> tuple[float, float, float] | None:
    """The shift, turn and change of size that nearly all of its pixels share, and that takes the one mask to the other.

    Returns:
        How far its middle goes to the right and down in pixels, and by which factor it grows; None where there is no such motion.
    """
    rows, columns = np.nonzero(before)
    places = np.ascontiguousarray(np.stack([columns, rows], 1).astype(np.float32)[:: max(1, len(rows) // 2000)])
    aims = places + flow[places[:, 1].astype(int), places[:, 0].astype(int)]
    matrix, agreeing = cv2.estimateAffinePartial2D(places, aims, method=cv2.RANSAC, ransacReprojThreshold=2.0)
    if matrix is None or float(agreeing.mean()) < 0.6:
        return None
    carried = cv2.warpAffine(before.view(np.uint8), matrix, before.shape[1::-1], flags=cv2.INTER_NEAREST) > 0
    if (carried & after).sum() < 0.6 * (carried | after).sum():
        return None
    middle = np.array([columns.mean(), rows.mean(), 1.0])
    right, down = matrix @ middle - middle[:2]
    return float(right), float(down), float(np.sqrt(np.linalg.det(matrix[:, :2])))


def _measure(
    first: Pixels, second: Pixels, before: Mask, after: Mask, change: Mask, fit: tuple[float, float, float], drift: float
) -> Motion | Unsuited:
    side = max(before.shape)
    touched = widen(before | after, 0.02 * side)
    near = widen(touched, 0.06 * side)
    touched |= widen(change & near, 0.01 * side)
    share = float(max(before.mean(), after.mean()))
    if share > _LARGEST or touched.mean() > 2 * _LARGEST:
        return Unsuited("what moves is too large", {"share": round(share, 4)})
    outside = float(cv2.absdiff(first, second)[~touched].mean())
    beside = float((change & ~touched).sum() / max(int((before | after).sum()), 1))
    if outside > _OUTSIDE or beside > 0.5:
        return Unsuited("the background or its light changes", {"outside": round(outside, 2), "beside": round(beside, 3)})
    if any(box.is_cut_off(before.shape) for box in (bound(before), bound(after))):
        return Unsuited("what moves is cut off by the frame")
    step, growth = (fit[0] / side, fit[1] / side), fit[2]
    if np.hypot(*step) < STEP and max(growth, 1 / growth) < _GROWTH:
        return Unsuited("it moves too little to speak of", {"step": round(float(np.hypot(*step)), 4), "growth": round(growth, 3)})
    numbers = {"drift": round(drift, 5), "outside": round(outside, 2), "share": round(share, 4), "growth": round(growth, 3)}
    return Motion(before, after, touched, step[0], step[1], growth, numbers)


def _find_moving(forth: Floats, back: Floats, change: Mask) -> Mask:
    """Where a frame's pixels go somewhere else than its background's, and come back from there: bool [h, w].

    What is about to be covered has no place in the other frame: its flow is a guess, which the way back does not confirm. Neither is flow
    to be believed where nothing changes: in a plain sky anything fits anywhere.
    """
    height, width = forth.shape[:2]
    side = max(height, width)
    usual = np.median(forth.reshape(-1, 2), axis=0)
    moving = np.linalg.norm(forth - usual, axis=2) > _MOVING * side
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    returned = cv2.remap(back, x + forth[..., 0], y + forth[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1e4)
    length = np.linalg.norm(forth, axis=2)
    confirmed = np.linalg.norm(forth + returned, axis=2) < 1.5 + 0.25 * length
    mask = (moving & confirmed & widen(change, 0.02 * side)).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9)))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    contours, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(mask), contours, -1, 1, cv2.FILLED)  # the middle of what grows stays where it is
    return tidy(filled.view(np.bool_), 0.05)


def _take_main(mask: Mask) -> Mask:
    """The largest connected part."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    if count < 2:
        return mask
    main: Mask = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return main


def _is_cut(first: Pixels, second: Pixels) -> bool:
    """Whether two frames are of different scenes: most of their places, or many places and the colours too, are others."""
    if first.shape != second.shape:
        return True
    counts: list[Any] = [cv2.calcHist([frame], [0, 1, 2], None, [6, 6, 6], [0, 256] * 3) for frame in (first, second)]
    alike = cv2.compareHist(counts[0], counts[1], cv2.HISTCMP_INTERSECT) / (first.shape[0] * first.shape[1])
    small = [cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32) for frame in (first, second)]
    other = float((np.abs(small[0] - small[1]).max(2) > 40).mean())
    return bool(other > 0.6 or (other > 0.3 and alike < 0.55))
