"""ViTMatte through transformers: a soft border, hairs and all, for a foreground that GrabCut has found."""

from __future__ import annotations

from typing import Any, Self

import cv2
import numpy as np

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.grabcut import GrabCut
from step1x_edit.data.tools.protocols import Box, ToolCard
from step1x_edit.data.tools.weights import TransformersTool
from step1x_edit.data.triplet import Floats, Pixels

MODEL = "hustvl/vitmatte-small-composition-1k"

_BAND = 0.025
"""Half width of what is left to the model on both sides of the rough border, as a share of the longer side."""


class VitMatte(TransformersTool):
    """Fills in the unknown band of a map of surely inside, surely outside, and unknown.

    Source: Yao and others, ViTMatte: Boosting Image Matting with Pretrained Plain Vision Transformers, 2023.
    """

    def __init__(self, model: Any, processor: Any, card: ToolCard) -> None:
        super().__init__(model, processor, card)
        self.rough = GrabCut()

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import AutoImageProcessor, VitMatteForImageMatting

        return cls.load(choice, MODEL, VitMatteForImageMatting, AutoImageProcessor, band=_BAND, rough=GrabCut().card.version)

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        """Opacity of what is in the box, or else of what stands out: float32 [H, W] in 0..1."""
        import torch
        from PIL import Image

        rough = self.rough.matte(picture, box)
        if not (rough > 0.5).any():
            return np.zeros_like(rough)
        trimap = draw_trimap(rough)
        prepared = self.processor(images=Image.fromarray(picture), trimaps=Image.fromarray(trimap), return_tensors="pt")
        with torch.inference_mode():
            alphas = self.model(**prepared.to(self.model.device, self.model.dtype)).alphas[0, 0].float().cpu().numpy()
        alpha = np.clip(alphas[: picture.shape[0], : picture.shape[1]], 0, 1)  # it was padded to the right and below
        return np.where(trimap == 128, alpha, trimap == 255).astype(np.float32)


def draw_trimap(rough: Floats) -> Pixels:
    """What of a rough matte is sure: uint8 [H, W], 255 inside, 0 outside, 128 in a band around the border."""
    reach = max(2, round(max(rough.shape) * _BAND))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((rough > 0.9).view(np.uint8), kernel) > 0
    outside = cv2.dilate((rough > 0.1).view(np.uint8), kernel) == 0
    return np.where(inside, 255, np.where(outside, 0, 128)).astype(np.uint8)
