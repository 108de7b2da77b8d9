"""Subject removal: what stands out is found, cut out, and filled with what is around it."""

from __future__ import annotations

import random

from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.erasing import ROLES, erase
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, draw_seed, find_subject, refer_to, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """The target lacks one thing of the photograph. Source: paper, Florence-2 -> SAM-2 -> object removal."""
    frame = take_frame(rng, photograph, shape)
    found = find_subject(rng, frame, tools, largest=0.3)
    if isinstance(found, Unsuited):
        return found
    seed = draw_seed(rng)
    erased = erase(frame.pixels, found, tools, seed)
    if isinstance(erased, Unsuited):
        return erased
    english, chinese, short = refer_to(rng, found)
    caption = caption_frame(frame, tools)
    return Draft(
        source=frame.pixels,
        target=erased.pixels,
        touched=erased.hole,
        request=Request("removal", {"subject": english}, {"subject": chinese}),
        source_caption=f"{caption}, {found.caption}",
        target_caption=caption,
        edit=f"remove {short}",
        parameters={**frame.facts, "found": found.facts, "tool_seed": seed, "tools": tools.describe(*ROLES, "captioner")},
    )
