"""PP-OCR through RapidOCR: the paper's text reader, with its models inside the library. Offline text reader."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.protocols import Box, TextLine, ToolCard
from step1x_edit.data.triplet import Pixels

_SMALLEST = 512
"""Longer side in pixels to which smaller pictures are enlarged: their letters are below what the detector was trained on."""


class RapidTextReader(BareTool):
    """Reads Latin and Chinese script on the CPU, with one thread, so that many workers share a machine and answers do not vary."""

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        quiet: dict[str, Any] = {
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
        self._engine: Any = RapidOCR(params=quiet)  # typed by the library as the union of all that its parts return

    @property
    def card(self) -> ToolCard:
        from importlib.metadata import version

        return ToolCard("rapidocr", f"rapidocr {version('rapidocr')}, onnxruntime {version('onnxruntime')}", {"smallest": _SMALLEST})

    def read(self, picture: Pixels) -> tuple[TextLine, ...]:
        """List the lines of text from top to bottom."""
        height, width = picture.shape[:2]
        factor = max(1.0, _SMALLEST / max(height, width))
        if factor > 1:
            picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        found = self._engine(np.ascontiguousarray(picture[..., ::-1]))
        if found.boxes is None or not found.txts:
            return ()
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            points = np.asarray(corners, np.float64) / factor
            box = Box.around((*points.min(0), *points.max(0)), (height, width))
            if text.strip() and box.width > 0 and box.height > 0:
                places = tuple((round(float(x), 2), round(float(y), 2)) for x, y in points)
                lines.append(TextLine(box, text.strip(), round(float(score), 4), places))
        return tuple(sorted(lines, key=lambda line: (line.box.top, line.box.left)))
