"""Pasting agrees with alpha blending written out, and places are where their names say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.compositing import Sprite, paste, place_box, scale_subject, turn_sprite
from step1x_edit.data.lettering import letter
from step1x_edit.data.materials import Subject
from step1x_edit.data.shapes import SHAPES, draw_shape
from step1x_edit.data.tools.filtering import grow


def random_sprite(height: int, width: int) -> Sprite:
    generator = np.random.default_rng(height * 100 + width)
    return Sprite(generator.random((height, width, 3), np.float32), generator.random((height, width, 1), np.float32))


@given(left=st.integers(-20, 30), top=st.integers(-20, 30), width=st.integers(1, 15), height=st.integers(1, 15))
def test_paste_blends_pixel_by_pixel_and_cuts_off_what_sticks_out(left: int, top: int, width: int, height: int) -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    sprite = random_sprite(height, width)
    result = canvas.copy()
    mask = paste(result, sprite, left, top)
    for row in range(24):
        for column in range(24):
            y, x = row - top, column - left
            if 0 <= y < height and 0 <= x < width:
                alpha = sprite.alpha[y, x, 0]
                wanted = canvas[row, column] * (1 - alpha) + sprite.rgb[y, x] * 255 * alpha
                assert np.abs(result[row, column] - wanted).max() <= 0.51
                assert mask[row, column] == (alpha > 1 / 255)
            else:
                assert (result[row, column] == canvas[row, column]).all()
                assert not mask[row, column]


@given(size=st.integers(32, 200), width=st.integers(1, 250), height=st.integers(1, 250), x=st.floats(0, 1), y=st.floats(0, 1))
def test_boxes_that_fit_stay_inside_the_frame(size: int, width: int, height: int, x: float, y: float) -> None:
    left, top = place_box(size, width, height, x, y)
    for start, length in ((left, width), (top, height)):
        if length <= size:
            assert start >= 0
            assert start + length <= size
        else:
            assert abs(2 * start + length - size) <= 1


def test_a_scaled_opaque_subject_keeps_its_colour_and_longer_side() -> None:
    pixels = np.zeros((40, 20, 4), np.uint8)
    pixels[:] = (200, 100, 50, 255)
    sprite = scale_subject(pixels, 30)
    assert sprite.alpha.shape == (30, 15, 1)
    assert np.allclose(sprite.rgb * 255, (200, 100, 50), atol=1)
    assert sprite.mask.all()


def test_four_quarter_turns_are_none() -> None:
    sprite = random_sprite(5, 9)
    turned = turn_sprite(turn_sprite(turn_sprite(turn_sprite(sprite, 1), 1), 1), 1)
    assert np.array_equal(turned.rgb, sprite.rgb)
    assert turn_sprite(sprite, 1).alpha.shape == (9, 5, 1)


@pytest.mark.parametrize("aspect", [0.5, 1.5, 2.0])
def test_in_a_squeezed_frame_things_have_their_form_once_it_is_stretched(aspect: float) -> None:
    circle = scale_subject(draw_shape("circle", "red").pixels, 120, aspect=aspect)
    word = letter("STOP", 120, 1000, (0, 0, 0), aspect)
    for sprite, natural in ((circle, 1.0), (word, letter("STOP", 120, 1000, (0, 0, 0)).alpha.shape[1] / 120)):
        height, width = sprite.alpha.shape[:2]
        assert aspect * width / height == pytest.approx(natural, rel=0.02)
    assert max(circle.alpha.shape[:2]) == 120


def test_a_quarter_turn_in_a_squeezed_frame_exchanges_the_sides_of_the_thing_itself() -> None:
    sprite = scale_subject(draw_shape("cross", "red").pixels[:, :100], 60, aspect=1.5)
    height, width = sprite.alpha.shape[:2]
    turned = turn_sprite(sprite, 1, 1.5)
    assert turned.alpha.shape[0] == pytest.approx(width * 1.5, abs=1)
    assert turned.alpha.shape[1] == pytest.approx(height / 1.5, abs=1)
    assert turn_sprite(sprite, 2, 1.5).alpha.shape == sprite.alpha.shape


def test_grow_dilates_by_two_pixels() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4] = True
    assert grow(mask).sum() == 25
    assert grow(mask)[2:7, 2:7].all()


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_are_distinct_and_premultiplied(name: str) -> None:
    subject: Subject = draw_shape(name, "red")
    alpha = subject.pixels[..., 3]
    assert alpha.max() == 255
    assert (subject.pixels[..., 0] <= alpha).all()
    others = [draw_shape(other, "red").pixels for other in SHAPES if other != name]
    assert not any(other.shape == subject.pixels.shape and np.array_equal(other, subject.pixels) for other in others)
