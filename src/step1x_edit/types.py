"""The records that the whole package shares: what is asked, what comes back, and the eleven kinds of edit.

Standard library and PIL only, so that every layer may import this file at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from numbers import Integral, Real
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image


LONGEST_INSTRUCTION = 2000

SEEDS = 2**63
"""Number of seeds; the first is 0."""

MOST_STEPS = 100_000
"""Choice: far beyond any use, and small enough that the list of times costs nothing; a file may ask for any number with --like."""

SMALLEST_SIZE, LARGEST_SIZE = 64, 4096
"""Sides in pixels of the squares between which that may lie whose area the model works at."""

WIDEST_FEATHER = 1000
"""Pixels of a soft edge. Choice: beyond any use."""


class EditCategory(StrEnum):
    """The eleven kinds of edit of the paper, named as in the paper; the values are GEdit-Bench's task names."""

    SUBJECT_ADDITION = "subject-add"
    SUBJECT_REMOVAL = "subject-remove"
    SUBJECT_REPLACEMENT = "subject-replace"
    BACKGROUND_CHANGE = "background_change"
    COLOR_ALTERATION = "color_alter"
    MATERIAL_MODIFICATION = "material_alter"
    TEXT_MODIFICATION = "text_change"
    MOTION_CHANGE = "motion_change"
    PORTRAIT_EDITING = "ps_human"
    STYLE_TRANSFER = "style_change"
    TONE_TRANSFORMATION = "tone_transfer"


@dataclass(frozen=True)
class EditRequest:
    """One edit to make.

    Attributes:
        image: the picture to edit, any mode and size, already upright; None makes one from the instruction alone.
        instruction: what to change, in English or Chinese; not empty, at most `LONGEST_INSTRUCTION` characters.
        seed: fixes the noise, and with it the result on one machine; 0 to 2**63 - 1.
        steps: sampling steps, 1 to `MOST_STEPS`; None takes the model's own number.
        guidance: weight of the instruction against the empty instruction; 1 switches guidance off; None takes the model's own.
        size: side in pixels of the square whose area the model works at; None takes the model's own.
        negative: what guidance leads away from; empty is the published way.
        guidance_limit: guidance is limited in length where t is above this, 0 at every step, 1 never; None takes the model's own.
        strength: share of the way from noise that is gone, from the picture on; 1 begins with noise alone.
        mask: where the edit may be, any mode, of the picture's size: white is edited, black stays as it is to the last bit.
        feather: pixels over which the edge of the mask fades, all of them inside, 0 to `WIDEST_FEATHER`.
        zoom: show the model the mask and its surroundings alone, so that it draws them larger, see closeup.py.
        references: more pictures that the instruction speaks of, where the model takes them.
        shape: width and height of a picture made from the instruction alone; None is a square.
        start: what less than full strength begins from, of the picture's size; None is the picture itself.
        refine: strength of a second pass over the region that changed, see refinement.py; None for none.

    Raises:
        UsageError: a value is out of its range, or they do not go together.
    """

    image: Image | None
    instruction: str
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    size: int | None = None
    negative: str = ""
    guidance_limit: float | None = None
    strength: float = 1.0
    mask: Image | None = None
    feather: int = 0
    zoom: bool = False
    references: tuple[Image, ...] = ()
    shape: tuple[int, int] | None = None
    start: Image | None = None
    refine: float | None = None

    def __post_init__(self) -> None:
        self._check_types()
        self._check_pictures()
        if not self.instruction.strip():
            raise UsageError("The instruction is empty; say what to change, for example: make it night.")
        if len(self.instruction) > LONGEST_INSTRUCTION:
            raise UsageError(f"The instruction has {len(self.instruction)} characters; say it in at most {LONGEST_INSTRUCTION}.")
        if not self.instruction.isprintable() and any("\ud800" <= c <= "\udfff" for c in self.instruction):
            raise UsageError("The instruction is not valid text; write it in UTF-8.")
        if len(self.negative) > LONGEST_INSTRUCTION or any("\ud800" <= c <= "\udfff" for c in self.negative):
            raise UsageError(f"The negative instruction must be text of at most {LONGEST_INSTRUCTION} characters.")
        if self.steps is not None and not 1 <= self.steps <= MOST_STEPS:
            raise UsageError(f"Steps must be at least 1 and at most {MOST_STEPS}, not {self.steps}.")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise UsageError(f"Guidance must lie between 0 and 100, not {self.guidance}.")
        if self.size is not None and not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise UsageError(f"Size must lie between {SMALLEST_SIZE} and {LARGEST_SIZE} pixels, not {self.size}.")
        if not 0 <= self.seed < SEEDS:
            raise UsageError(f"The seed must lie between 0 and 2**63 - 1, not {self.seed}.")
        if self.guidance_limit is not None and not 0 <= self.guidance_limit <= 1:
            raise UsageError(f"The guidance limit must lie between 0 and 1, not {self.guidance_limit}.")
        if not 0 < self.strength <= 1:
            raise UsageError(f"Strength must be above 0 and at most 1, not {self.strength}.")
        if not 0 <= self.feather <= WIDEST_FEATHER:
            raise UsageError(f"The soft edge must be 0 to {WIDEST_FEATHER} pixels wide, not {self.feather}.")
        if self.refine is not None and not 0 < self.refine <= 1:
            raise UsageError(f"The strength of refining must be above 0 and at most 1, not {self.refine}.")

    def _check_types(self) -> None:
        """What a type checker finds, for those who use none."""
        from PIL.Image import Image  # here, so that the command's help needs no PIL

        pictures = [("picture", self.image), ("mask", self.mask), ("start", self.start)]
        for name, value in [*pictures, *(("reference", each) for each in self.references)]:
            if value is not None and not isinstance(value, Image):
                found = type(value).__name__
                raise UsageError(f"The {name} must be an image of PIL, not {found}; of a file, read_image(path).image gives it.")
        texts, whole = ("instruction", "negative"), ("seed", "steps", "size", "feather")
        real = ("guidance", "guidance_limit", "strength", "refine")
        for names, kind, what in ((texts, str, "a text"), (whole, Integral, "a whole number"), (real, Real, "a number")):
            for name in names:
                value = getattr(self, name)
                if not isinstance(value, kind) and not (value is None and getattr(EditRequest, name, "") is None):
                    raise UsageError(f"{name} must be {what}, not {type(value).__name__}.")

    def _check_pictures(self) -> None:
        for picture in (self.image, *self.references):
            if picture is not None and not all(picture.size):
                raise UsageError(f"The picture has no pixels: it is {picture.width} x {picture.height}.")
        if self.image is None:
            given = {"a mask": self.mask, "references": self.references, "strength": self.strength < 1, "refining": self.refine}
            if named := [name for name, value in given.items() if value]:
                raise UsageError(f"Without a picture to edit there is no use for {' or '.join(named)}; give a picture too.")
        elif self.shape is not None:
            raise UsageError("A picture that is edited keeps its own shape; leave the shape out.")
        if self.mask is None and (self.zoom or self.feather):
            use = "to zoom in on" if self.zoom else "whose edge could be soft"
            raise UsageError(f"There is no mask {use}; give a mask or a box, or leave that out.")
        if self.shape is not None and not all(1 <= side <= 65536 for side in self.shape):
            raise UsageError(f"The shape must be two sides of 1 to 65536 pixels, not {self.shape[0]} x {self.shape[1]}.")
        for name, other in (("mask", self.mask), ("start", self.start)):
            if other is not None and self.image is not None and other.size != self.image.size:
                sizes = [f"{p.width} x {p.height}" for p in (other, self.image)]
                raise UsageError(f"The {name} is {sizes[0]} pixels and the picture {sizes[1]}; make the {name} of the picture's size.")


@dataclass(frozen=True)
class EditResult:
    """One edit made.

    Attributes:
        image: the edited picture, of the request's size; RGBA with its alpha channel where it has transparency, else RGB; 8 bits, sRGB.
        raw: what the model itself drew, at about the size it works at, RGB.
        request: the request, with every None replaced by the value that was used.
        model: name of the model.
        seconds: wall-clock time, by step of the work.
        made_with: see `Editor.made_with`.
        notes: what else there is to say of how it was made, a sentence each.
    """

    image: Image
    raw: Image
    request: EditRequest
    model: str
    seconds: dict[str, float] = field(default_factory=dict)
    made_with: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
