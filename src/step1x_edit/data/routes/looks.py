"""Colour alteration and material modification of a thing in the photograph, which differ only in what is asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from step1x_edit.data.materials import Photograph
from step1x_edit.data.routes.erasing import widen_by
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found, Frame, caption_frame, draw_seed, find_subject, refer_to, take_frame
from step1x_edit.data.tools.edges import draw_control
from step1x_edit.data.tools.protocols import Look
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape
from step1x_edit.data.vocabulary import with_article

Choice = tuple[Look, str, str]
"""A look, its English and its Chinese name."""


def make_look(
    rng: random.Random,
    photograph: Photograph,
    tools: Toolbox,
    shape: Shape,
    choose: Callable[[random.Random, Found], Choice],
    word: Callable[[str, str, str, str, str], tuple[Request, str]],
) -> Draft | Unsuited:
    """Find a thing, and draw it anew with its own shape.

    Args:
        rng: source of every choice.
        photograph: where the thing is.
        tools: plays "detector", "segmenter", "depth", "generator" and "captioner".
        shape: of the triplet.
        choose: the look, for what was found.
        word: from the thing in English, in Chinese, its short form, and the look in both languages: the request and the canonical edit.
    """
    frame = take_frame(rng, photograph, shape)
    found = find_subject(rng, frame, tools, smallest=0.03, largest=0.6)
    if isinstance(found, Unsuited):
        return found
    look, name_en, name_zh = choose(rng, found)
    seed = draw_seed(rng)
    control = draw_control(frame.pixels, look, tools.depth)
    region = widen_by(found.mask, 0.008)  # the thing's own border pixels are mixed with what is behind them
    target = tools.generator.generate(frame.pixels, region, control, look, seed)
    english, chinese, short = refer_to(rng, found)
    request, edit = word(english, chinese, short, name_en, name_zh)
    caption = caption_frame(frame, tools)
    return Draft(
        source=frame.pixels,
        target=target,
        touched=region,
        request=request,
        source_caption=f"{caption}, {found.caption}",
        target_caption=f"{caption}, {_caption_look(found, look)}",
        edit=edit,
        parameters=_gather(frame, found, look, seed, tools),
    )


def _caption_look(found: Found, look: Look) -> str:
    noun = found.label or "thing"
    return with_article(f"{look.name} {noun}") if look.kind == "colour" else f"{with_article(noun)} made of {look.name}"


def _gather(frame: Frame, found: Found, look: Look, seed: int, tools: Toolbox) -> dict[str, Any]:
    finders = () if found.content else ("detector", "segmenter")
    described = tools.describe(*finders, "depth", "generator", "captioner")
    return {**frame.facts, "found": found.facts, "look": [look.kind, look.name], "tool_seed": seed, "tools": described}
