"""Style transfer: the whole photograph drawn anew in a style, with its own edges. Source: paper, realistic -> edges -> stylised."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.categories.style import STYLES
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, draw_seed, take_frame
from step1x_edit.data.tools.edges import draw_control
from step1x_edit.data.tools.protocols import Look
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Draw a photograph in one of the styles."""
    frame = take_frame(rng, photograph, shape, smallest=0.5)
    name = rng.choice(tuple(STYLES))
    caption = caption_frame(frame, tools)
    look = Look("style", name, f"{caption}, {STYLES[name].caption}")
    seed = draw_seed(rng)
    control = draw_control(frame.pixels, look, tools.depth)
    target = tools.generator.generate(frame.pixels, np.ones(frame.pixels.shape[:2], np.bool_), control, look, seed)
    return Draft(
        source=frame.pixels,
        target=target,
        touched=None,
        request=Request(f"style {name}"),
        source_caption=caption,
        target_caption=f"{caption}, {STYLES[name].caption}",
        edit=f"style {name}",
        parameters={**frame.facts, "style": name, "tool_seed": seed, "tools": tools.describe("generator", "captioner")},
    )
