"""New backgrounds look as their words say, and are called the same however a triplet is made."""

from __future__ import annotations

import random

import numpy as np
import pytest

from step1x_edit.data.backdrops import WAYS, Backdrop, Way, choose_backdrop
from step1x_edit.data.categories import background
from step1x_edit.data.colours import COLOURS
from step1x_edit.data.instructions import CLAUSES
from step1x_edit.data.materials import Content, Materials, Photograph
from step1x_edit.data.routes import background as routed
from step1x_edit.data.shapes import draw_shape
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft


def photograph() -> Photograph:
    """A noisy grey photograph in which a red car is marked."""
    pixels = np.random.default_rng(0).integers(100, 140, (96, 96, 3)).astype(np.uint8)
    alpha = np.zeros((96, 96), np.uint8)
    alpha[26:70, 26:70] = 255
    pixels[26:70, 26:70] = (200, 30, 30)
    return Photograph("a", pixels, None, Content(alpha, "car", "汽车", "vehicle"))


def test_composed_and_edited_photographs_have_one_vocabulary() -> None:
    shown, diamond, tools = photograph(), draw_shape("diamond", "blue"), Toolbox.offline()
    materials = Materials([shown], [diamond], [diamond], marked=[shown])
    made = [background.make(random.Random(seed), materials, 64) for seed in range(200)]
    edited = [routed.make(random.Random(seed), shown, tools, materials, (96, 96)) for seed in range(40)]
    for drafts in (made, edited):
        said = {(draft.request.clauses, draft.edit) for draft in drafts if isinstance(draft, Draft)}
        assert {
            ("background blur", "background blurred"),
            ("background black and white", "background in black and white"),
            ("background dark", "background darkened"),
        } <= said


@pytest.mark.parametrize("way", WAYS)
def test_a_backdrop_is_drawn_as_it_is_called(way: Way) -> None:
    backdrop = Backdrop(way, "red", "blue")
    assert way.clauses in CLAUSES
    drawn, picture = backdrop.draw(photograph().pixels), photograph().pixels
    assert (drawn.shape, drawn.dtype) == (picture.shape, picture.dtype)
    assert ("red" in backdrop.edit.split()) == ("red" in backdrop.caption.split()) == (drawn == COLOURS["red"].rgb).all(2).any()
    assert ("blue" in backdrop.edit) == (np.abs(drawn.astype(int) - COLOURS["blue"].rgb).max(2) < 2).any()
    assert "{" not in backdrop.edit + backdrop.caption


def test_ways_are_drawn_as_often_as_their_shares_say() -> None:
    rng = random.Random(0)
    drawn = [choose_backdrop(rng, [way.routed for way in WAYS]) for _ in range(1300)]
    for way in WAYS:
        assert abs(sum(backdrop.way is way for backdrop in drawn) - 100 * way.routed) < 45
    assert all(backdrop.colour != backdrop.other for backdrop in drawn)
    assert drawn[0].chinese == {"colour": COLOURS[drawn[0].colour].zh, "other": COLOURS[drawn[0].other].zh}
