"""New backgrounds: what lies behind something becomes plain, patterned, blurred, grey or dark."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.triplet import Pixels

_PLAIN = ("white", "black", "grey", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")


@dataclass(frozen=True)
class Way:
    """A way to change a background.

    Attributes:
        clauses: the family of clauses that asks for it.
        edit: how the closed vocabulary calls it, with {colour} and {other} where it has such.
        caption: what is behind the thing then, where nothing of the old background is left; else empty.
        draw: makes it of the picture, uint8 [H, W, 3], and two names of colours.
        composed, routed: how often it is taken where a picture is composed, and where a photograph is edited: parts of the sum of all.
    """

    clauses: str
    edit: str
    caption: str
    draw: Callable[[Pixels, str, str], Pixels]
    composed: int
    routed: int


def _fill(picture: Pixels, colour: str, other: str) -> Pixels:
    return np.full(picture.shape, COLOURS[colour].rgb, np.uint8)


def _fade(picture: Pixels, colour: str, other: str) -> Pixels:
    height, width = picture.shape[:2]
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    mixed = np.array(COLOURS[colour].rgb, np.float32) * (1 - ramp) + np.array(COLOURS[other].rgb, np.float32) * ramp
    return np.repeat((mixed + 0.5).astype(np.uint8), width, 1)


def _check(picture: Pixels, colour: str, other: str) -> Pixels:
    rows, columns = (np.arange(side) * 8 // side % 2 for side in picture.shape[:2])
    return _mix(rows[:, None] ^ columns[None], colour)


def _stripe(picture: Pixels, colour: str, other: str) -> Pixels:
    height, width = picture.shape[:2]
    return _mix(np.repeat((np.arange(height) * 8 // height % 2)[:, None], width, 1), colour)


def _mix(cells: np.ndarray, colour: str) -> Pixels:
    light = "black" if colour == "white" else "white"
    return np.where(cells[..., None] == 1, np.array(COLOURS[light].rgb, np.uint8), np.array(COLOURS[colour].rgb, np.uint8))


def _blur(picture: Pixels, colour: str, other: str) -> Pixels:
    return cv2.GaussianBlur(picture, (0, 0), min(picture.shape[:2]) * 0.05).astype(np.uint8)


def _grey(picture: Pixels, colour: str, other: str) -> Pixels:
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)


def _darken(picture: Pixels, colour: str, other: str) -> Pixels:
    return (picture * 0.3).astype(np.uint8)


BLURRED = Way("background blur", "background blurred", "", _blur, 8, 3)

WAYS: tuple[Way, ...] = (
    Way("background plain", "background {colour}", "a plain {colour} background", _fill, 64, 4),
    Way("background gradient", "background gradient {colour} to {other}", "a background from {colour} to {other}", _fade, 7, 2),
    Way("background checkerboard", "background checkerboard {colour}", "a background of {colour} checkerboard", _check, 6, 0),
    Way("background stripes", "background stripes {colour}", "a background of {colour} stripes", _stripe, 5, 0),
    BLURRED,
    Way("background black and white", "background in black and white", "", _grey, 5, 2),
    Way("background dark", "background darkened", "", _darken, 5, 2),
)


@dataclass(frozen=True)
class Backdrop:
    """A way to change a background, and the two colours for it."""

    way: Way
    colour: str
    other: str

    @property
    def edit(self) -> str:
        """In the closed vocabulary."""
        return self.way.edit.format(**self.english)

    @property
    def caption(self) -> str:
        """What is behind the thing then, or empty where it is the old background still."""
        return self.way.caption.format(**self.english)

    @property
    def english(self) -> dict[str, str]:
        """Values for the fields of the clauses."""
        return {"colour": self.colour, "other": self.other}

    @property
    def chinese(self) -> dict[str, str]:
        """The same in Chinese."""
        return {key: COLOURS[name].zh for key, name in self.english.items()}

    def draw(self, picture: Pixels) -> Pixels:
        """The new background of a picture, uint8 [H, W, 3] both."""
        return self.way.draw(picture, self.colour, self.other)


def choose_backdrop(rng: random.Random, shares: Sequence[int]) -> Backdrop:
    """Draw one of the `WAYS`, each as often as its share says, and its colours."""
    way = rng.choices(WAYS, shares)[0]
    return Backdrop(way, *rng.sample(_PLAIN, 2))
