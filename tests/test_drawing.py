"""The drawn edit laid over the picture: what a mask leaves alone, and what that costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from measuring import peak_memory
from step1x_edit.drawing import Drawing, Sheet, to_colours
from step1x_edit.model.presets import PRESETS
from step1x_edit.types import EditRequest

SIZE = 128
BOX = (1000, 800, 1400, 1100)


def darkened(picture: Image.Image, mask: Image.Image | None, feather: int = 0) -> Drawing:
    """A drawing that makes the whole picture darker."""
    request = EditRequest(picture, "make it night", mask=mask, feather=feather)
    sheet = Sheet.of(request, SIZE, PRESETS["mini"])
    seen = to_colours(sheet.reduced[0])
    return Drawing(request, sheet, 0.4 * seen, seen, "mini", {}, {})


def boxed(picture: Image.Image) -> Image.Image:
    mask = Image.new("L", picture.size, 0)
    mask.paste(255, BOX)
    return mask


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_within_a_mask_is_the_same_edit_and_outside_the_picture(mode: str, draw_scene: Callable[..., Image.Image]) -> None:
    picture = draw_scene(1800, 1200)
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    whole, part = (np.asarray(darkened(picture, mask).finish().image) for mask in (None, boxed(picture)))
    inside = np.asarray(boxed(picture)) == 255
    assert (part[inside] == whole[inside]).all() and (part[~inside] == np.asarray(picture)[~inside]).all()
    assert (whole[~inside] != np.asarray(picture)[~inside]).any()


def test_half_of_a_mask_is_half_of_the_edit(draw_scene: Callable[..., Image.Image]) -> None:
    picture = draw_scene(600, 400)
    whole, half = (np.asarray(darkened(picture, mask).finish().image) for mask in (None, Image.new("L", picture.size, 128)))
    expected = np.asarray(picture) + (whole.astype(float) - np.asarray(picture)) * 128 / 255
    assert np.abs(half - expected).max() <= 0.5


def test_an_edit_within_a_mask_takes_a_few_times_the_pictures_own_memory(draw_scene: Callable[..., Image.Image]) -> None:
    picture = draw_scene(3000, 2000)
    drawing = darkened(picture, boxed(picture), feather=20)
    with torch.inference_mode():
        assert peak_memory(drawing.finish) < 5 * 3 * 3000 * 2000
