"""Subject addition: a removal read backwards, so that what is added is real to the last hair."""

from __future__ import annotations

import random

from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.erasing import ROLES, erase
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, draw_seed, find_subject, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape
from step1x_edit.data.vocabulary import PLACES


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """The source lacks one thing of the photograph, which has a name. Source: paper, "the pair reversed gives addition"."""
    frame = take_frame(rng, photograph, shape)
    found = find_subject(rng, frame, tools, largest=0.3, single=False)
    if isinstance(found, Unsuited):
        return found
    if not found.label:
        return Unsuited("what stands out has no name to ask for it by")
    seed = draw_seed(rng)
    erased = erase(frame.pixels, found, tools, seed)
    if isinstance(erased, Unsuited):
        return erased
    english, chinese = found.new
    place_en, place_zh = PLACES[found.place][:2]
    caption = caption_frame(frame, tools)
    return Draft(
        source=erased.pixels,
        target=frame.pixels,
        touched=erased.hole,
        request=Request("addition", {"subject": english, "place": place_en}, {"subject": chinese, "place": place_zh}),
        source_caption=caption,
        target_caption=f"{caption}, {found.caption}",
        edit=f"add {english.removeprefix('a ').removeprefix('an ')} {found.place}",
        parameters={**frame.facts, "found": found.facts, "tool_seed": seed, "tools": tools.describe(*ROLES, "captioner")},
    )
