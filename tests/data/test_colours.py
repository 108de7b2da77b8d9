"""Named colours are found, named and given as their names say."""

from __future__ import annotations

import numpy as np
import pytest

from step1x_edit.data.colours import CHROMATIC, COLOURS, find_colour, measure_hues, name_colour, name_hue, recolour
from step1x_edit.data.triplet import Pixels


def patch(name: str, side: int = 8) -> Pixels:
    return np.full((side, side, 3), COLOURS[name].rgb, np.uint8)


@pytest.mark.parametrize("name", list(COLOURS))
def test_each_plain_colour_is_called_by_its_name(name: str) -> None:
    assert name_colour(patch(name).reshape(-1, 3)) == name


def test_a_mixture_has_no_name() -> None:
    mixture = np.concatenate([patch("red"), patch("blue"), patch("green")]).reshape(-1, 3)
    assert name_colour(mixture) is None
    assert name_colour(np.zeros((0, 3), np.uint8)) is None


@pytest.mark.parametrize("brown", [(133, 94, 66), (134, 92, 83), (180, 112, 74), (101, 67, 33), (224, 172, 148)])
def test_brown_and_skin_are_neither_orange_nor_red(brown: tuple[int, int, int]) -> None:
    pixels = np.full((8, 8, 3), brown, np.uint8)
    assert name_colour(pixels.reshape(-1, 3)) is None
    assert name_hue(pixels.reshape(-1, 3)) in ("red", "orange", "pink")
    assert not any(measure_hues(pixels).values())


@pytest.mark.parametrize("name", CHROMATIC)
def test_each_hue_is_found_where_it_is_and_nowhere_else(name: str) -> None:
    assert find_colour(patch(name), name).min() > 0.9
    assert measure_hues(patch(name))[name] == 1
    opposite = {"red": "teal", "orange": "blue", "yellow": "purple", "green": "pink", "teal": "red", "blue": "orange"}.get(name, "green")
    assert find_colour(patch(opposite), name).max() == 0


@pytest.mark.parametrize("after", list(COLOURS))
@pytest.mark.parametrize("before", ["red", "green", "blue", "grey"])
def test_recoloured_mid_tones_have_the_new_name(before: str, after: str) -> None:
    result = recolour(patch(before).astype(np.float32) / 255, after)
    assert result.dtype == np.float32
    named = name_colour((result * 255).astype(np.uint8).reshape(-1, 3))
    assert named == after or (after in ("black", "white") and named == "grey") or (after == "orange" and named == "red")


def test_recolouring_keeps_light_and_shade_in_order() -> None:
    ramp = np.linspace(0.1, 0.9, 16, dtype=np.float32)[None, :, None].repeat(3, 2)
    for name in COLOURS:
        light = recolour(ramp, name).mean(2)[0]
        assert (np.diff(light) > -0.02).all()
        assert light[-1] > light[0]
