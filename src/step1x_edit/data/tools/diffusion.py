"""What the tools that run a diffusion pipeline share: sizes that its latents divide, and laying an answer over the picture."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.tools.filtering import blend
from step1x_edit.data.triplet import Floats, Mask, Pixels
from step1x_edit.errors import Step1XError

LARGEST = 1024 * 1024
"""Pixels that the models were trained for; larger pictures are drawn smaller."""


def fit(shape: tuple[int, ...], cell: int, smallest: int) -> tuple[int, int]:
    """Height and width near a picture's own, multiples of `cell`, the area at most `LARGEST`, the shorter side at least `smallest`."""
    height, width = shape[:2]
    factor = min(1.0, math.sqrt(LARGEST / (height * width)))
    factor = max(factor, smallest / min(height, width))
    return max(cell, round(height * factor / cell) * cell), max(cell, round(width * factor / cell) * cell)


def scale(values: Floats, height: int, width: int) -> Floats:
    """Scale a picture or a map: averaged where it becomes smaller, cubic where larger."""
    if values.shape[:2] == (height, width):
        return values
    method = cv2.INTER_AREA if height * width < values.shape[0] * values.shape[1] else cv2.INTER_CUBIC
    return cv2.resize(values, (width, height), interpolation=method)


def lay_over(picture: Pixels, region: Mask, drawn: Floats, border: float = 2.5) -> Pixels:
    """The picture with what was drawn inside the region: uint8 [H, W, 3]; outside nothing changes.

    Args:
        picture: uint8 [H, W, 3].
        region: bool [H, W].
        drawn: float32 of any size, 0..1.
        border: pixels inside the region over which both mix; 0 where what it covers must not shine through.
    """
    enlarged = np.clip(scale(drawn.astype(np.float32), *picture.shape[:2]), 0, 1) * 255
    if not border:
        return np.where(region[..., None], (enlarged + 0.5).astype(np.uint8), picture)
    return blend(picture, region, enlarged, border)


def draw(pipeline: Any, seed: int, **arguments: Any) -> Floats:
    """Run a pipeline once: float32 [h, w, 3] in 0..1; the same seed draws the same.

    Raises:
        Step1XError: there is not enough memory.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)  # an autoencoder draws past the generator
            images = pipeline(**arguments, generator=generator, output_type="np").images
    except torch.OutOfMemoryError as error:
        raise Step1XError(f"There is not enough memory on {pipeline.device} for {type(pipeline).__name__}; use a larger device.") from error
    return np.asarray(images[0], np.float32)
