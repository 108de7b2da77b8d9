"""Networks that tell the foreground of a picture: it is scaled to one size and normalised, and the answer scaled back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np

from step1x_edit.data.tools.filtering import pad
from step1x_edit.data.tools.onnx_model import OnnxTool
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Floats, Pixels

_SIZE = (1024, 1024)
_MARGIN = 0.25


class ForegroundNetwork(OnnxTool):
    """A subclass names the network, says how its input is normalised, and which of its outputs is the opacity.

    Attributes:
        mean, spread: of the three channels in 0..1, taken off and divided by.
    """

    inputs = 1
    mean: ClassVar[tuple[float, float, float]]
    spread: ClassVar[tuple[float, float, float]]

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        """Opacity of the foreground, of the picture or of the box widened by a quarter: float32 [H, W] in 0..1, 0 outside."""
        height, width = picture.shape[:2]
        zone = Box(0, 0, width, height) if box is None else pad(box, _MARGIN, picture.shape)
        whole = np.zeros((height, width), np.float32)
        if zone.area == 0 or (box is not None and box.area == 0):
            return whole
        crop = np.ascontiguousarray(picture[zone.within])
        inner_height, inner_width = self._network.size(_SIZE)
        scaled = cv2.resize(crop, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        values = ((scaled - np.array(self.mean, np.float32)) / np.array(self.spread, np.float32)).transpose(2, 0, 1)[None]
        (name,) = self._network.inputs
        outputs = self._network.run({name: np.ascontiguousarray(values, np.float32)})
        alpha = self.opacity(outputs).reshape(-1, inner_height, inner_width)[-1]
        whole[zone.within] = cv2.resize(alpha, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.clip(whole, 0, 1)

    @staticmethod
    def opacity(outputs: Sequence[Floats]) -> Floats:
        """What the network's outputs say of the opacity, in 0..1 and of the input's size."""
        raise NotImplementedError
