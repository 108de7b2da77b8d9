"""Subject removal: one of the pasted subjects goes, and the photograph behind it, which is known, comes back."""

from __future__ import annotations

import random

from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import describe, gather_facts, put_subjects, refer
from step1x_edit.data.triplet import Draft, Request


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Paste one or two subjects; the target lacks the one asked for, with its shadow."""
    background, photograph = materials.crop(rng, size)
    placed = put_subjects(rng, materials, background)
    wanted = rng.choice(placed)
    others = [item for item in placed if item is not wanted]
    target = background.copy()
    for item in others:
        item.draw(target)
    source = target.copy()
    touched = wanted.draw(source)
    english, chinese, short = refer(rng, wanted, others)
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request("removal", {"subject": english}, {"subject": chinese}),
        source_caption=describe(placed, photograph.caption),
        target_caption=describe(others, photograph.caption),
        edit=f"remove {short}",
        parameters=gather_facts(photograph, placed),
    )
