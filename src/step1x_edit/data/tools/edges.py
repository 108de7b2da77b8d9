"""Control maps for controlled generation: depth from the estimator that plays this role, or edges."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.protocols import CONTROLS, DepthEstimator, Look
from step1x_edit.data.triplet import Floats, Pixels


def draw_control(picture: Pixels, look: Look, depth: DepthEstimator) -> Floats:
    """Draw the control map of a picture for a look: float32 [H, W] in 0..1."""
    return depth.estimate(picture) if CONTROLS[look.kind] == "depth" else draw_edges(picture)


def draw_edges(picture: Pixels) -> Floats:
    """Canny's edges, with thresholds from the picture's own median gradient: float32 [H, W], 0 or 1."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    middle = float(np.median(grey))
    edges = cv2.Canny(grey, max(10.0, 0.4 * middle), max(30.0, 0.9 * middle))
    return (edges > 0).astype(np.float32)
