"""Sizes fit the latents, and what is drawn is laid over the region alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.tools.diffusion import LARGEST, fit, lay_over


@given(st.integers(8, 4000), st.integers(8, 4000))
def test_sizes_are_multiples_near_the_pictures_shape(height: int, width: int) -> None:
    tall, wide = fit((height, width), 16, 512)
    assert tall % 16 == wide % 16 == 0
    assert min(tall, wide) >= 504
    if max(height, width) < 1.9 * min(height, width):
        assert tall * wide <= 1.1 * LARGEST
        assert abs(np.log(tall / wide) - np.log(height / width)) < 0.04


def test_a_fitting_size_stays() -> None:
    assert fit((512, 768), 16, 512) == (512, 768)
    assert fit((64, 48), 4, 32) == (64, 48)


@pytest.mark.parametrize("side", [20, 40])
def test_the_border_is_mixed_inwards(side: int) -> None:
    picture, region = np.full((40, 40, 3), 200, np.uint8), np.zeros((40, 40), np.bool_)
    region[10:30, 10:30] = True
    laid = lay_over(picture, region, np.zeros((side, side, 3), np.float32))
    assert (laid[~region] == 200).all()
    assert (laid[13:27, 13:27] == 0).all()
    assert 0 < laid[10, 20, 0] < 200
    assert (lay_over(picture, region, np.zeros((side, side, 3), np.float32), border=0)[region] == 0).all()
    assert (lay_over(picture, np.ones_like(region), np.zeros((side, side, 3), np.float32)) == 0).all()
