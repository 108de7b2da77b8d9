"""Colour alteration: a thing in the photograph gets another colour and keeps its shape, folds and shadows."""

from __future__ import annotations

import random

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.looks import Choice, make_look
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found
from step1x_edit.data.tools.protocols import Look
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape
from step1x_edit.data.vocabulary import with_article


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Recolour what stands out. Source: paper, SAM-2 mask and depth -> ControlNet."""
    return make_look(rng, photograph, tools, shape, _choose, _word)


def _choose(rng: random.Random, found: Found) -> Choice:
    name = rng.choice([name for name in COLOURS if name not in (found.colour, "grey")])
    thing = with_article(f"{name} {found.label or 'object'}")
    return Look("colour", name, f"{thing}, photograph, same shape and light"), name, COLOURS[name].zh


def _word(english: str, chinese: str, short: str, colour: str, colour_zh: str) -> tuple[Request, str]:
    request = Request("colour", {"what": english, "colour": colour}, {"what": chinese, "colour": colour_zh})
    return request, f"recolour {short} to {colour}"
