"""Material modification: a thing in the photograph becomes wood, gold, ice ... and keeps its shape and light."""

from __future__ import annotations

import random

from step1x_edit.data.categories.material import MATERIALS
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.looks import Choice, make_look
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found
from step1x_edit.data.tools.protocols import Look
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape
from step1x_edit.data.vocabulary import with_article


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Remake what stands out. Source: paper, SAM-2 mask and depth -> ControlNet."""
    return make_look(rng, photograph, tools, shape, _choose, _word)


def _choose(rng: random.Random, found: Found) -> Choice:
    name = rng.choice(tuple(MATERIALS))
    return Look("material", name, f"{with_article(found.label or 'sculpture')} made of {name}, photograph"), name, MATERIALS[name].zh


def _word(english: str, chinese: str, short: str, material: str, material_zh: str) -> tuple[Request, str]:
    request = Request("material", {"subject": english, "material": material}, {"subject": chinese, "material": material_zh})
    return request, f"material {short} {material}"
