"""GrabCut: a saliency map, or a box, becomes the exact region of a thing. Offline detector, segmenter and matting."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.filtering import grow, guide, pad, shrink, tidy
from step1x_edit.data.tools.protocols import Box, Detection, ToolCard
from step1x_edit.data.tools.saliency import measure_saliency
from step1x_edit.data.triplet import Floats, Mask, Pixels

_SIDE = 192
"""Longer side in pixels at which colours are modelled and the cut is made; a guided filter brings it to full size."""

_ROUNDS = 3
_SMALLEST = 0.004
"""Share of the picture below which something is not worth finding."""


class GrabCut(BareTool):
    """Colour models of inside and outside, and a minimal cut between them, which starts from what stands out.

    It sees that there is a thing, not which: its detections have no names.

    Source: Rother, Kolmogorov, Blake, GrabCut, 2004.
    """

    @property
    def card(self) -> ToolCard:
        return ToolCard("grabcut", f"opencv {cv2.__version__}", {"side": _SIDE, "rounds": _ROUNDS})

    def detect(self, picture: Pixels) -> tuple[Detection, ...]:
        """Box the separate parts of what stands out, the clearest first; they have no names."""
        small, factor = shrink(picture, _SIDE), _measure_factor(picture)
        saliency = _measure(picture, small)
        mask = _cut_salient(small, saliency)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        found = []
        for index in range(1, count):
            left, top, wide, high, area = map(int, stats[index])
            box = Box.around((edge / factor for edge in (left, top, left + wide, top + high)), picture.shape)
            if area >= _SMALLEST * mask.size:
                found.append(Detection(box, "", round(float(saliency[labels == index].mean()), 4)))
        return tuple(sorted(found, key=lambda item: (-item.score, item.box)))

    def segment(self, picture: Pixels, box: Box) -> Mask:
        """Mark the thing in the box: bool [H, W]."""
        return self.matte(picture, box) > 0.5

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        """Opacity of what is in the box, or else of what stands out: float32 [H, W]."""
        if box is None:
            small = shrink(picture, _SIDE)
            return _enlarge(_cut_salient(small, _measure(picture, small)), picture)
        whole = np.zeros(picture.shape[:2], np.float32)
        frame = pad(box, 0.25, picture.shape)
        if box.area == 0 or frame.area == 0:
            return whole
        saliency = measure_saliency(picture)[frame.within]
        crop = np.ascontiguousarray(picture[frame.within])
        small, factor = shrink(crop, _SIDE), _measure_factor(crop)
        inner = Box(
            int((box.left - frame.left) * factor),
            int((box.top - frame.top) * factor),
            math.ceil((box.right - frame.left) * factor),
            math.ceil((box.bottom - frame.top) * factor),
        )
        mask = _cut_box(small, cv2.resize(saliency, small.shape[1::-1], interpolation=cv2.INTER_AREA), inner)
        whole[frame.within] = _enlarge(mask, crop)
        return whole


def _measure_factor(picture: Pixels) -> float:
    """How large a picture is at `_SIDE`, as a share of its own size."""
    return min(1.0, _SIDE / max(picture.shape[:2]))


def _measure(picture: Pixels, small: Pixels) -> Floats:
    """Saliency of a picture, as large as `small`. Every tool measures the picture itself, so that this is done once."""
    return cv2.resize(measure_saliency(picture), small.shape[1::-1], interpolation=cv2.INTER_AREA)


def _cut_salient(picture: Pixels, saliency: Floats) -> Mask:
    """What stands out in a small picture; nothing where nothing clearly does."""
    level = max(0.45, 1.5 * float(saliency.mean()))
    if np.count_nonzero(saliency > level) < _SMALLEST * saliency.size:
        return np.zeros(saliency.shape, np.bool_)
    labels = np.where(saliency > level, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[saliency > 0.85] = cv2.GC_FGD
    labels[saliency < 0.12] = cv2.GC_BGD
    return _cut(picture, labels)


def _cut_box(picture: Pixels, saliency: Floats, box: Box) -> Mask:
    """What fills a box of a small picture: what is salient in it, or where little is, its middle."""
    height, width = saliency.shape
    inside = np.zeros((height, width), np.bool_)
    inside[box.within] = True
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across = (x - (box.left + box.right - 1) / 2) / max(box.width / 2, 1)
    along = (y - (box.top + box.bottom - 1) / 2) / max(box.height / 2, 1)
    distance = np.hypot(across, along)
    labels = np.full((height, width), cv2.GC_PR_BGD, np.uint8)
    bright = inside & (saliency > 0.5 * float(saliency[inside].max(initial=0)))
    labels[bright if np.count_nonzero(bright) >= 0.2 * box.area else inside & (distance < 0.8)] = cv2.GC_PR_FGD
    labels[~inside] = cv2.GC_BGD
    return _cut(picture, labels) & inside


def _cut(picture: Pixels, labels: npt.NDArray[np.uint8]) -> Mask:
    """Run GrabCut from a first labelling, and tidy what comes out."""
    likely = (labels == cv2.GC_PR_FGD) | (labels == cv2.GC_FGD)
    if not likely.any() or likely.all():
        return likely
    cv2.setRNGSeed(1)  # GrabCut's clustering draws from OpenCV's own generator
    cv2.grabCut(picture, labels, (0, 0, 0, 0), np.zeros((1, 65)), np.zeros((1, 65)), _ROUNDS, cv2.GC_INIT_WITH_MASK)
    mask = tidy((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD))
    opened = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return tidy(opened.view(np.bool_))


def _enlarge(mask: Mask, picture: Pixels) -> Floats:
    """Bring a mask to the size of a picture, with edges that follow the picture's: float32 [H, W], 0..1."""
    height, width = picture.shape[:2]
    rough = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    radius = max(2, round(max(height, width) / 100))
    alpha = np.clip((guide(rough, picture, radius, 1e-4) - 0.12) / 0.76, 0, 1)
    alpha[cv2.resize(grow(mask, 1).view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) == 0] = 0
    return alpha.astype(np.float32)
