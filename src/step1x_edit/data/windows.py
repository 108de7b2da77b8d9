"""What is cut out of a photograph: where, perhaps mirrored, perhaps in another light."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from step1x_edit.data.colours import LUMA
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Floats, Mask, Pixels, Shape

Values = TypeVar("Values", Pixels, Floats, Mask)
"""Anything that each pixel has."""


@dataclass(frozen=True)
class Light:
    """How else a photograph might have been exposed and developed: a gamma, then a gain for each channel, then how far from grey."""

    gamma: float
    gains: tuple[float, float, float]
    saturation: float

    @classmethod
    def draw(cls, rng: random.Random) -> Light:
        """Choose one, as far from how it was as another hour, another camera or another hand would be."""
        gamma, red, green, blue, saturation = (math.exp(rng.uniform(-reach, reach)) for reach in (0.5, 0.12, 0.08, 0.12, 0.4))
        return cls(gamma, (red, green, blue), saturation)

    def shed(self, pixels: Pixels) -> Pixels:
        """uint8 [H, W, 3] in this light; a fresh array."""
        values = np.linspace(0, 1, 256, dtype=np.float32) ** self.gamma
        lit = np.stack([values * gain for gain in self.gains], axis=1)[pixels, np.arange(3)]
        grey = lit @ LUMA.T
        lit = grey + self.saturation * (lit - grey)
        return (lit.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@dataclass(frozen=True)
class Window:
    """A part of a picture, perhaps mirrored, and perhaps seen in another light."""

    box: Box
    mirrored: bool = False
    light: Light | None = None

    def of(self, values: Values) -> Values:
        """What of a picture, or of a map as large, [H, W, ...], lies in it: a view."""
        part = values[self.box.within]
        return part[:, ::-1] if self.mirrored else part

    def squeeze(self, pixels: Pixels, size: int) -> Pixels:
        """What lies in it as a square of `size` pixels, whatever its proportions; a fresh array. What has no colours has no light."""
        shrink = min(self.box.height, self.box.width) > size
        square = cv2.resize(self.of(pixels), (size, size), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC).astype(np.uint8)
        return self.light.shed(square) if self.light and square.ndim == 3 else square

    def cut(self, pixels: Pixels, shape: Shape) -> Pixels:
        """What lies in it, scaled to a shape of its own proportions; a fresh array."""
        method = cv2.INTER_AREA if self.box.width > shape[0] else cv2.INTER_CUBIC
        return np.ascontiguousarray(cv2.resize(np.ascontiguousarray(self.of(pixels)), shape, interpolation=method)).astype(np.uint8)
