"""Subject replacement: what is pasted somewhere, or shown by a photograph, gives way to something known by name, in the middle of the same
box and as large."""

from __future__ import annotations

import dataclasses
import random

from step1x_edit.data.compositing import centre_on, scale_subject
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import REMOVABLE, Placed, describe, draw_all, find_content, gather_facts, put_subject, put_subjects, refer
from step1x_edit.data.shapes import choose_shape
from step1x_edit.data.triplet import Draft, Request
from step1x_edit.data.vocabulary import count, with_article


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Paste one or two subjects, or take what a photograph shows; in the target another one stands for the first."""
    if materials.prefers_marked(rng):
        found = find_content(rng, materials, size, REMOVABLE)
        if found is None:
            return None
        photograph, first, others = found.photograph, found.placed, list[Placed]()
        source, behind = found.pixels, found.empty()
        touched = (source != behind).any(2)
    else:
        behind, photograph = materials.crop(rng, size)
        first, *others = put_subjects(rng, materials, behind)
        if not others:
            first = put_subject(rng, materials, behind, 0.4 + 0.3 * rng.random(), plain=True)
        first = dataclasses.replace(first, shadow=False)
        behind = draw_all(behind, others)
        source = behind.copy()
        touched = first.draw(source)
    subject = choose_shape(rng) if rng.random() < 0.3 else rng.choice(materials.known)
    if subject.en == first.subject.en or any(subject.en == other.subject.en for other in others):
        return None
    sprite = scale_subject(subject.pixels, max(first.box.width, first.box.height), aspect=materials.aspect)
    second = Placed(subject, sprite, *centre_on(first.box, sprite, size), first.place)
    target = behind.copy()
    touched |= second.draw(target)
    english, chinese, short = refer(rng, first, others, photograph)
    new_zh = f"{count(subject.kind, subject.zh, subject.en)}{subject.zh}"
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request("replacement", {"subject": english, "new": with_article(subject.en)}, {"subject": chinese, "new": new_zh}),
        source_caption=describe([first, *others], photograph.caption),
        target_caption=describe([second, *others], photograph.caption),
        edit=f"replace {short} with {subject.en}",
        parameters={**gather_facts(photograph, [first, *others]), "new": second.facts},
    )
