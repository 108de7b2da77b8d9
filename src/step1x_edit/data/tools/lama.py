"""LaMa in ONNX: takes things out of a picture and continues what is around them. The paper's object removal."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.filtering import bound, pad
from step1x_edit.data.tools.onnx_model import OnnxTool
from step1x_edit.data.triplet import Floats, Mask, Pixels

_SIZE = (512, 512)
_MARGIN = 0.6
"""What is shown to the network around the hole, as a share of its longer side: large pictures are not scaled down to its 512 pixels."""


class Lama(OnnxTool):
    """Fourier convolutions see the whole picture at once. It reads no words and draws no random numbers.

    Source: Suvorov and others, Resolution-robust Large Mask Inpainting with Fourier Convolutions, 2021.
    """

    model = "Carve/LaMa-ONNX"
    file = "lama_fp32.onnx"
    inputs = 2

    @property
    def reads_prompts(self) -> bool:
        return False

    def inpaint(self, picture: Pixels, hole: Mask, prompt: str = "", seed: int = 0) -> Pixels:
        """Fill the hole from what is around it; `prompt` and `seed` are not read."""
        if not hole.any():
            return picture.copy()
        zone = pad(bound(hole), _MARGIN, picture.shape)
        crop, gap = np.ascontiguousarray(picture[zone.within]), np.ascontiguousarray(hole[zone.within])
        height, width = self._network.size(_SIZE)
        method = cv2.INTER_AREA if width < crop.shape[1] else cv2.INTER_LINEAR
        known = np.where(gap[..., None], np.uint8(0), crop)  # what the hole hides must not shine through
        image = cv2.resize(known, (width, height), interpolation=method).astype(np.float32) / 255
        mask = cv2.resize(gap.astype(np.float32), (width, height), interpolation=method) > 0
        names = tuple(self._network.inputs)
        first, second = names if "mask" in names[1] or "mask" not in names[0] else names[::-1]
        drawn = self._network.run(
            {first: np.ascontiguousarray(image.transpose(2, 0, 1)[None]), second: mask.astype(np.float32)[None, None]}
        )[0][0]
        filled = picture.copy()
        filled[zone.within][gap] = _to_pixels(drawn, crop.shape[1::-1])[gap]
        return filled


def _to_pixels(drawn: Floats, size: tuple[int, int]) -> Pixels:
    """The network's answer, 0..255, at a size of width and height: uint8 [H, W, 3]."""
    scaled = cv2.resize(drawn.transpose(1, 2, 0), size, interpolation=cv2.INTER_LINEAR)
    return (np.clip(scaled, 0, 255) + 0.5).astype(np.uint8)
