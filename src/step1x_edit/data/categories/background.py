"""Background change: what lies behind one large subject becomes plain, patterned, blurred, grey or dark; the subject stays."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.backdrops import WAYS, choose_backdrop
from step1x_edit.data.compositing import Sprite
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import describe, draw_all, find_content, gather_facts, put_subject, refer
from step1x_edit.data.triplet import Draft, Request

_SHARES = tuple(way.composed for way in WAYS)


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Composite a subject of 45 to 85 % of the frame on a photograph, or take one that shows its own, and again on the new background."""
    if materials.prefers_marked(rng):
        found = find_content(rng, materials, size)
        if found is None:
            return None
        background, photograph, placed = found.pixels, found.photograph, found.placed
    else:
        background, photograph = materials.crop(rng, size)
        placed = put_subject(rng, materials, background, rng.uniform(0.45, 0.85), plain=True)
    backdrop = choose_backdrop(rng, _SHARES)
    reference, reference_zh, _ = refer(rng, placed, (), photograph)
    opaque = np.zeros((size, size), np.bool_)
    _mark_opaque(opaque, placed.sprite, placed.left, placed.top)
    return Draft(
        source=draw_all(background, [placed]),
        target=draw_all(backdrop.draw(background), [placed]),
        touched=~opaque,
        request=Request(backdrop.way.clauses, {"subject": reference, **backdrop.english}, {"subject": reference_zh, **backdrop.chinese}),
        source_caption=describe([placed], photograph.caption),
        target_caption=describe([placed], backdrop.caption or f"{photograph.caption}, {backdrop.edit.removeprefix('background ')}"),
        edit=backdrop.edit,
        parameters=gather_facts(photograph, [placed]),
    )


def _mark_opaque(mask: np.ndarray, sprite: Sprite, left: int, top: int) -> None:
    height, width = sprite.alpha.shape[:2]
    inner = sprite.alpha[max(-top, 0) : mask.shape[0] - top, max(-left, 0) : mask.shape[1] - left, 0]
    mask[max(top, 0) : top + height, max(left, 0) : left + width] = inner >= 1
