"""Does the picture after the edit show what the instruction asks for, as far as pixels alone can tell?

Every check reads the edit in the closed vocabulary ("recolour zebra to red", "add cat top left", "tone darker much") and measures one
thing. What pixels cannot tell, whether a cat is a cat, is left to the judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS, find_colour, to_lab
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Mask, Pixels, Triplet
from step1x_edit.data.vocabulary import PLACES

SIDE = 256
"""Pictures are measured at this size, to which longer sides are reduced."""

VISIBLE_CHANGE = 8
"""Largest channel difference, of 255, from which on a pixel counts as changed."""


@dataclass(frozen=True)
class View:
    """A triplet and what several filters measure of it, each thing once.

    Attributes:
        triplet: what is looked at.
        route: "composed" or "photograph".
        tools: what filters find faces with.
    """

    triplet: Triplet
    route: str = "composed"
    tools: Toolbox = field(default_factory=Toolbox.offline)

    @cached_property
    def difference(self) -> Pixels:
        """Largest channel difference: uint8 [H, W]."""
        difference = cv2.absdiff(self.triplet.source, self.triplet.target)
        return cv2.max(cv2.max(difference[..., 0], difference[..., 1]), difference[..., 2]).astype(np.uint8)

    @cached_property
    def source(self) -> Pixels:
        """Reduced to `SIDE`."""
        return shrink(self.triplet.source, SIDE)

    @cached_property
    def target(self) -> Pixels:
        """Reduced to `SIDE`."""
        return shrink(self.triplet.target, SIDE)

    @cached_property
    def greys(self) -> tuple[Pixels, Pixels]:
        """Luminance of the reduced source and target: uint8 [h, w]."""
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8) for picture in (self.source, self.target)]
        return grey[0], grey[1]

    @cached_property
    def labs(self) -> tuple[Floats, Floats]:
        """Mean L*, a*, b* and mean chroma of the reduced source and target."""
        means = []
        for picture in (self.source, self.target):
            lab = to_lab(picture)
            chroma = float(np.hypot(lab[..., 1], lab[..., 2]).mean())
            means.append(np.array([*lab.reshape(-1, 3).mean(0), chroma]))
        return means[0], means[1]

    @cached_property
    def changed(self) -> Mask:
        """Which pixels of the region visibly change, reduced to `SIDE`: bool [h, w]."""
        mask = ((self.difference >= VISIBLE_CHANGE) & self.triplet.region).astype(np.uint8)
        height, width = self.source.shape[:2]
        return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def weigh_colour(picture: Pixels, name: str) -> Floats:
    """How much each pixel has a named colour, black, white and grey among them: float32 [H, W] in 0..1."""
    if COLOURS[name].hues is not None:
        return find_colour(picture, name)
    _, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    if name == "black":
        return (value <= 110).astype(np.float32)
    if name == "white":
        return ((saturation <= 70) & (value >= 150)).astype(np.float32)
    return ((saturation <= 70) & (value > 60) & (value < 225)).astype(np.float32)


def _share(view: View, name: str) -> tuple[float, float]:
    """Which share of the changed pixels has a colour, before and after."""
    changed = view.changed
    if not changed.any():
        return 0.0, 0.0
    before, after = (float(weigh_colour(picture, name)[changed].mean()) for picture in (view.source, view.target))
    return before, after


def _middle(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return (float(columns.min() + columns.max() + 1) / 2 / mask.shape[1], float(rows.min() + rows.max() + 1) / 2 / mask.shape[0])


_TONES: dict[str, tuple[Callable[[View], float], float]] = {
    "brighter": (lambda view: view.labs[1][0] - view.labs[0][0], 2),
    "darker": (lambda view: view.labs[0][0] - view.labs[1][0], 2),
    "night": (lambda view: view.labs[0][0] - view.labs[1][0], 5),
    "fix exposure": (lambda view: view.labs[1][0] - view.labs[0][0], 5),
    "overexposed": (lambda view: view.labs[1][0] - view.labs[0][0], 5),
    "lighten shadows": (lambda view: view.labs[1][0] - view.labs[0][0], 2),
    "warmer": (lambda view: view.labs[1][2] - view.labs[0][2], 2),
    "colder": (lambda view: view.labs[0][2] - view.labs[1][2], 2),
    "sunset": (lambda view: view.labs[1][2] - view.labs[0][2], 2),
    "vivid": (lambda view: view.labs[1][3] - view.labs[0][3], 1),
    "muted": (lambda view: view.labs[0][3] - view.labs[1][3], 1),
    "black and white": (lambda view: 6 - view.labs[1][3], 0),
    "high contrast": (lambda view: float(view.greys[1].std()) - float(view.greys[0].std()), 2),
    "low contrast": (lambda view: float(view.greys[0].std()) - float(view.greys[1].std()), 2),
    "fog": (lambda view: float(view.greys[0].std()) - float(view.greys[1].std()), 2),
    "dehaze": (lambda view: float(view.greys[1].std()) - float(view.greys[0].std()), 2),
}
"""Tone -> what it must raise, in units of L*a*b* or luminance, and by how much."""

_ALREADY = 0.7
"""Share of what has a colour afterwards that may have it before."""

_NEAR = 0.28
"""How far, as a share of the side, the middle of what is added may be from the middle of the place asked for."""


def _check_place(view: View, place: str, mask: Mask) -> tuple[dict[str, float], str]:
    if not mask.any():
        return {}, "nothing was added"
    x, y = _middle(mask)
    _, _, right, down = PLACES[place]
    # "at the top left" names a corner, but what is large reaches to the middle
    far = max(abs(x - (0.25 + 0.5 * right)), abs(y - (0.25 + 0.5 * down)))
    return {"x": round(x, 3), "y": round(y, 3)}, "" if far <= _NEAR else f"it is not {PLACES[place][0]}"


def check(view: View, least: float) -> tuple[dict[str, float], str]:
    """What was measured, and what is wrong, or an empty text; nothing measured means that the edit allows no check.

    Args:
        view: the triplet.
        least: smallest share of the changed pixels that must have a colour asked for.
    """
    edit = view.triplet.edit
    if edit.startswith("recolour ") and " to " in edit:
        return _check_colour(view, edit.rpartition(" to ")[2], least)
    if edit.startswith("background ") and edit.removeprefix("background ") in COLOURS:
        return _check_colour(view, edit.removeprefix("background "), max(least, 0.6))
    if edit.startswith("material ") and edit.endswith(" red plastic"):  # the one material that is a colour, too
        _, after = _share(view, "red")
        return {"after": round(after, 3)}, "" if after >= least else "too little of it becomes red"
    if edit.startswith("tone "):
        name = edit.removeprefix("tone ").removesuffix(" slightly").removesuffix(" much")
        if name in _TONES:
            measure, needed = _TONES[name]
            gain = round(float(measure(view)), 3)
            return {"gain": gain}, "" if gain >= needed else f"it does not become {name}"
    if edit.startswith("add ") and (place := _ending_place(edit)):
        return _check_place(view, place, view.changed)
    return {}, ""


def _check_colour(view: View, colour: str, least: float) -> tuple[dict[str, float], str]:
    if colour not in COLOURS:
        return {}, ""
    before, after = _share(view, colour)
    numbers = {"before": round(before, 3), "after": round(after, 3)}
    if before > _ALREADY * after:
        return numbers, "it has the colour asked for already"
    return numbers, "" if after >= least else f"too little of it becomes {colour}"


def _ending_place(edit: str) -> str:
    """The place that an edit ends with, or empty; "top left" before "left"."""
    return next((place for place in sorted(PLACES, key=len, reverse=True) if edit.endswith(f" {place}")), "")
