"""FLUX-Fill through diffusers: fills a hole with what a prompt asks for, or with whatever fits. The paper's inpainter."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from PIL import Image

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.diffusion import draw, fit, lay_over, scale
from step1x_edit.data.tools.protocols import ToolCard
from step1x_edit.data.tools.weights import PIPELINE_FILES, find_weights, load_pipeline, name_place, name_versions
from step1x_edit.data.triplet import Mask, Pixels
from step1x_edit.errors import WeightsError

MODEL = "black-forest-labs/FLUX.1-Fill-dev"
_STEPS, _GUIDANCE, _WORDS = 28, 30.0, 256
"""Choice: 28 of the published 50 steps, as the paper samples its own model; guidance as published; tokens of the prompt."""

_SMALLEST = 512
"""Shorter side in pixels below which a picture is enlarged before it is drawn on; twins are made for less."""

EMPTY = "the background continues, nothing stands here"
"""Asked for where nothing is: with no words at all the model rather puts something in."""


class FluxFill:
    """The whole picture with the hole is given to the model; only the hole is taken from its answer."""

    def __init__(self, pipeline: Any, card: ToolCard, smallest: int = _SMALLEST) -> None:
        self.pipeline = pipeline
        self.card = card
        self.smallest = smallest

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        choice.check_settings("model", "revision", "device", "dtype")
        weights = find_weights(choice, MODEL, PIPELINE_FILES)
        pipeline = load_pipeline("FluxFillPipeline", "FluxTransformer2DModel", weights, choice)
        if pipeline.transformer.config.out_channels in (None, pipeline.transformer.config.in_channels):
            raise WeightsError(f"{weights.facts['model']} draws from words alone; give a FLUX that was trained to fill holes.")
        facts = {**weights.facts, **name_place(pipeline), "steps": _STEPS, "guidance": _GUIDANCE}
        return cls(pipeline, ToolCard(choice.name, name_versions("diffusers", "transformers", "torch"), facts))

    @property
    def reads_prompts(self) -> bool:
        return True

    def inpaint(self, picture: Pixels, hole: Mask, prompt: str = "", seed: int = 0) -> Pixels:
        """Fill the hole with what the prompt says, or with more of what is around it."""
        if not hole.any():
            return picture.copy()
        height, width = fit(hole.shape, 2 * self.pipeline.vae_scale_factor, self.smallest)
        known = np.where(hole[..., None], np.uint8(127), picture)  # what the hole hides must not shine through
        mask = np.where(scale(hole.astype(np.float32), height, width) > 0, np.uint8(255), np.uint8(0))
        drawn = draw(
            self.pipeline,
            seed,
            prompt=prompt or EMPTY,
            image=Image.fromarray(scale(known, height, width)),
            mask_image=Image.fromarray(mask),
            height=height,
            width=width,
            num_inference_steps=_STEPS,
            guidance_scale=_GUIDANCE,
            max_sequence_length=_WORDS,
        )
        return lay_over(picture, hole, drawn, border=0)
