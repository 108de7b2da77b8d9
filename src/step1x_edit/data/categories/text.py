"""Text modification: a word on a plate or straight on the photograph is rewritten, recoloured, removed or added."""

from __future__ import annotations

import random

import numpy as np

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.compositing import paste, place_box
from step1x_edit.data.lettering import WORDS, letter
from step1x_edit.data.materials import Materials
from step1x_edit.data.triplet import Draft, Mask, Pixels, Request
from step1x_edit.data.vocabulary import PLACES, with_article

_PLACES = ("centre", "top", "bottom")
_DARK = ("black", "red", "blue", "green", "purple")
_LIGHT = ("white", "yellow", "orange", "pink")
ADDED = 0.2
"""Height of an added word, as a share of the frame."""


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Write a word; the target says another one, has another colour, or lacks it; or the word is the target's alone."""
    background, photograph = materials.crop(rng, size)
    way = rng.choices(("replace", "recolour", "remove", "add"), (9, 4, 4, 3))[0]
    easy = [word for word in WORDS if len(word) <= 4]
    word, other = rng.sample(WORDS if rng.random() < materials.difficulty else easy, 2)
    place = rng.choice(_PLACES)
    height = round(size * (ADDED if way == "add" else rng.uniform(0.2, 0.3 + 0.1 * (1 - materials.difficulty))))
    plate = rng.choice((*_DARK, *_LIGHT)) if rng.random() < 0.5 and way != "add" else None
    inks = _choose_inks(background, plate)
    ink, new_ink = rng.sample(inks, 2)
    base, plate_mask = _lay_plate(background, plate, height, place)
    source, target = base.copy(), base.copy()
    if way != "add":
        touched = _write(source, word, ink, height, place, materials.aspect)
    else:
        touched = np.zeros((size, size), np.bool_)
    colour = new_ink if way == "recolour" else ink
    shown = {"replace": other, "recolour": word, "add": word}.get(way)
    if shown:
        touched = touched | _write(target, shown, colour, height, place, materials.aspect)
    if way == "remove" and plate is not None and rng.random() < 0.5:
        target, touched, way = background.copy(), plate_mask, "remove sign"
    caption = f"{photograph.caption}, with {with_article(f'{plate} sign')}" if plate else photograph.caption
    after = photograph.caption if way == "remove sign" else caption
    place_en, place_zh = PLACES[place][:2]
    english = {"word": word, "other": other, "colour": colour, "place": place_en}
    chinese = {"word": word, "other": other, "colour": COLOURS[colour].zh, "place": place_zh}
    edit = {
        "replace": f"text {word} to {other}",
        "recolour": f"text {word} {colour}",
        "remove": f"text remove {word}",
        "remove sign": "text remove sign",
        "add": f"text add {colour} {word} {place}",
    }[way]
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request(f"text {way}", english, chinese),
        source_caption=caption if way == "add" else f'{caption}, with the {ink} word "{word}" {place_en}',
        target_caption=f'{after}, with the {colour} word "{shown}" {place_en}' if shown else after,
        edit=edit,
        parameters={
            "photograph": photograph.name,
            "subjects": [],
            "word": word,
            "ink": ink,
            "plate": plate,
            "height": height / size,
            "text_before": "" if way == "add" else word,
            "text_after": shown or "",
        },
    )


def _choose_inks(background: Pixels, plate: str | None) -> tuple[str, ...]:
    """The named colours that can be read on a plate, or else on the photograph."""
    if plate is not None:
        return _LIGHT if plate in _DARK else _DARK
    return _DARK if background.mean() > 120 else _LIGHT


def _write(canvas: Pixels, word: str, ink: str, height: int, place: str, aspect: float) -> Mask:
    """Write a word into the canvas, in place, around the middle of where a word of that height goes."""
    size = canvas.shape[0]
    sprite = letter(word, height, round(size * 0.84), COLOURS[ink].rgb, aspect)
    real_height, width = sprite.alpha.shape[:2]
    left, top = _locate(size, width, height, place)
    return paste(canvas, sprite, left, top + (height - real_height) // 2)


def _locate(size: int, width: int, height: int, place: str) -> tuple[int, int]:
    return place_box(size, width, height, *PLACES[place][2:], margin=0.1)


def _lay_plate(background: Pixels, colour: str | None, height: int, place: str) -> tuple[Pixels, Mask]:
    """A copy of the background with a plate across its width where a word of that height goes, and the plate's mask."""
    size = background.shape[0]
    mask = np.zeros((size, size), np.bool_)
    base = background.copy()
    if colour is not None:
        _, top = _locate(size, 0, height, place)
        edge, pad = round(size * 0.04), round(size * 0.06)
        mask[max(top - pad, 0) : top + height + pad, edge : size - edge] = True
        base[mask] = COLOURS[colour].rgb
    return base, mask
