"""GrabCut finds, cuts out and mattes what stands out, the same way each time."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from step1x_edit.data.tools.grabcut import GrabCut
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Mask, Pixels


def overlap(one: Mask, two: Mask) -> float:
    return float((one & two).sum() / max((one | two).sum(), 1))


@pytest.fixture
def disc(photo: Callable[[str, int], Pixels]) -> tuple[Pixels, Mask]:
    """A red disc on a lake, and where it is."""
    picture = photo("lake-sherburne", 256).copy()
    mask = np.zeros((256, 256), np.uint8)
    cv2.circle(mask, (150, 120), 40, 1, -1)
    picture[mask == 1] = (200, 30, 40)
    return picture, mask == 1


def test_what_stands_out_is_found_cut_out_and_matted(disc: tuple[Pixels, Mask]) -> None:
    picture, mask = disc
    tool = GrabCut()
    best = tool.detect(picture)[0]
    assert np.abs(np.array(best.box) - (110, 80, 191, 161)).max() <= 6
    assert overlap(tool.segment(picture, best.box), mask) > 0.9
    matte = tool.matte(picture)
    assert matte.dtype == np.float32
    assert 0 <= matte.min() <= matte.max() <= 1
    assert overlap(matte > 0.5, mask) > 0.9


def test_a_box_says_which_thing_is_meant(disc: tuple[Pixels, Mask]) -> None:
    picture, mask = disc
    picture = picture.copy()
    picture[30:80, 20:70] = (240, 220, 30)
    found = GrabCut().segment(picture, Box(15, 25, 75, 85))
    assert overlap(found, mask) == 0
    square = np.zeros_like(mask)
    square[30:80, 20:70] = True
    assert overlap(found, square) > 0.85


def test_the_astronaut_is_found(photo: Callable[[str, int], Pixels]) -> None:
    matte = GrabCut().matte(photo("astronaut", 256)) > 0.5
    assert matte[140:220, 90:150].mean() > 0.9
    assert matte[:60, 150:].mean() < 0.1


def test_nothing_stands_out_of_a_plain_picture() -> None:
    plain = np.full((90, 120, 3), 127, np.uint8)
    assert GrabCut().detect(plain) == ()
    assert not GrabCut().matte(plain).any()


def test_an_empty_box_holds_nothing(photo: Callable[[str, int], Pixels]) -> None:
    assert not GrabCut().segment(photo("chelsea", 96), Box(10, 10, 10, 30)).any()


def test_answers_do_not_depend_on_what_was_asked_before(photo: Callable[[str, int], Pixels]) -> None:
    tool, picture = GrabCut(), photo("coffee", 160)
    first = tool.matte(picture)
    tool.matte(photo("rocket", 160))
    assert np.array_equal(tool.matte(picture), first)


@pytest.mark.parametrize("shape", [(9, 9), (8, 300), (200, 11)])
def test_odd_shapes_are_taken(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    tool = GrabCut()
    assert tool.matte(noise).shape == shape
    for found in tool.detect(noise):
        assert 0 <= found.box.left < found.box.right <= shape[1]
        assert 0 <= found.box.top < found.box.bottom <= shape[0]
