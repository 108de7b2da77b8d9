"""Tone transformation: light, colour cast, contrast, weather and season, each one fixed map of pixel colours.

A tone means the same map every time, give or take a tenth of its strength; "slightly" is half of it, "much" half more.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from step1x_edit.data.colours import LUMA, find_colour
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import decorate, describe, gather_facts
from step1x_edit.data.triplet import Draft, Floats, Pixels, Request


def _saturate(factor: float) -> Floats:
    """Matrix [3, 3] that scales the distance from grey."""
    return (np.eye(3, dtype=np.float32) * factor + np.repeat(LUMA, 3, 0) * (1 - factor)).astype(np.float32)


def _affine(matrix: npt.ArrayLike, offset: tuple[float, float, float] = (0, 0, 0)) -> Callable[[Floats], Floats]:
    """Linear map of sRGB values 0..1: a matrix [3, 3] or a factor for each channel, then an offset."""
    square = np.asarray(matrix, np.float32)
    square = np.diag(square) if square.ndim == 1 else square
    full = np.concatenate([square, np.array(offset, np.float32)[:, None]], axis=1)
    return lambda picture: cv2.transform(picture, full).astype(np.float32)


def _tint(red: float, green: float, blue: float) -> Callable[[Floats], Floats]:
    """Monochrome light of a colour, with a quarter of the own colours left."""
    mono = np.array([[red], [green], [blue]], np.float32) @ LUMA
    return _affine(0.25 * np.eye(3) + 0.75 * mono)


def _power(exponent: float) -> Callable[[Floats], Floats]:
    return lambda picture: cv2.pow(np.maximum(picture, 0), exponent).astype(np.float32)


def _lift_shadows(picture: Floats) -> Floats:
    grey = cv2.transform(picture, LUMA)
    gain = 1 + 1.6 * np.clip(1 - grey / 0.6, 0, 1)
    return picture * gain.reshape(*picture.shape[:2], 1) + 0.03


def _autumn(picture: Floats) -> Floats:
    weight = find_colour((np.clip(picture, 0, 1) * 255).astype(np.uint8), "green")[..., None]
    return picture + weight * (
        cv2.transform(picture, np.array([[0.35, 0.85, 0.1], [0.1, 0.45, 0.0], [0.0, 0.1, 0.3]], np.float32)) - picture
    )


def _winter(picture: Floats) -> Floats:
    grey = cv2.transform(picture, LUMA).reshape(*picture.shape[:2], 1)
    return 0.25 * picture + 0.75 * (0.3 + 0.8 * grey) * np.array([0.93, 0.98, 1.06], np.float32)


def _vignette(picture: Floats) -> Floats:
    along, across = (np.linspace(-1, 1, length, dtype=np.float32) for length in picture.shape[:2])
    return picture * np.clip(1.25 - 0.75 * (along[:, None] ** 2 + across[None] ** 2), 0.05, 1)[..., None]


@dataclass(frozen=True)
class Tone:
    """A map of float32 [H, W, 3] sRGB 0..1 and how a caption speaks of its result; `graded`: may be asked slightly or much;
    `undone`: the picture before the map is the target, its result the source."""

    map: Callable[[Floats], Floats]
    caption: str
    graded: bool = False
    undone: bool = False


TONES: dict[str, Tone] = {
    "night": Tone(_affine(np.diag([0.26, 0.34, 0.58]) @ _saturate(0.6)), "at night"),
    "brighter": Tone(_power(0.5), "bright", graded=True),
    "darker": Tone(_affine([0.5, 0.5, 0.5]), "dark", graded=True),
    "warmer": Tone(_affine([1.2, 1.0, 0.66], (0.04, 0.01, 0)), "in warm light", graded=True),
    "colder": Tone(_affine([0.7, 0.97, 1.2], (0, 0.01, 0.05)), "in cold light", graded=True),
    "sepia": Tone(_affine([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]), "in sepia"),
    "black and white": Tone(_affine(_saturate(0.0)), "in black and white"),
    "vivid": Tone(_affine(_saturate(2.0)), "in vivid colours", graded=True),
    "muted": Tone(_affine(_saturate(0.3)), "in muted colours"),
    "vintage": Tone(_affine(np.diag([0.75, 0.68, 0.52]) @ _saturate(0.55), (0.22, 0.17, 0.14)), "faded like an old photo"),
    "high contrast": Tone(_affine([1.9, 1.9, 1.9], (-0.45, -0.45, -0.45)), "with high contrast", graded=True),
    "low contrast": Tone(_affine([0.4, 0.4, 0.4], (0.3, 0.3, 0.3)), "with low contrast"),
    "fog": Tone(_affine([0.38, 0.38, 0.38], (0.52, 0.53, 0.55)), "in fog"),
    "dehaze": Tone(_affine([0.45, 0.45, 0.45], (0.46, 0.47, 0.48)), "without haze", undone=True),
    "fix exposure": Tone(_affine([0.36, 0.36, 0.36]), "well exposed", undone=True),
    "sunset": Tone(_affine(np.diag([1.15, 0.75, 0.5]) @ _saturate(0.9), (0.18, 0.05, 0.02)), "at sunset"),
    "overexposed": Tone(_affine([1.7, 1.7, 1.7], (0.12, 0.12, 0.12)), "overexposed"),
    "lighten shadows": Tone(_lift_shadows, "with light shadows"),
    "autumn": Tone(_autumn, "in autumn"),
    "winter": Tone(_winter, "in winter"),
    "vignette": Tone(_vignette, "with dark corners"),
    "red tint": Tone(_tint(1.5, 0.35, 0.3), "in red light"),
    "green tint": Tone(_tint(0.4, 1.35, 0.45), "in green light"),
    "blue tint": Tone(_tint(0.35, 0.65, 1.7), "in blue light"),
    "purple tint": Tone(_tint(1.1, 0.5, 1.5), "in purple light"),
    "teal tint": Tone(_tint(0.3, 1.15, 1.2), "in teal light"),
    "yellow tint": Tone(_tint(1.35, 1.2, 0.3), "in yellow light"),
}

GRADES: dict[str, float] = {"slightly": 0.5, "": 1.0, "much": 1.5}


@dataclass(frozen=True)
class Grading:
    """A tone at a strength: 1 is the tone as it is."""

    name: str
    grade: str
    strength: float

    @classmethod
    def draw(cls, rng: random.Random) -> Grading:
        """Choose one."""
        name = rng.choice(tuple(TONES))
        grade = rng.choice(("slightly", "", "", "much")) if TONES[name].graded else ""
        return cls(name, grade, GRADES[grade] * rng.uniform(0.9, 1.1))

    def apply(self, picture: Floats) -> Floats:
        """The tone's map of float32 [H, W, 3] sRGB 0..1; may leave that range."""
        return picture + self.strength * (np.clip(TONES[self.name].map(picture), 0, 1) - picture)

    def draft(self, picture: Pixels, mapped: Floats, caption: str, parameters: dict[str, Any]) -> Draft:
        """The edit from a picture to what the tone made of it, or back, where it is one that is undone."""
        tone, pixels = TONES[self.name], (np.clip(mapped, 0, 1) * 255 + 0.5).astype(np.uint8)
        source, target = (pixels, picture) if tone.undone else (picture, pixels)
        before = f"{caption}, in haze" if self.name == "dehaze" else f"{caption}, too dark" if tone.undone else caption
        edit = f"tone {self.name} {self.grade}".strip()
        return Draft(source, target, None, Request(edit), before, f"{caption}, {tone.caption}", edit, parameters)


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Apply one tone to a photograph, with or without a subject on it."""
    grading = Grading.draw(rng)
    background, photograph = materials.crop(rng, size)
    picture, placed = decorate(rng, materials, background)
    parameters = {**gather_facts(photograph, placed), "strength": round(grading.strength, 4)}
    return grading.draft(picture, grading.apply(picture.astype(np.float32) / 255), describe(placed, photograph.caption), parameters)
