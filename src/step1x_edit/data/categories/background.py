"""Background change: what lies behind one large subject becomes plain, patterned, blurred, grey or dark; the subject stays."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.compositing import Sprite
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import describe, find_content, gather_facts, put_subject, refer
from step1x_edit.data.triplet import Draft, Pixels, Request

_PLAIN = ("white", "black", "grey", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")


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
    fresh, clauses, english, chinese, edit, caption = _choose(rng, background)
    reference, reference_zh, _ = refer(rng, placed, (), photograph)
    source, target = background.copy(), fresh.copy()
    placed.draw(source)
    placed.draw(target)
    opaque = np.zeros((size, size), np.bool_)
    _mark_opaque(opaque, placed.sprite, placed.left, placed.top)
    return Draft(
        source=source,
        target=target,
        touched=~opaque,
        request=Request(clauses, {"subject": reference, **english}, {"subject": reference_zh, **chinese}),
        source_caption=describe([placed], photograph.caption),
        target_caption=describe([placed], caption or f"{photograph.caption}, {edit.removeprefix('background ')}"),
        edit=edit,
        parameters=gather_facts(photograph, [placed]),
    )


def _choose(rng: random.Random, background: Pixels) -> tuple[Pixels, str, dict[str, str], dict[str, str], str, str]:
    """Draw the new background: pixels, family of clauses, English and Chinese fields, edit, caption."""
    size = background.shape[0]
    way = rng.random()
    one, two = rng.sample(_PLAIN, 2)
    en, zh = {"colour": one, "other": two}, {"colour": COLOURS[one].zh, "other": COLOURS[two].zh}
    if way < 0.64:
        return _fill(size, one), "background plain", en, zh, f"background {one}", f"a plain {one} background"
    if way < 0.71:
        ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
        mixed = np.array(COLOURS[one].rgb, np.float32) * (1 - ramp) + np.array(COLOURS[two].rgb, np.float32) * ramp
        pixels = np.repeat((mixed + 0.5).astype(np.uint8), size, 1)
        return pixels, "background gradient", en, zh, f"background gradient {one} to {two}", f"a background from {one} to {two}"
    if way < 0.77:
        cells = (np.arange(size) * 8 // size) % 2
        return *_mix(cells[:, None] ^ cells[None], one), "background checkerboard", en, zh, *_name("checkerboard", one)
    if way < 0.82:
        cells = np.repeat((np.arange(size) * 8 // size)[:, None] % 2, size, 1)
        return *_mix(cells, one), "background stripes", en, zh, *_name("stripes", one)
    if way < 0.90:
        return cv2.GaussianBlur(background, (0, 0), size * 0.05).astype(np.uint8), "background blur", {}, {}, "background blurred", ""
    if way < 0.95:
        grey = cv2.cvtColor(cv2.cvtColor(background, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
        return grey, "background black and white", {}, {}, "background in black and white", ""
    return (background * 0.3).astype(np.uint8), "background dark", {}, {}, "background darkened", ""


def _fill(size: int, colour: str) -> Pixels:
    return np.full((size, size, 3), COLOURS[colour].rgb, np.uint8)


def _mix(cells: np.ndarray, colour: str) -> tuple[Pixels]:
    light = "black" if colour == "white" else "white"
    return (np.where(cells[..., None] == 1, np.array(COLOURS[light].rgb, np.uint8), np.array(COLOURS[colour].rgb, np.uint8)),)


def _name(pattern: str, colour: str) -> tuple[str, str]:
    return f"background {pattern} {colour}", f"a background of {colour} {pattern}"


def _mark_opaque(mask: np.ndarray, sprite: Sprite, left: int, top: int) -> None:
    height, width = sprite.alpha.shape[:2]
    inner = sprite.alpha[max(-top, 0) : mask.shape[0] - top, max(-left, 0) : mask.shape[1] - left, 0]
    mask[max(top, 0) : top + height, max(left, 0) : left + width] = inner >= 1
