"""Nearness from cues of a single picture: a plane for the ground, haze, and what stands out. Offline depth estimator."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.filtering import guide, shrink
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.tools.saliency import measure_saliency
from step1x_edit.data.triplet import Floats, Pixels

_SIDE = 256


class DepthCues(BareTool):
    """Lower is nearer, hazy is farther, what stands out is nearer than what is around it.

    Good enough to let fog or blur grow with distance in scenes with a ground; it measures nothing. Indoors and in close-ups it is a guess.

    Source: the haze cue is the dark channel of He, Sun, Tang, Single Image Haze Removal, 2009.
    """

    @property
    def card(self) -> ToolCard:
        return ToolCard("cues", "1", {"side": _SIDE})

    def estimate(self, picture: Pixels) -> Floats:
        """Nearness: float32 [H, W], 1 for the nearest pixel and 0 for the farthest."""
        small = shrink(picture, _SIDE)
        height, width = small.shape[:2]
        ground = np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, None], width, 1) ** 1.3
        window = np.ones((max(3, height // 16), max(3, width // 16)), np.uint8)
        dark = cv2.erode(small.min(2), window).astype(np.float32) / 255
        clear = 1 - dark / max(float(dark.max()), 0.25)
        nearness = 0.55 * ground + 0.2 * clear + 0.25 * measure_saliency(small)
        nearness = guide(nearness.astype(np.float32), small, max(4, height // 12), 1e-3)
        low, high = float(nearness.min()), float(nearness.max())
        nearness = (nearness - low) / max(high - low, 1e-6)
        enlarged = cv2.resize(nearness, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.clip(enlarged, 0, 1).astype(np.float32)
