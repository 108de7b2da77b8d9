"""Subject addition: something known by name, a plain shape, or another one of what is there already, at the place asked for.

Place and size follow from the words alone: flush with the border at "left", 27, 42 or 62 % of the frame for small, plain, large.
"""

from __future__ import annotations

import random

from step1x_edit.data.compositing import place_box, scale_subject
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import Placed, describe, draw_all, gather_facts, put_subject
from step1x_edit.data.shapes import choose_shape
from step1x_edit.data.triplet import Draft, Request
from step1x_edit.data.vocabulary import PLACES, count, is_uncountable, with_another, with_article

SIZES: dict[str, tuple[float, str]] = {"small": (0.27, "小小的"), "": (0.42, ""), "large": (0.62, "大大的")}
"""Size word -> (longer side as a share of the frame, Chinese)."""


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Draw a subject on a photograph where the instruction says."""
    background, photograph = materials.crop(rng, size)
    way = rng.random()
    there: list[Placed] = []
    word = rng.choice(("small", "", "", "", "large") if materials.difficulty > 0.3 else ("", "", "large"))
    if way < 0.35:
        subject = choose_shape(rng)
    elif way < 0.75:
        subject = rng.choice(materials.known)
    else:
        there = [put_subject(rng, materials, background, 0.42, plain=True)]
        subject, word = there[0].subject, ""
    word = "" if is_uncountable(subject.en) else word
    share, word_zh = SIZES[word]
    places = [name for name in PLACES if all(name != item.place for item in there)]
    place = rng.choice(places if materials.difficulty > 0.3 or there else ["centre", "left", "right", "top", "bottom"])
    if there:
        sprite = there[0].sprite
    else:
        sprite = scale_subject(subject.pixels, round(size * share), aspect=materials.aspect)
    height, width = sprite.alpha.shape[:2]
    left, top = place_box(size, width, height, *PLACES[place][2:])
    added = Placed(subject, sprite, left, top, place)
    if any(added.box.meets(item.box) for item in there):
        return None
    source = draw_all(background, there)
    target = source.copy()
    touched = added.draw(target)
    english = with_article(f"{word} {subject.en}".strip())
    chinese = f"{count(subject.kind, subject.zh, subject.en)}{word_zh}{subject.zh}"
    if there:
        english, chinese = with_another(subject.en), f"另{chinese}"
    place_en, place_zh = PLACES[place][:2]
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request("addition", {"subject": english, "place": place_en}, {"subject": chinese, "place": place_zh}),
        source_caption=describe(there, photograph.caption),
        target_caption=describe([*there, added], photograph.caption),
        edit=f"add {'another ' if there else ''}{word} {subject.en} {place}".replace("  ", " "),
        parameters=gather_facts(photograph, [*there, added]),
    )
