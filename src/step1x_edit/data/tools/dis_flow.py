"""Dense inverse search: optical flow on the CPU. Offline flow estimator."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.triplet import Floats, Pixels


class DisFlow(BareTool):
    """OpenCV's DIS at its medium setting. Source: Kroeger and others, Fast Optical Flow using Dense Inverse Search, 2016."""

    @property
    def card(self) -> ToolCard:
        return ToolCard("dis", f"opencv {cv2.__version__}", {"preset": "medium"})

    def flow(self, first: Pixels, second: Pixels) -> Floats:
        """Motion: float32 [H, W, 2], pixels to the right and downwards."""
        engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        return engine.calc(grey[0], grey[1], np.zeros((*first.shape[:2], 2), np.float32)).astype(np.float32)
