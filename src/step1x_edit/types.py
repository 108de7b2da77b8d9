"""The records that the whole package shares: what is asked, what comes back, and the eleven kinds of edit.

Standard library and PIL only, so that every layer may import this file at no cost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image


LONGEST_INSTRUCTION = 2000


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
        image: the picture to edit, any mode and size, already upright.
        instruction: what to change, in English or Chinese; not empty, at most `LONGEST_INSTRUCTION` characters.
        seed: fixes the noise, and with it the result on one machine; 0 to 2**63 - 1.
        steps: sampling steps, at least 1; None takes the model's own number.
        guidance: weight of the instruction against the empty instruction; 1 switches guidance off; None takes the model's own.
        size: side in pixels of the square whose area the model works at; None takes the model's own.

    Raises:
        UsageError: a value is out of its range.
    """

    image: Image
    instruction: str
    seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if not self.instruction.strip():
            raise UsageError("The instruction is empty; say what to change, for example: make it night.")
        if len(self.instruction) > LONGEST_INSTRUCTION:
            raise UsageError(f"The instruction has {len(self.instruction)} characters; say it in at most {LONGEST_INSTRUCTION}.")
        if not self.instruction.isprintable() and any("\ud800" <= c <= "\udfff" for c in self.instruction):
            raise UsageError("The instruction is not valid text; write it in UTF-8.")
        if not all(self.image.size):
            raise UsageError(f"The picture has no pixels: it is {self.image.width} x {self.image.height}.")
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"Steps must be at least 1, not {self.steps}.")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise UsageError(f"Guidance must lie between 0 and 100, not {self.guidance}.")
        if self.size is not None and not 64 <= self.size <= 4096:
            raise UsageError(f"Size must lie between 64 and 4096 pixels, not {self.size}.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"The seed must lie between 0 and 2**63 - 1, not {self.seed}.")


@dataclass(frozen=True)
class EditResult:
    """One edit made.

    Attributes:
        image: the edited picture, of the request's size; RGBA with its alpha channel where it has transparency, else RGB; 8 bits, sRGB.
        raw: what the model itself drew, at the size it works at, RGB.
        request: the request, with every None replaced by the value that was used.
        model: name of the model.
        seconds: wall-clock time, by step of the work.
    """

    image: Image
    raw: Image
    request: EditRequest
    model: str
    seconds: dict[str, float] = field(default_factory=dict)
