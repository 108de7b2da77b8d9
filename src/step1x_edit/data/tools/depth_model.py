"""Depth Anything and ZoeDepth through transformers. The paper's depth estimator."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.tools.weights import TransformersTool
from step1x_edit.data.triplet import Floats, Pixels

if TYPE_CHECKING:
    import torch

MODELS = {"depth-anything": "depth-anything/Depth-Anything-V2-Small-hf", "zoedepth": "Intel/zoedepth-nyu-kitti"}
"""The name of the tool -> the weights that it takes unless others are named; any depth estimator of transformers will do, but for
DPTs that were trained to say metres, which nothing tells from those that say their inverse."""


_METRIC = ("glpn", "tipsv2_dpt", "zoedepth")
"""Kinds of models that always answer with distances; others say in their settings whether they do."""


class DepthModel(TransformersTool):
    """Nearness from one picture.

    Some models answer with distances in metres, others with their inverse up to scale and shift; both come out as nearness.

    Source: Yang and others, Depth Anything V2, 2024; Bhat and others, ZoeDepth, 2023.
    """

    def __init__(self, model: Any, processor: Any, card: ToolCard) -> None:
        super().__init__(model, processor, card)
        self.metric = model.config.model_type in _METRIC or getattr(model.config, "depth_estimation_type", "") == "metric"

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        return cls.load(choice, MODELS[choice.name], AutoModelForDepthEstimation, AutoImageProcessor)

    def estimate(self, picture: Pixels) -> Floats:
        """Nearness: float32 [H, W], 1 for the nearest pixel and 0 for the farthest; 0 everywhere where all is equally far."""
        import torch
        from PIL import Image

        prepared = self.processor(images=Image.fromarray(picture), return_tensors="pt").to(self.model.device, self.model.dtype)
        with torch.inference_mode():
            found = self.model(**prepared).predicted_depth
            depth = _enlarge(found[0].float(), picture.shape[:2], self._margin(picture)).cpu().numpy()
        nearness = 1 / np.maximum(depth, 1e-3) if self.metric else depth
        low, high = float(nearness.min()), float(nearness.max())
        return ((nearness - low) / max(high - low, 1e-6)).astype(np.float32)

    def _margin(self, picture: Pixels) -> tuple[int, int]:
        """Rows and columns that the processor has put on each side of the picture: ZoeDepth's does, three times the root of half a side."""
        if self.model.config.model_type != "zoedepth" or not self.processor.do_pad:
            return 0, 0
        return int(math.sqrt(picture.shape[0] / 2) * 3), int(math.sqrt(picture.shape[1] / 2) * 3)


def _enlarge(depth: torch.Tensor, size: tuple[int, int], margin: tuple[int, int]) -> torch.Tensor:
    """Bring depth [h, w] to the size of the picture with its margin, and take that off: [H, W]; transformers does it with torchvision."""
    from torch.nn.functional import interpolate

    (height, width), (above, beside) = size, margin
    scaled = interpolate(depth[None, None], (height + 2 * above, width + 2 * beside), mode="bicubic", align_corners=False)[0, 0]
    return scaled[above : above + height, beside : beside + width]
