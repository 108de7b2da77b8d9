"""IS-Net in ONNX: the foreground from a network a fifth of BiRefNet's size, in a few seconds on a CPU."""

from __future__ import annotations

from collections.abc import Sequence

from step1x_edit.data.tools.foreground import ForegroundNetwork
from step1x_edit.data.triplet import Floats


class IsNet(ForegroundNetwork):
    """A nested U whose first output is the finest; the others, where an export has them, were for its training.

    Source: Qin and others, Highly Accurate Dichotomous Image Segmentation, 2022.
    """

    model = "onnx-community/ISNet-ONNX"
    file = "onnx/model.onnx"
    mean, spread = (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)

    @staticmethod
    def opacity(outputs: Sequence[Floats]) -> Floats:
        """The first output, which is opacity already."""
        return outputs[0]
