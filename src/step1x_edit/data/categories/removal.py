"""Subject removal: one of the pasted subjects goes, and the photograph behind it, which is known, comes back; or what a photograph itself
shows gives way to patches from around it."""

from __future__ import annotations

import random

from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.scene import REMOVABLE, Placed, describe, draw_all, find_content, gather_facts, put_subjects, refer
from step1x_edit.data.triplet import Draft, Mask, Pixels, Request


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Paste one or two subjects, or take what a photograph shows; the target lacks the one asked for, with its shadow."""
    if materials.prefers_marked(rng):
        return _remove_content(rng, materials, size)
    background, photograph = materials.crop(rng, size)
    placed = put_subjects(rng, materials, background)
    wanted = rng.choice(placed)
    target = draw_all(background, (item for item in placed if item is not wanted))
    source = target.copy()
    touched = wanted.draw(source)
    return _word(rng, source, target, touched, photograph, placed, wanted)


def _remove_content(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    found = find_content(rng, materials, size, REMOVABLE)
    if found is None:
        return None
    target = found.empty()
    touched = (found.pixels != target).any(2)
    return _word(rng, found.pixels, target, touched, found.photograph, [found.placed], found.placed)


def _word(
    rng: random.Random, source: Pixels, target: Pixels, touched: Mask, photograph: Photograph, placed: list[Placed], wanted: Placed
) -> Draft:
    others = [item for item in placed if item is not wanted]
    english, chinese, short = refer(rng, wanted, others, photograph)
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
