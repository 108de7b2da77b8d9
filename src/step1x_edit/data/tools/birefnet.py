"""BiRefNet in ONNX: the foreground with its fine structure. The paper's matting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from step1x_edit.data.tools.foreground import ForegroundNetwork
from step1x_edit.data.triplet import Floats


class BiRefNet(ForegroundNetwork):
    """Two references, the picture itself and its gradients, for a sharp outline; of a part of the picture where a box is given.

    Choice: the published export, since in transformers the weights need code from their repository, and that code torchvision.

    Source: Zheng and others, Bilateral Reference for High-Resolution Dichotomous Image Segmentation, 2024.
    """

    model = "onnx-community/BiRefNet-ONNX"
    file = "onnx/model.onnx"
    mean, spread = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    @staticmethod
    def opacity(outputs: Sequence[Floats]) -> Floats:
        """The last output's logits as probabilities."""
        return np.asarray(1 / (1 + np.exp(-np.clip(outputs[-1], -30, 30))), np.float32)
