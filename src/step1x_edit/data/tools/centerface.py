"""CenterFace through OpenCV: faces at any angle, from about 10 pixels on; its weights ship with this package. Offline face detector."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.protocols import Box, Face, ToolCard
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.errors import WeightsError

WEIGHTS = Path(__file__).parents[2] / "weights" / "centerface" / "centerface.onnx"

_LONGEST, _SHORTEST = 960, 640
"""Bounds of the longer side in pixels at which faces are looked for: smaller pictures are enlarged, larger ones reduced."""

_FACE = 26
"""Width in pixels at which a face is found for sure."""

_STRIDE = 4
_OUTPUTS = ("537", "538", "539", "540")
"""Names in the published file of: heat map, size, offset, landmarks."""

_THRESHOLD, _OVERLAP = 0.35, 0.3
"""Score below which a peak is no face, and share of two boxes from which on the surer one alone is kept."""


class CenterFace(BareTool):
    """Each face is the peak of a heat map, with its size, offset and five landmarks beside it.

    Source: Xu and others, CenterFace: Joint Face Detection and Alignment Using Face as Point, 2019.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(str(weights))
        except cv2.error as error:
            raise WeightsError(f"Cannot read the face detector {weights}; install the package again.") from error

    @property
    def card(self) -> ToolCard:
        return ToolCard("centerface", f"opencv {cv2.__version__}", {"threshold": _THRESHOLD, "longest": _LONGEST})

    def find_faces(self, picture: Pixels, smallest: float = 0.0) -> tuple[Face, ...]:
        """List the faces, the largest first; a picture is made no larger than faces of the `smallest` share need to be found."""
        height, width = picture.shape[:2]
        longest = max(height, width)
        factor = min(_SHORTEST / longest, 4.0) if longest < _SHORTEST else min(1.0, _LONGEST / longest)
        if smallest > 0:
            factor = min(factor, _FACE / (smallest * min(height, width)))
        inner = (max(1, round(width * factor)), max(1, round(height * factor)))
        scaled = cv2.resize(picture, inner, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
        canvas = np.zeros((32 * math.ceil(inner[1] / 32), 32 * math.ceil(inner[0] / 32), 3), np.uint8)
        canvas[: inner[1], : inner[0]] = scaled
        self._network.setInput(cv2.dnn.blobFromImage(canvas))
        heat, size, offset, landmarks = self._network.forward(_OUTPUTS)
        boxes, scores, points = _decode(heat[0, 0], size[0], offset[0], landmarks[0])
        faces = []
        for index in _suppress(boxes, scores):
            box = Box.around(boxes[index] / factor, picture.shape)
            if box.width > 0 and box.height > 0:
                marks = tuple((round(float(x), 1), round(float(y), 1)) for x, y in points[index] / factor)
                faces.append(Face(box, round(float(scores[index]), 4), marks))
        return tuple(sorted(faces, key=lambda face: (-face.box.area, face.box)))


def _decode(heat: Floats, size: Floats, offset: Floats, landmarks: Floats) -> tuple[Floats, Floats, Floats]:
    """Read the peaks above `_THRESHOLD`: boxes [N, 4] (left, top, right, bottom), scores [N], landmarks [N, 5, 2] (x, y)."""
    rows, columns = np.nonzero(heat > _THRESHOLD)
    extent = np.exp(size[:, rows, columns]) * _STRIDE
    y = (rows + offset[0, rows, columns] + 0.5) * _STRIDE - extent[0] / 2
    x = (columns + offset[1, rows, columns] + 0.5) * _STRIDE - extent[1] / 2
    marks = landmarks[:, rows, columns].reshape(5, 2, -1)
    points = np.stack([marks[:, 1] * extent[1] + x, marks[:, 0] * extent[0] + y], 2)
    return np.stack([x, y, x + extent[1], y + extent[0]], 1), heat[rows, columns], points.transpose(1, 0, 2)


def _suppress(boxes: Floats, scores: Floats) -> list[int]:
    """Keep the surest of boxes that overlap: their indices, the surest first."""
    kept: list[int] = []
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for index in np.argsort(-scores, kind="stable"):
        chosen = boxes[kept]
        overlap = np.minimum(boxes[index, 2:], chosen[:, 2:]) - np.maximum(boxes[index, :2], chosen[:, :2])
        shared = np.prod(np.maximum(overlap, 0), axis=1)
        if not (shared / (areas[index] + areas[kept] - shared) > _OVERLAP).any():
            kept.append(int(index))
    return kept
