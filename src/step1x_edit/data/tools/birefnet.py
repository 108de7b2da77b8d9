"""BiRefNet in ONNX: the foreground with its fine structure. The paper's matting."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.filtering import pad
from step1x_edit.data.tools.onnx_model import OnnxTool
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Floats, Pixels

_SIZE = (1024, 1024)
_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
_MARGIN = 0.25


class BiRefNet(OnnxTool):
    """Two references, the picture itself and its gradients, for a sharp outline; of a part of the picture where a box is given.

    Choice: the published export, since in transformers the weights need code from their repository, and that code torchvision.

    Source: Zheng and others, Bilateral Reference for High-Resolution Dichotomous Image Segmentation, 2024.
    """

    model = "onnx-community/BiRefNet-ONNX"
    file = "onnx/model.onnx"
    inputs = 1

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        """Opacity of the foreground, of the picture or of the box widened by a quarter: float32 [H, W] in 0..1, 0 outside."""
        height, width = picture.shape[:2]
        zone = Box(0, 0, width, height) if box is None else pad(box, _MARGIN, picture.shape)
        whole = np.zeros((height, width), np.float32)
        if zone.area == 0 or (box is not None and box.area == 0):
            return whole
        crop = np.ascontiguousarray(picture[zone.top : zone.bottom, zone.left : zone.right])
        inner_height, inner_width = self._network.size(_SIZE)
        scaled = cv2.resize(crop, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        values = ((scaled - _MEAN) / _SPREAD).transpose(2, 0, 1)[None]
        (name,) = self._network.inputs
        logits = self._network.run({name: np.ascontiguousarray(values, np.float32)})[-1].reshape(-1, inner_height, inner_width)[-1]
        alpha = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
        whole[zone.top : zone.bottom, zone.left : zone.right] = cv2.resize(alpha, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.clip(whole, 0, 1)
