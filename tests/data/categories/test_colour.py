"""Colour edits speak of what a photograph shows, in both languages alike, and captions name the colour that a thing has then."""

from __future__ import annotations

import random

import numpy as np
import pytest

from step1x_edit.data.categories.colour import make
from step1x_edit.data.colours import COLOURS
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.shapes import draw_shape
from step1x_edit.data.triplet import Draft


def draw_some(topic: str | None, ground: str = "red") -> list[Draft]:
    """Edits of a photograph of one colour and of a blue diamond."""
    pixels = np.full((80, 80, 3), COLOURS[ground].rgb, np.uint8)
    subject = draw_shape("diamond", "blue")
    materials = Materials([Photograph("a", pixels, topic)], [subject], [subject])
    drafts = [make(random.Random(seed), materials, 64) for seed in range(150)]
    return [draft for draft in drafts if draft is not None]


@pytest.mark.parametrize("topic", ["roses", "cat"])
def test_flowers_are_spoken_of_where_there_are_some(topic: str) -> None:
    drafts = draw_some(topic)
    said = {draft.request.en["what"]: draft.request.zh["what"] for draft in drafts}
    assert said["the red parts"] == "红色的部分"
    flowers = {"the red flowers": "红色的花", "the red roses": "红色的玫瑰"}
    assert {en: zh for en, zh in said.items() if "flowers" in en or topic in en} == (flowers if topic == "roses" else {})
    captions = {draft.source_caption.partition("a photo")[2].partition(",")[0] for draft in drafts}
    assert captions == {" of roses" if topic == "roses" else " of a cat"}


@pytest.mark.parametrize(
    ("topic", "ground", "flowers"),
    [
        ("sunflowers", "blue", False),
        ("sunflowers", "yellow", True),
        ("daisies", "yellow", False),
        ("daisies", "pink", True),
        ("dandelions", "orange", False),
        ("dandelions", "yellow", True),
        ("roses", "green", False),
        ("tulips", "teal", False),
        ("tulips", "purple", True),
    ],
)
def test_what_has_a_colour_that_the_flower_never_has_is_not_called_after_it(topic: str, ground: str, flowers: bool) -> None:
    said = {draft.request.en["what"] for draft in draw_some(topic, ground)}
    assert f"the {ground} parts" in said
    assert (said & {"the " + ground + " flowers", f"the {ground} {topic}"} != set()) == flowers


def test_the_new_colour_takes_the_place_of_the_old_one() -> None:
    painted = [draft for draft in draw_some(None) if draft.parameters["subjects"]]
    assert all(draft.source_caption.startswith("a blue diamond ") for draft in painted)
    starts = {" ".join(draft.target_caption.split()[:3]) for draft in painted}
    assert {"an orange diamond", "a grey diamond", "a white diamond"} <= starts
    assert not any("blue" in start for start in starts)
