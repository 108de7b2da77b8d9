"""What is cut out of a photograph, and other light on it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from step1x_edit.data.materials import Materials, read_materials
from step1x_edit.data.scene import find_content
from step1x_edit.data.split import Split
from step1x_edit.data.triplet import Pixels
from step1x_edit.data.windows import Light

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def materials() -> Materials:
    return read_materials([EXAMPLES / "marked"], [EXAMPLES / "cutouts"], Split(), "train")


@given(arrays(np.uint8, (3, 5, 3)))
def test_the_photographs_own_light_changes_nothing(pixels: Pixels) -> None:
    assert np.array_equal(Light(1, (1, 1, 1), 1).shed(pixels), pixels)


@given(arrays(np.uint8, (2, 4, 3)), st.integers())
def test_brighter_stays_brighter_and_grey_grey_but_for_the_tint(pixels: Pixels, seed: int) -> None:
    light = Light.draw(random.Random(seed))
    plain = replace(light, gains=(1, 1, 1)).shed(pixels[..., :1].repeat(3, axis=2))
    assert (plain == plain[..., :1]).all()
    order = pixels[..., 0].astype(int).ravel().argsort(kind="stable")
    assert (np.diff(plain[..., 0].astype(int).ravel()[order]) >= 0).all()


def test_without_saturation_nothing_has_a_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    grey = Light(1, (1, 1, 1), 0).shed(pixels)
    assert (grey == grey[..., :1]).all()


def test_a_share_of_the_squares_is_in_another_light_and_nothing_else_about_them_changes(materials: Materials) -> None:
    def crop(relit: float, seed: int) -> Pixels:
        return replace(materials, relit=relit).crop(random.Random(seed), 32)[0]

    changed = [not np.array_equal(crop(0, seed), crop(0.5, seed)) for seed in range(60)]
    assert 15 < sum(changed) < 45
    for seed in range(20):
        own, lit = (crop(relit, seed).astype(int).sum(2).ravel() for relit in (0, 1))
        assert np.corrcoef(own, lit)[0, 1] > 0.8


def test_what_was_behind_a_thing_is_in_the_same_light(materials: Materials) -> None:
    relit, compared = replace(materials, relit=1), 0
    for seed in range(12):
        if (shown := find_content(random.Random(seed), relit, 64)) and shown.window.light:
            alpha = shown.window.squeeze(shown.photograph.content.alpha, 64)  # type: ignore[union-attr]
            far = alpha == 0
            near = np.abs(shown.empty().astype(int) - shown.pixels)[far].max(1)
            assert np.median(near) == 0 and alpha.ndim == 2
            assert not np.array_equal(shown.pixels, replace(shown.window, light=None).squeeze(shown.photograph.pixels, 64))
            compared += 1
    assert compared > 6
