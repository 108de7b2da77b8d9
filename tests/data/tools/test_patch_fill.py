"""Patch filling continues textures, leaves what is known as it is, and repeats itself exactly."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from step1x_edit.data.tools.patch_fill import PatchFill
from step1x_edit.data.triplet import Mask, Pixels


def hole_of(shape: tuple[int, int]) -> Mask:
    hole = np.zeros(shape, np.bool_)
    hole[shape[0] // 3 : shape[0] // 2, shape[1] // 3 : shape[1] * 2 // 3] = True
    return hole


def test_stripes_are_continued() -> None:
    row = np.where(np.arange(160) % 16 < 8, 220, 30).astype(np.uint8)
    stripes = np.repeat(np.repeat(row[None], 160, 0)[..., None], 3, 2)
    hole = hole_of((160, 160))
    broken = np.where(hole[..., None], np.uint8(127), stripes)
    filled = PatchFill().inpaint(broken, hole)
    error = np.abs(filled.astype(int) - stripes)[hole].mean()
    smeared = cv2.inpaint(broken, hole.view(np.uint8), 3, cv2.INPAINT_TELEA)
    assert error < 0.35 * np.abs(smeared.astype(int) - stripes)[hole].mean()


def test_a_photograph_keeps_its_texture(photo: Callable[[str, int], Pixels]) -> None:
    """Telea blurs a meadow; patches keep its fine contrast."""
    picture, hole = photo("tea-gardens", 256), hole_of((256, 256))
    inner = cv2.erode(hole.view(np.uint8), np.ones((9, 9), np.uint8)).view(np.bool_)

    def texture(pixels: Pixels) -> float:
        return float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[inner].std())

    filled = PatchFill().inpaint(picture, hole)
    assert texture(filled) > 0.4 * texture(picture)
    assert texture(cv2.inpaint(picture, hole.view(np.uint8), 3, cv2.INPAINT_TELEA)) < 0.4 * texture(picture)


def test_the_known_comes_back_to_the_last_bit_and_the_same_seed_fills_alike(photo: Callable[[str, int], Pixels]) -> None:
    picture, hole = photo("chelsea", 128), hole_of((128, 128))
    filled = PatchFill().inpaint(picture, hole, seed=3)
    assert np.array_equal(filled[~hole], picture[~hole])
    assert np.array_equal(filled, PatchFill().inpaint(picture, hole, seed=3))
    hidden = np.where(hole[..., None], np.uint8(255), picture)
    assert np.array_equal(filled, PatchFill().inpaint(hidden, hole, seed=3)), "what the hole hides must not shine through"


@pytest.mark.parametrize("shape", [(10, 10), (16, 200), (333, 20), (65, 64)])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.97, 1.0])
def test_any_shape_and_hole(shape: tuple[int, int], share: float) -> None:
    generator = np.random.default_rng(1)
    picture = generator.integers(0, 256, (*shape, 3)).astype(np.uint8)
    hole = generator.random(shape) < share
    filled = PatchFill().inpaint(picture, hole)
    assert filled.shape == picture.shape
    assert filled.dtype == np.uint8
    assert np.array_equal(filled[~hole], picture[~hole])
