"""Scenes: a photograph with subjects pasted onto it, and how they are spoken of."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from step1x_edit.data.colours import COLOURS, name_colour
from step1x_edit.data.compositing import Sprite, cast_shadow, paste, place_box, scale_subject
from step1x_edit.data.labels import LABELS, label_topic
from step1x_edit.data.materials import FAINT, Materials, Photograph, Subject
from step1x_edit.data.tools.filtering import bound
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Mask, Pixels, Shape
from step1x_edit.data.vocabulary import KINDS, NINTHS, PLACES, with_article
from step1x_edit.data.windows import Window

REMOVABLE = 0.4
"""Share of a square that what a photograph shows may fill where it is to be taken away."""


@dataclass(frozen=True)
class Placed:
    """A subject at its place in a frame.

    Attributes:
        subject: what it is.
        sprite: how it looks.
        left, top: in pixels, of the sprite.
        place: a key of `vocabulary.PLACES`.
        shadow: whether it casts one.
        pasted: False for what the photograph itself shows there.
    """

    subject: Subject
    sprite: Sprite
    left: int
    top: int
    place: str
    shadow: bool = False
    pasted: bool = True

    @property
    def box(self) -> Box:
        """Around the sprite; what of it lies outside of the frame is counted in."""
        height, width = self.sprite.alpha.shape[:2]
        return Box(self.left, self.top, self.left + width, self.top + height)

    def draw(self, canvas: Pixels) -> Mask:
        """Draw it and its shadow onto the canvas, in place; returns the pixels it changes."""
        shade = cast_shadow(canvas, self.sprite, self.left, self.top) if self.shadow else None
        mask = paste(canvas, self.sprite, self.left, self.top)
        return mask if shade is None else mask | shade

    @property
    def caption(self) -> str:
        """Name and place: "a zebra at the top left"."""
        return f"{with_article(self.subject.en)} {PLACES[self.place][0]}"

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able facts for `Triplet.parameters`."""
        return {"subject": self.subject.name, "box": list(self.box), "shadow": self.shadow}


def draw_all(background: Pixels, placed: Iterable[Placed]) -> Pixels:
    """A copy of a background with subjects on it, each over those before it: uint8 [S, S, 3]."""
    canvas = background.copy()
    for item in placed:
        item.draw(canvas)
    return canvas


def draw_range(rng: random.Random, materials: Materials) -> float:
    """Draw the longer side of a subject as a share of the frame: 0.5 to 0.75 at difficulty 0, 0.22 to 0.6 at 1."""
    ease = 1 - materials.difficulty
    return rng.uniform(0.22 + 0.28 * ease, 0.6 + 0.15 * ease)


def name_place(shape: Shape, box: Box) -> str:
    """Name the ninth of a frame of this shape in which the middle of a box lies."""
    column = min(2, max(0, int(3 * (box.left + box.right) / 2 / shape[0])))
    row = min(2, max(0, int(3 * (box.top + box.bottom) / 2 / shape[1])))
    return NINTHS[row][column]


def put_subject(
    rng: random.Random, materials: Materials, background: Pixels, share: float, subject: Subject | None = None, *, plain: bool = False
) -> Placed:
    """Choose a subject, its mirror image, light and place, without drawing it.

    Args:
        rng: source of every choice.
        materials: where a subject is chosen from, when none is given.
        background: uint8 [S, S, 3], to whose brightness the subject is matched a little.
        share: longer side as a share of the frame.
        subject: the subject, or None for any.
        plain: neither matched in light nor given a shadow.
    """
    size = background.shape[0]
    subject = subject or rng.choice(materials.subjects)
    mirrored, shadow, x, y = rng.random() < 0.5, rng.random() < 0.3, rng.random(), rng.random()
    light = 1.0 if plain else 0.88 + 0.16 * float(background.mean()) / 255
    sprite = scale_subject(subject.pixels, max(2, round(size * share)), mirrored=mirrored, light=light, aspect=materials.aspect)
    height, width = sprite.alpha.shape[:2]
    left, top = place_box(size, width, height, x, y, 0.02)
    return Placed(subject, sprite, left, top, name_place((size, size), Box(left, top, left + width, top + height)), shadow and not plain)


def put_subjects(rng: random.Random, materials: Materials, background: Pixels) -> list[Placed]:
    """Choose one subject, or with growing difficulty a second one that neither overlaps the first nor shares its name."""
    first = put_subject(rng, materials, background, draw_range(rng, materials))
    placed = [first]
    if rng.random() < 0.5 * materials.difficulty:
        for _ in range(4):
            other = put_subject(rng, materials, background, min(0.45, draw_range(rng, materials)))
            if other.subject.en != first.subject.en and not first.box.meets(other.box, background.shape[0] // 20):
                placed.append(other)
                break
    return placed


@dataclass(frozen=True)
class Shown:
    """What a square of a photograph shows.

    Attributes:
        photograph: all of it.
        window: which part of it.
        pixels: that part, uint8 [S, S, 3].
        placed: the thing at its place: drawing it there again changes nothing.
    """

    photograph: Photograph
    window: Window
    pixels: Pixels
    placed: Placed

    def empty(self) -> Pixels:
        """The square without the thing: uint8 [S, S, 3]."""
        return self.window.squeeze(self.photograph.emptied, len(self.pixels))


def find_content(rng: random.Random, materials: Materials, size: int, largest: float = 0.7) -> Shown | None:
    """Choose a photograph that has its content marked, and a square of it; None without luck.

    Args:
        rng: source of every choice.
        materials: which has such photographs.
        size: side of the square in pixels.
        largest: share of the square that the thing may fill.
    """
    found = materials.frame_content(rng, size, largest)
    if found is None:
        return None
    photograph, window = found
    content = photograph.content
    assert content is not None
    pixels, alpha = window.squeeze(photograph.pixels, size), window.squeeze(content.alpha, size)
    alpha[alpha <= FAINT] = 0
    if not alpha.any():
        return None
    box = bound(alpha > 0)
    inner, cover = pixels[box.within], alpha[box.within][..., None]
    sprite = Sprite(inner.astype(np.float32) / 255, cover.astype(np.float32) / 255)
    multiplied = np.concatenate([(inner * sprite.alpha + 0.5).astype(np.uint8), cover], axis=2)
    colour = name_colour(inner[cover[..., 0] > 200])
    subject = Subject(photograph.name, multiplied, content.en, content.zh, content.kind, colour)
    placed = Placed(subject, sprite, box.left, box.top, name_place((size, size), box), pasted=False)
    return Shown(photograph, window, pixels, placed)


def set_scene(rng: random.Random, materials: Materials, size: int) -> tuple[Pixels, Photograph, list[Placed]] | None:
    """A background with subjects to be drawn onto it, or a photograph and what is marked in it; see `Materials.prefers_marked`."""
    if materials.prefers_marked(rng):
        found = find_content(rng, materials, size)
        return (found.pixels, found.photograph, [found.placed]) if found else None
    background, photograph = materials.crop(rng, size)
    return background, photograph, put_subjects(rng, materials, background)


def decorate(rng: random.Random, materials: Materials, background: Pixels) -> tuple[Pixels, list[Placed]]:
    """Sometimes paste a subject onto a background, so that edits of the whole picture meet subjects too."""
    if rng.random() >= 0.3:
        return background, []
    placed = [put_subject(rng, materials, background, rng.uniform(0.3, 0.75))]
    return draw_all(background, placed), placed


def describe(placed: Sequence[Placed], background: str) -> str:
    """Caption a scene: the subjects with their places, then the background."""
    return ", ".join([*(item.caption for item in placed), f"on {background}"]) if placed else background


def gather_facts(photograph: Photograph, placed: Sequence[Placed]) -> dict[str, Any]:
    """Collect what a triplet's parameters say of its scene."""
    return {"photograph": photograph.name, "subjects": [item.facts for item in placed]}


def refer(rng: random.Random, wanted: Placed, others: Sequence[Placed], photograph: Photograph) -> tuple[str, str, str]:
    """Choose a way to speak of one subject: by name, place, colour or kind.

    No way fits another subject, and neither the name nor the kind of what is pasted stands alone where the photograph shows the same.

    Returns:
        English with article ("the zebra"), Chinese ("斑马"), and the short form of the closed vocabulary ("zebra").
    """
    subject = wanted.subject
    kind_en, kind_zh = KINDS[subject.kind]
    names, kinds = _list_shown(photograph) if wanted.pasted else (set[str](), set[str]())
    bare = (f"the {subject.en}", subject.zh, subject.en)
    # whether the name alone says which one
    named = subject.en.lower() not in names and not any(_is_called(other.subject, subject) for other in others)
    ways = [bare] * 6 if named else []
    if not any(stands_at(other.place, wanted.place) for other in others):
        place_en, place_zh = PLACES[wanted.place][:2]
        short = subject.en if named else f"{subject.en} {wanted.place}"
        ways.append((f"the {subject.en} {place_en}", f"{place_zh}的{subject.zh}", short))
        ways.append((f"the {kind_en} {place_en}", f"{place_zh}的{kind_zh}", f"{kind_en} {wanted.place}"))
        ways.append((f"the thing {place_en}", f"{place_zh}的东西", f"thing {wanted.place}"))
    if subject.colour and all(other.subject.colour != subject.colour for other in others):
        colour_zh = COLOURS[subject.colour].zh
        if subject.colour not in subject.en.split():
            short = subject.en if named else f"{subject.colour} {subject.en}"
            ways.append((f"the {subject.colour} {subject.en}", f"{colour_zh}的{subject.zh}", short))
        ways.append((f"the {subject.colour} {kind_en}", f"{colour_zh}的{kind_zh}", f"{subject.colour} {kind_en}"))
    if subject.kind not in kinds and all(other.subject.kind != subject.kind for other in others):
        ways.append((f"the {kind_en}", kind_zh, kind_en))
    if not others and wanted.pasted:
        ways.append(("the sticker", "贴纸", "sticker"))
        ways.append(("the pasted object", "贴上去的东西", "sticker"))
    if not wanted.pasted:
        ways.append(("the main subject", "主体", subject.en))
    return rng.choice(ways or [bare])


def _is_called(other: Subject, subject: Subject) -> bool:
    """Whether another subject may be called by a subject's name, too: an "open book" is a book."""
    return f" {other.en}".endswith(f" {subject.en}") or other.zh == subject.zh


def stands_at(other: str, place: str) -> bool:
    """Whether what stands at another place is where this one's words say, too: the top left is "on the left"."""
    return place == other or place in other.split()


def _list_shown(photograph: Photograph) -> tuple[set[str], set[str]]:
    """English names, in small letters, and kinds of what a photograph is known to show."""
    label, content = label_topic(photograph.topic), photograph.content
    names, kinds = {(photograph.topic or "").lower(), label}, {LABELS[label][1]} if label else set[str]()
    return (names | {content.en.lower()}, kinds | {content.kind}) if content else (names, kinds)
