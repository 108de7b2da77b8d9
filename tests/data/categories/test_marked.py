"""What a photograph itself shows is recoloured, remade, taken away, replaced or put before another background; the rest stays as it is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from step1x_edit.data.categories import background, colour, material, removal, replacement
from step1x_edit.data.categories.category import Category
from step1x_edit.data.materials import Content, Materials, Photograph
from step1x_edit.data.shapes import draw_shape
from step1x_edit.data.tools.filtering import grow
from step1x_edit.data.triplet import Draft


def draw_some(make: Category) -> list[Draft]:
    """Edits of a noisy grey photograph in which a red car is marked; what is pasted is a blue diamond."""
    noise = np.random.default_rng(0)
    pixels = noise.integers(100, 140, (80, 120, 3)).astype(np.uint8)
    alpha = np.zeros((80, 120), np.uint8)
    alpha[30:60, 50:90] = 255
    pixels[30:60, 50:90] = (200, 30, 30)
    marked = Photograph("a", pixels, None, Content(alpha, "car", "汽车", "vehicle"))
    diamond = draw_shape("diamond", "blue")
    materials = Materials([marked], [diamond], [diamond], marked=[marked])
    drafts = [make(random.Random(seed), materials, 64) for seed in range(200)]
    return [draft for draft in drafts if draft and draft.parameters["subjects"] and draft.parameters["subjects"][0]["subject"] == "a"]


@pytest.mark.parametrize("make", [colour.make, material.make])
def test_the_marked_thing_alone_changes(make: Category) -> None:
    drafts = draw_some(make)
    assert len(drafts) > 20
    for draft in drafts:
        car = (draft.source[..., 0] > 180) & (draft.source[..., 1] < 60)
        assert draft.touched is not None
        assert not (car & ~draft.touched).any()
        assert not (draft.touched & ~grow(car, 3)).any()
        assert np.array_equal(draft.source[~draft.touched], draft.target[~draft.touched])
        assert draft.source_caption.startswith("a car ")
    said = {value for draft in drafts for key, value in draft.request.en.items() if key in ("what", "subject")}
    assert {"the car", "the main subject", "the red car"} <= said
    assert not any("sticker" in words or "pasted" in words for words in said)


def test_the_marked_thing_stays_before_a_new_background() -> None:
    drafts = draw_some(background.make)
    assert len(drafts) > 20
    for draft in drafts:
        assert draft.touched is not None
        assert np.abs(draft.source[~draft.touched].astype(int) - draft.target[~draft.touched]).max() <= 1
        assert draft.source_caption.startswith("a car ")


@pytest.mark.parametrize("make", [removal.make, replacement.make])
def test_the_marked_thing_goes_and_its_surroundings_come_in_its_place(make: Category) -> None:
    drafts = draw_some(make)
    assert len(drafts) > 20
    for draft in drafts:
        car = (draft.source[..., 0] > 180) & (draft.source[..., 1] < 60)
        new = (np.abs(draft.target.astype(int) - 120) > 45).any(2)
        assert car.any() and draft.touched is not None
        assert not (car & ~draft.touched).any()
        assert np.abs(draft.source[~draft.touched].astype(int) - draft.target[~draft.touched]).max() <= 1
        assert new.any() == (make is replacement.make) or "grey" in draft.edit
        assert draft.source_caption.startswith("a car ") and "car" not in draft.target_caption
