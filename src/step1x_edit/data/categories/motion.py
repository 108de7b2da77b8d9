"""Motion change: the pasted subject moves, turns, flips, grows or shrinks by an amount that the words fix; the background is known."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.compositing import Sprite, centre_on, place_box, scale_subject, turn_sprite
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import Placed, describe, gather_facts, name_place, put_subject, refer
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Draft, Request
from step1x_edit.data.vocabulary import PLACES, SIDES

SHIFT = 0.2
"""How far "a little to the left" is, as a share of the frame."""

GROWTH = 1.6
"""How much larger "larger" is; "smaller" is the inverse."""

_TURNS: dict[str, int] = {"turn left": 1, "turn right": 3, "turn over": 2}
_SUFFIXES: dict[str, str] = {
    "mirror": ", mirrored",
    "turn over": ", upside down",
    "turn left": ", on its side",
    "turn right": ", on its side",
}
_SHIFTS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Paste one subject; in the target it has moved, turned or changed its size."""
    background, photograph = materials.crop(rng, size)
    ease = 1 - materials.difficulty
    way = rng.choice(("place", "place", "shift", "mirror", "turn left", "turn right", "turn over", "larger", "smaller"))
    share = rng.uniform(0.25 + 0.1 * ease, 0.5 + 0.1 * ease)
    share = {"larger": share * 0.85, "smaller": share * 1.4}.get(way, share)
    before = put_subject(rng, materials, background, share, plain=True)
    reference, reference_zh, short = refer(rng, before, (), photograph)
    moved = _move(rng, before, way, size, materials.aspect)
    if moved is None:
        return None
    after, clauses, english, chinese, edit = moved
    source, target = background.copy(), background.copy()
    touched = before.draw(source) | after.draw(target)
    suffix = _SUFFIXES.get(way, "")
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request(clauses, {"subject": reference, **english}, {"subject": reference_zh, **chinese}),
        source_caption=describe([before], photograph.caption),
        target_caption=describe([after], photograph.caption) + suffix,
        edit=edit.format(subject=short),
        parameters={**gather_facts(photograph, [before]), "after": list(after.box)},
    )


def _move(
    rng: random.Random, before: Placed, way: str, size: int, aspect: float
) -> tuple[Placed, str, dict[str, str], dict[str, str], str] | None:
    """Carry out one kind of motion: the subject afterwards, the family of clauses, its fields, and the canonical edit."""
    sprite = before.sprite
    if way == "place":
        place = rng.choice([name for name in PLACES if name != before.place])
        height, width = sprite.alpha.shape[:2]
        left, top = place_box(size, width, height, *PLACES[place][2:])
        after = Placed(before.subject, sprite, left, top, place)
        return after, "motion place", {"place": SIDES[place]}, {"place": PLACES[place][1]}, f"move {{subject}} to {place}"
    if way == "shift":
        direction = rng.choice(tuple(_SHIFTS))
        right, down = _SHIFTS[direction]
        step = round(size * SHIFT)
        after = _put(before, sprite, before.left + right * step, before.top + down * step, size)
        if min(after.box) < 0 or max(after.box) > size:
            return None
        return after, f"motion {direction}", {}, {}, f"move {{subject}} {direction}"
    if way == "mirror":
        mirrored = Sprite(sprite.rgb[:, ::-1], sprite.alpha[:, ::-1])
        return Placed(before.subject, mirrored, before.left, before.top, before.place), "motion mirror", {}, {}, "mirror {subject}"
    if way in _TURNS:
        return _centre(before, turn_sprite(sprite, _TURNS[way], aspect), size), f"motion {way}", {}, {}, f"{way} {{subject}}"
    side = max(sprite.alpha.shape[:2]) * (GROWTH if way == "larger" else 1 / GROWTH)
    return _centre(before, _rescale(sprite, round(side)), size), f"motion {way}", {}, {}, f"{way} {{subject}}"


def _rescale(sprite: Sprite, side: int) -> Sprite:
    """Scale a sprite that is drawn already, through the same path as a subject."""
    pixels = np.concatenate([sprite.rgb * sprite.alpha, sprite.alpha], axis=2)
    return scale_subject((pixels * 255 + 0.5).astype(np.uint8), side)


def _centre(before: Placed, sprite: Sprite, size: int) -> Placed:
    """The sprite around the middle of where the subject was."""
    return _put(before, sprite, *centre_on(before.box, sprite, size), size)


def _put(before: Placed, sprite: Sprite, left: int, top: int, size: int) -> Placed:
    height, width = sprite.alpha.shape[:2]
    return Placed(before.subject, sprite, left, top, name_place((size, size), Box(left, top, left + width, top + height)))
