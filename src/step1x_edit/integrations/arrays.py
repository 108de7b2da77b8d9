"""Pictures as arrays: how diffusers and ComfyUI pass them, [B, H, W, C] or [B, C, H, W] with values in 0..1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.errors import UsageError

OVERSHOOT = 0.5
"""Values that go beyond 0 and 1 by up to this are cut off: resampling and sharpening do. Others are meant as something else."""


def to_pictures(values: np.ndarray | Tensor) -> list[Image.Image]:
    """Pictures of a batch, channels last, or of a single one without the batch's axis; grey, RGB or RGBA; bytes, or numbers in 0..1.

    Raises:
        UsageError: it is no such array, or holds values that are not finite numbers or far from 0..1.
    """
    given = values.detach() if isinstance(values, Tensor) else torch.tensor(values)  # a copy: an array may be read-only
    array = (given.float() / (255 if given.dtype == torch.uint8 else 1)).cpu().numpy()
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3, 4) or not array.size:
        raise UsageError(f"A batch of pictures is of shape [B, H, W, C] with 1, 3 or 4 channels, not {list(array.shape)}.")
    if not np.isfinite(array).all():
        raise UsageError("The pictures hold values that are not finite numbers; give values from 0 to 1.")
    if array.max() > 1 + OVERSHOOT or array.min() < -OVERSHOOT:
        raise UsageError(f"The pictures hold values from {array.min():g} to {array.max():g}; give bytes, or values from 0 to 1.")
    pixels = np.rint(array.clip(0, 1) * 255).astype(np.uint8)
    return [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in pixels]


def check_alike(pictures: Sequence[Image.Image]) -> None:
    """Whether pictures fit into one array.

    Raises:
        UsageError: they are not all of one size and kind.
    """
    if len({(each.size, each.mode) for each in pictures}) > 1:
        raise UsageError("Pictures of different sizes or kinds do not fit into one array; ask for them as pictures, or one by one.")


def to_array(pictures: Sequence[Image.Image]) -> np.ndarray:
    """float32 [B, H, W, C] in 0..1; raises as `check_alike` does."""
    check_alike(pictures)
    return np.stack([np.asarray(each, dtype=np.float32) for each in pictures]) / np.float32(255)
