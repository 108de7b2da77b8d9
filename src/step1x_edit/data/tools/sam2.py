"""SAM-2 through transformers: a box becomes the exact region of what fills it. The paper's segmenter."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box, ToolCard
from step1x_edit.data.tools.weights import find_weights, load_model, name_place, name_versions
from step1x_edit.data.triplet import Mask, Pixels

MODEL = "facebook/sam2.1-hiera-large"

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, as all published SAM-2 weights take them."""


class Sam2:
    """One box in, one mask out.

    transformers prepares its pictures with torchvision, which this package does without: they are scaled here, and box and mask with them.

    Source: Ravi and others, SAM 2: Segment Anything in Images and Videos, 2024.
    """

    def __init__(self, model: Any, card: ToolCard) -> None:
        self.model = model
        self.card = card
        sides: Any = model.config.prompt_encoder_config.image_size
        self.side = int(sides if isinstance(sides, int) else sides[0])

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        from transformers import Sam2Model

        choice.check_settings("model", "revision", "device", "dtype")
        weights = find_weights(choice, MODEL)
        model = load_model(Sam2Model, weights, choice)
        return cls(model, ToolCard("sam2", name_versions("transformers", "torch"), {**weights.facts, **name_place(model)}))

    def segment(self, picture: Pixels, box: Box) -> Mask:
        """Mark the thing in the box: bool [H, W]; nothing outside of the box widened by a tenth."""
        import torch
        from torch.nn.functional import interpolate

        height, width = picture.shape[:2]
        if box.area == 0:
            return np.zeros((height, width), np.bool_)
        pixels = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 255
        pixels = interpolate(pixels, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        pixels = (pixels - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_SPREAD)[:, None, None]
        scale = torch.tensor([self.side / width, self.side / height] * 2)
        with torch.inference_mode():
            found = self.model(
                pixel_values=pixels.to(self.model.device, self.model.dtype),
                input_boxes=(torch.tensor([[list(box)]]) * scale).to(self.model.device),  # bfloat16 knows every fourth column alone
                multimask_output=False,
            )
            logits = interpolate(found.pred_masks[0].float(), (height, width), mode="bilinear", align_corners=False)
        mask: Mask = (logits[0, 0] > 0).cpu().numpy()
        margin = round(0.1 * max(box.width, box.height))
        mask[: max(box.top - margin, 0)] = mask[box.bottom + margin :] = False
        mask[:, : max(box.left - margin, 0)] = mask[:, box.right + margin :] = False
        return mask
