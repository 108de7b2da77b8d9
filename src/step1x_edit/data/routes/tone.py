"""Tone transformation: light, colour, weather and season of the whole photograph; fog and haze grow with its depth."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.categories.tone import GRADES, TONES
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Request

_HAZE = np.array([0.86, 0.87, 0.89], np.float32)


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, size: int) -> Draft | Unsuited:
    """Grade a photograph. Source: paper, algorithmic tone transformation."""
    frame = take_frame(rng, photograph, size, smallest=0.5)
    name = rng.choice(tuple(TONES))
    tone = TONES[name]
    grade = rng.choice(("slightly", "", "", "much")) if tone.graded else ""
    strength = GRADES[grade] * rng.uniform(0.9, 1.1)
    floats = frame.pixels.astype(np.float32) / 255
    deep = name in ("fog", "dehaze")
    if deep:
        mapped = _fog(floats, tools.depth.estimate(frame.pixels), strength)
    else:
        mapped = floats + strength * (np.clip(tone.map(floats), 0, 1) - floats)
    pixels = (np.clip(mapped, 0, 1) * 255 + 0.5).astype(np.uint8)
    source, target = (pixels, frame.pixels) if tone.undone else (frame.pixels, pixels)
    caption = caption_frame(frame, tools)
    before = f"{caption}, in haze" if name == "dehaze" else f"{caption}, too dark" if tone.undone else caption
    roles = ("depth", "captioner") if deep else ("captioner",)
    return Draft(
        source=source,
        target=target,
        touched=None,
        request=Request(f"tone {name} {grade}".strip()),
        source_caption=before,
        target_caption=f"{caption}, {tone.caption}",
        edit=f"tone {name} {grade}".strip(),
        parameters={**frame.facts, "tone": name, "strength": round(strength, 4), "tools": tools.describe(*roles)},
    )


def _fog(picture: Floats, nearness: Floats, strength: float) -> Floats:
    """Light that fog scatters in, more of it the farther away a pixel is: float32 [S, S, 3], 0..1."""
    through = np.exp(-strength * (0.35 + 1.9 * (1 - nearness)))[..., None]
    return picture * through + _HAZE * (1 - through)
