"""Colour alteration: one hue of a photograph turned into another, or one subject painted in a named colour."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from step1x_edit.data.colours import CHROMATIC, COLOURS, find_colour, measure_hues, recolour
from step1x_edit.data.compositing import Sprite, paste
from step1x_edit.data.labels import LABELS, TOPICS
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import describe, draw_all, gather_facts, refer, set_scene
from step1x_edit.data.triplet import Draft, Request
from step1x_edit.data.vocabulary import NO_PETALS

_COVERAGE = 0.12
"""Share of the picture that a hue must cover to be asked for."""


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Recolour a hue of the photograph or one subject, one as often as the other."""
    return _turn_hue(rng, materials, size) if rng.random() < 0.5 else _paint_subject(rng, materials, size)


def _turn_hue(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    source, photograph = materials.crop(rng, size)
    shares = measure_hues(source)
    present = [name for name in CHROMATIC if shares[name] >= _COVERAGE]
    if not present:
        return None
    before = rng.choice(present)
    after = rng.choice([name for name in COLOURS if name != before])
    weight = find_colour(source, before)[..., None]
    floats = source.astype(np.float32) / 255
    mixed = floats + weight * (recolour(floats, after) - floats)
    target = np.where(weight > 0, np.clip(mixed * 255 + 0.5, 0, 255).astype(np.uint8), source)
    english = [f"the {before} parts", f"the {before} areas", f"everything {before}", f"the {before} colour", before]
    zh = COLOURS[before].zh
    chinese = [f"{zh}的部分", f"{zh}的区域", f"所有{zh}", f"{zh}", zh]
    label = TOPICS.get(photograph.topic or "")
    if label and before not in NO_PETALS[label] and shares[before] > 0.2:
        english += [f"the {before} flowers", f"the {before} {photograph.topic}"] * 2
        chinese += [f"{zh}的花", f"{zh}的{LABELS[label][0]}"] * 2
    way = rng.randrange(len(english))
    return Draft(
        source=source,
        target=target,
        touched=weight[..., 0] > 0,
        request=Request("colour", {"what": english[way], "colour": after}, {"what": chinese[way], "colour": COLOURS[after].zh}),
        source_caption=f"{photograph.caption}, partly {before}",
        target_caption=f"{photograph.caption}, partly {after}",
        edit=f"recolour {before} to {after}",
        parameters={"photograph": photograph.name, "subjects": [], "coverage": round(shares[before], 3)},
    )


def _paint_subject(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    scene = set_scene(rng, materials, size)
    if scene is None:
        return None
    background, photograph, placed = scene
    wanted = placed[0]
    after = rng.choice([name for name in COLOURS if name != wanted.subject.colour])
    painted = Sprite(recolour(wanted.sprite.rgb, after), wanted.sprite.alpha)
    subject = dataclasses.replace(wanted.subject, en=_rename(wanted.subject.en, after))
    repainted = [dataclasses.replace(wanted, subject=subject, sprite=painted), *placed[1:]]
    touched = paste(background.copy(), wanted.sprite, wanted.left, wanted.top)
    english, chinese, short = refer(rng, wanted, placed[1:], photograph)
    return Draft(
        source=draw_all(background, placed),
        target=draw_all(background, repainted),
        touched=touched,
        request=Request("colour", {"what": english, "colour": after}, {"what": chinese, "colour": COLOURS[after].zh}),
        source_caption=describe(placed, photograph.caption),
        target_caption=describe(repainted, photograph.caption),
        edit=f"recolour {short} to {after}",
        parameters=gather_facts(photograph, placed),
    )


def _rename(name: str, colour: str) -> str:
    """What something is called once it has a colour: "blue diamond", "grey" -> "grey diamond". An orange stays one."""
    *words, thing = name.split()
    return " ".join([colour, *(word for word in words if word not in COLOURS), thing])
