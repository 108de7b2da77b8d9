"""RAFT in ONNX: optical flow by a trained network. The paper's flow estimator."""

from __future__ import annotations

import cv2
import numpy as np

from step1x_edit.data.tools.onnx_model import OnnxTool
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.errors import WeightsError

_SIZE = (360, 480)


class Raft(OnnxTool):
    """All-pairs correlation, refined step by step, at the one size that the network was exported for.

    Choice: the published export, since transformers and diffusers have no RAFT, and torchvision's needs torchvision.

    Source: Teed, Deng, RAFT: Recurrent All-Pairs Field Transforms for Optical Flow, 2020.
    """

    model = "opencv/optical_flow_estimation_raft"
    file = "optical_flow_estimation_raft_2023aug.onnx"
    inputs = 2

    def flow(self, first: Pixels, second: Pixels) -> Floats:
        """Motion: float32 [H, W, 2], pixels to the right and downwards."""
        height, width = first.shape[:2]
        inner_height, inner_width = self._network.size(_SIZE)

        def prepare(frame: Pixels) -> Floats:
            method = cv2.INTER_AREA if inner_width < width else cv2.INTER_LINEAR
            scaled = cv2.resize(frame, (inner_width, inner_height), interpolation=method)
            return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]).astype(np.float32)

        one, two = self._network.inputs
        answers = self._network.run({one: prepare(first), two: prepare(second)})
        fields = [field for field in answers if field.ndim == 4 and field.shape[1] == 2]
        if not fields:
            raise WeightsError(f"The network {self.card.parameters['model']} answers with no flow; give an export of RAFT.")
        fine = max(fields, key=lambda field: field.shape[2] * field.shape[3])[0].transpose(1, 2, 0)  # a coarse one comes with it
        moved: Floats = cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)
        return (moved * np.array([width / fine.shape[1], height / fine.shape[0]], np.float32)).astype(np.float32)
