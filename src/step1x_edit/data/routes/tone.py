"""Tone transformation: light, colour, weather and season of the whole photograph; fog and haze grow with its depth."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.categories.tone import Grading
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Shape

_HAZE = np.array([0.86, 0.87, 0.89], np.float32)


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Grade a photograph. Source: paper, algorithmic tone transformation."""
    frame = take_frame(rng, photograph, shape, smallest=0.5)
    grading = Grading.draw(rng)
    floats = frame.pixels.astype(np.float32) / 255
    deep = grading.name in ("fog", "dehaze")
    mapped = _fog(floats, tools.depth.estimate(frame.pixels), grading.strength) if deep else grading.apply(floats)
    roles = ("depth", "captioner") if deep else ("captioner",)
    facts = {"tone": grading.name, "strength": round(grading.strength, 4), "tools": tools.describe(*roles)}
    return grading.draft(frame.pixels, mapped, caption_frame(frame, tools), {**frame.facts, **facts})


def _fog(picture: Floats, nearness: Floats, strength: float) -> Floats:
    """Light that fog scatters in, more of it the farther away a pixel is: float32 [H, W, 3], 0..1."""
    through = np.exp(-strength * (0.35 + 1.9 * (1 - nearness)))[..., None]
    return picture * through + _HAZE * (1 - through)
