"""Numbers about one picture: sharpness, exposure, and the offline scorers of looks and likeness."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.triplet import Floats, Pixels

_SIDE = 256


def _to_grey(picture: Pixels) -> Floats:
    """Grey float32 at the size that scores are measured at, so that they hardly depend on the picture's own."""
    height, width = picture.shape[:2]
    factor = _SIDE / max(height, width)
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    shape = (max(8, round(width * factor)), max(8, round(height * factor)))
    return cv2.resize(grey, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR).astype(np.float32)


def measure_sharpness(picture: Pixels) -> float:
    """Standard deviation of the Laplacian at 256 pixels: below about 4 a photograph is blurred, above 15 crisp."""
    return float(cv2.Laplacian(_to_grey(picture), cv2.CV_32F).std())


@dataclass(frozen=True)
class Exposure:
    """Brightness of a picture, 0..1: mean, shares of pixels that are black or white, and distance from the 5th to the 95th percentile."""

    mean: float
    black: float
    white: float
    contrast: float


def measure_exposure(picture: Pixels) -> Exposure:
    """Measure brightness and contrast."""
    counts = cv2.calcHist([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)], [0], None, [256], [0, 256]).ravel()
    shares = counts / counts.sum()
    cumulated = np.cumsum(shares)
    low, high = (int(np.searchsorted(cumulated, level)) for level in (0.05, 0.95))
    mean = float((shares * np.arange(256)).sum() / 255)
    return Exposure(mean, float(shares[:5].sum()), float(shares[251:].sum()), (high - low) / 255)


class PhotographicScorer(BareTool):
    """Looks as far as numbers tell them: sharp, well exposed, contrasty, colourful, not noisy. It knows nothing of composition."""

    @property
    def card(self) -> ToolCard:
        return ToolCard("photographic", "1")

    def score(self, picture: Pixels) -> float:
        """Geometric mean of four qualities, 0..1."""
        exposure = measure_exposure(picture)
        sharp = 1 - np.exp(-measure_sharpness(picture) / 8)
        lit = np.exp(-(((exposure.mean - 0.47) / 0.28) ** 2)) * (1 - 0.8 * min(1.0, exposure.black + exposure.white))
        contrast = min(1.0, exposure.contrast / 0.7)
        red, green, blue = (picture[..., c].astype(np.float32) for c in range(3))
        opponents = (red - green, (red + green) / 2 - blue)
        colourful = np.hypot(*(o.std() for o in opponents)) + 0.3 * np.hypot(*(o.mean() for o in opponents))
        vivid = 0.4 + 0.6 * (1 - np.exp(-colourful / 35))
        return float((sharp * lit * contrast * vivid) ** 0.25)


class LayoutSimilarity(BareTool):
    """Likeness by layout: colours on a grid of 6 x 6 and directions of edges on one of 4 x 4."""

    @property
    def card(self) -> ToolCard:
        return ToolCard("layout", "1")

    def embed(self, picture: Pixels) -> Floats:
        """float32 [236], of length 1: 108 colours and 128 edge directions, half of the weight each."""
        small = cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        lab = cv2.cvtColor(cv2.resize(small, (6, 6), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
        colours = (lab - np.array([50, 0, 0], np.float32)).ravel()
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        x, y = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        strength, angle = cv2.cartToPolar(x, y)
        direction = np.minimum((angle / (2 * np.pi) * 8).astype(np.int64), 7)
        cell = np.arange(96) // 24
        index = (cell[:, None] * 4 + cell[None]) * 8 + direction
        edges = np.sqrt(np.bincount(index.ravel(), strength.ravel(), 128))
        parts = [part / max(float(np.linalg.norm(part)), 1e-6) for part in (colours, edges)]
        return (np.concatenate(parts) / np.sqrt(2)).astype(np.float32)
