"""Subjects are spoken of in words that fit nothing else, neither another subject nor what the photograph itself shows."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from step1x_edit.data.compositing import Sprite
from step1x_edit.data.materials import Content, Photograph, Subject
from step1x_edit.data.scene import Placed, refer

CLEAR = np.ones((4, 4, 1), np.float32)
PIXELS = np.zeros((8, 8, 4), np.uint8)
ROSE = Subject("rose", PIXELS, "rose", "玫瑰", "plant", "red")
SAID = {"the rose", "the plant"}
"""What a rose may be called by its name or kind alone."""


def place(subject: Subject, pasted: bool = True, at: str = "top") -> Placed:
    return Placed(subject, Sprite(np.repeat(CLEAR, 3, 2), CLEAR), 0, 0, at, pasted=pasted)


def photograph(topic: str | None = None, content: Content | None = None) -> Photograph:
    return Photograph("a", PIXELS[..., :3], topic, content)


def refer_often(wanted: Placed, shown: Photograph, *others: Placed) -> dict[str, tuple[str, str]]:
    """English -> Chinese and the short form."""
    found = [refer(random.Random(seed), wanted, others, shown) for seed in range(300)]
    return {english: (chinese, short) for english, chinese, short in found}


def mark(en: str, kind: str) -> Content:
    return Content(PIXELS[..., 0], en, "", kind)


@pytest.mark.parametrize(
    ("shown", "alone"),
    [
        (photograph(), SAID),
        (photograph("cat"), SAID),
        (photograph("roses"), set()),
        (photograph("Rose"), set()),
        (photograph("sunflowers"), {"the rose"}),
        (photograph(None, mark("rose", "plant")), set()),
        (photograph(None, mark("rose", "food")), {"the plant"}),
        (photograph(None, mark("tree", "plant")), {"the rose"}),
        (photograph("a meadow", mark("car", "vehicle")), SAID),
    ],
)
def test_what_is_pasted_is_not_called_as_what_the_photograph_shows(shown: Photograph, alone: set[str]) -> None:
    said = refer_often(place(ROSE), shown)
    assert said.keys() & SAID == alone
    further = {"the sticker", "the pasted object", "the thing at the top", "the red plant", "the red rose", "the rose at the top"}
    assert further <= said.keys()
    assert "the rose" in alone or "rose" not in {short for _, short in said.values()}


def test_a_topic_without_a_label_is_what_a_photograph_shows() -> None:
    koala = replace(ROSE, en="koala", zh="考拉", kind="animal", colour=None)
    assert "the koala" not in refer_often(place(koala), photograph("Koala"))
    assert refer_often(place(koala), photograph("Koala"))["the koala at the top"] == ("上方的考拉", "koala top")


def test_what_the_photograph_shows_is_called_by_its_name() -> None:
    said = refer_often(place(ROSE, pasted=False), photograph("roses", mark("rose", "plant")))
    assert {*SAID, "the main subject"} <= said.keys()
    assert "the sticker" not in said


def test_where_no_way_is_left_the_name_alone_has_to_do() -> None:
    grey = replace(ROSE, colour=None)
    assert refer_often(place(grey), photograph("roses"), place(replace(grey, en="tulip"))) == {"the rose": ("玫瑰", "rose")}


@pytest.mark.parametrize(
    ("at", "other", "clear"),
    [("left", "top left", False), ("top", "top right", False), ("top left", "left", True), ("left", "right", True), ("top", "top", False)],
)
def test_a_place_is_said_where_nothing_else_stands_on_that_side(at: str, other: str, clear: bool) -> None:
    said = refer_often(place(ROSE, at=at), photograph(), place(replace(ROSE, en="koala", zh="考拉", kind="animal"), at=other))
    assert any(english.startswith("the thing ") for english in said) == clear


@pytest.mark.parametrize(("english", "chinese"), [("wild rose", "野玫瑰"), ("rosebush", "玫瑰")])
def test_a_name_that_fits_another_subject_does_not_stand_alone(english: str, chinese: str) -> None:
    other = place(replace(ROSE, en=english, zh=chinese, colour="pink"), at="bottom")
    said = refer_often(place(ROSE), photograph(), other)
    assert said.keys() == {"the rose at the top", "the plant at the top", "the thing at the top", "the red rose", "the red plant"}
    assert "rose" not in {short for _, short in said.values()}
