"""ViTMatte through a twin: it decides in the band around a rough border, as the library answers, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.vitmatte import VitMatte, draw_trimap
from step1x_edit.data.triplet import Pixels

Photo = Callable[[str, int], Pixels]


@pytest.fixture(scope="module")
def tool(twin: Callable[[str], Path]) -> VitMatte:
    return VitMatte.open(ToolChoice("vitmatte", str(twin("vitmatte")), device="cpu"))


@pytest.fixture
def disc(photo: Photo) -> Pixels:
    picture = photo("lake-sherburne", 100).copy()
    cv2.circle(picture, (55, 50), 24, (200, 30, 40), -1)
    return picture


def test_only_the_band_is_left_to_the_model(tool: VitMatte, disc: Pixels) -> None:
    trimap = draw_trimap(tool.rough.matte(disc))
    assert set(np.unique(trimap)) == {0, 128, 255}
    with torch.inference_mode():
        prepared = tool.processor(images=Image.fromarray(disc), trimaps=Image.fromarray(trimap), return_tensors="pt")
        wanted = tool.model(**prepared).alphas[0, 0, :100, :100].clamp(0, 1).numpy()
    matte = tool.matte(disc)
    assert matte.dtype == np.float32
    assert matte[trimap == 128] == pytest.approx(wanted[trimap == 128], abs=1e-6)
    assert (matte[trimap == 255] == 1).all()
    assert (matte[trimap == 0] == 0).all()


def test_a_box_says_what_is_meant_and_a_plain_picture_has_no_foreground(tool: VitMatte, disc: Pixels) -> None:
    assert tool.matte(disc, Box(28, 22, 82, 78))[50, 55] == 1
    assert not tool.matte(np.full((64, 64, 3), 120, np.uint8)).any()
