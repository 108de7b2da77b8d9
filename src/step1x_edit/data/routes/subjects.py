"""Subjects of a photograph: the part of it that is worked on, the thing that is found in it, and how this is spoken of."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS, name_colour, name_hue, to_lab
from step1x_edit.data.labels import LABELS, label_topic
from step1x_edit.data.materials import MOST, Content, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.scene import name_place, stands_at
from step1x_edit.data.tools.filtering import bound, grow
from step1x_edit.data.tools.protocols import Box, Detection
from step1x_edit.data.tools.saliency import measure_saliency
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Mask, Pixels, Shape
from step1x_edit.data.vocabulary import NO_PETALS, PLACES, count, with_article
from step1x_edit.data.windows import Window

_DARK = 75
"""Mean brightness, of 255, below which something in a photograph of flowers is an insect or somebody's hair."""

SUREST_FACE = 0.6
"""Score below which what the detector takes for a face may be a flower."""

_LARGE = 0.08
"""Share of the frame from which on a thing may be what the photograph is of."""

_SURE = 0.5
"""How much what a detector without names finds must stand out."""

_OTHER = 0.3
"""Share of a detection's box that a thing must cover at least to be what was detected there."""

_APART, _FAR_APART = 0.4, 0.3
"""How much, at most, may stand out around a thing, as a share of how much the thing does: where it has a name, and where it has none."""


@dataclass(frozen=True)
class Frame:
    """A window of a photograph.

    Attributes:
        pixels: uint8 [H, W, 3].
        photograph: where it is from.
        facts: JSON-able: the photograph's name, and as its "crop" which window of it this is; see `describe_box`.
        content: what the photograph marks, cut out as the frame is; None where nothing is marked, or too much of it is cut off.
    """

    pixels: Pixels
    photograph: Photograph
    facts: dict[str, Any] = field(default_factory=dict)
    content: Content | None = None


def take_frame(rng: random.Random, photograph: Photograph, shape: Shape, *, mirror: bool = True, smallest: float = 0.8) -> Frame:
    """Take a window as wide and high as 80 to 100 % of the largest of its proportions, rather from the middle, perhaps mirrored."""
    height, width = photograph.pixels.shape[:2]
    aspect, share = shape[0] / shape[1], rng.uniform(smallest, 1.0)
    wide = min(max(8, round(min(width, height * aspect) * share)), width)
    high = min(max(8, round(min(height, width / aspect) * share)), height)
    top, left = round((height - high) * rng.triangular(0, 1, 0.5)), round((width - wide) * rng.triangular(0, 1, 0.5))
    window = Window(Box(left, top, left + wide, top + high), mirror and rng.random() < 0.5)
    facts = {"photograph": photograph.name, "crop": describe_box(window.box), "mirrored": window.mirrored}
    content = photograph.content
    if content and window.of(content.alpha).sum() >= MOST * content.alpha.sum():
        content = replace(content, alpha=window.cut(content.alpha, shape))
    else:
        content = None
    return Frame(window.cut(photograph.pixels, shape), photograph, facts, content)


def describe_box(box: Box) -> list[int]:
    """Left, top and side of a square in the picture it is cut from; left, top, width and height of any other box."""
    sides = [box.width] if box.width == box.height else [box.width, box.height]
    return [box.left, box.top, *sides]


@dataclass(frozen=True)
class Found:
    """A thing in a frame.

    Attributes:
        mask: bool [H, W], what it covers.
        box: around the mask.
        label: what it is, in English; empty where nobody knows.
        colour: the named colour that most of it has, or None.
        place: the ninth of the frame it is in, a key of `vocabulary.PLACES`.
        score: 0..1, how sure the detector was.
        alone: it is large, and nothing else stands out, so that its name alone will do.
        content: what the photograph marks, where this is it; else it was detected, and `labels.LABELS` tells more of it.
    """

    mask: Mask
    box: Box
    label: str
    colour: str | None
    place: str
    score: float
    alone: bool = False
    content: Content | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able facts for a triplet's parameters."""
        covers = round(float(self.mask.mean()), 4)
        marked = {"marked": True} if self.content else {}
        return {"label": self.label, "box": list(self.box), "score": self.score, "covers": covers, **marked}

    @property
    def kind(self) -> str:
        return self.content.kind if self.content else LABELS.get(self.label, ("", "object"))[1]

    @property
    def chinese(self) -> str:
        return self.content.zh if self.content else LABELS.get(self.label, ("东西", ""))[0]

    @property
    def new(self) -> tuple[str, str]:
        """How it is asked for where it is not yet, English and Chinese: "a red flower", "一朵红色的花"."""
        colour = self.colour if self.colour and self.colour != self.label else None
        english = with_article(f"{colour} {self.label or 'thing'}" if colour else self.label or "thing")
        return english, f"{count(self.kind, self.chinese, self.label)}{COLOURS[colour].zh + '的' if colour else ''}{self.chinese}"

    @property
    def caption(self) -> str:
        return f"{self.new[0]} {PLACES[self.place][0]}"


def find_subject(
    rng: random.Random,
    frame: Frame,
    tools: Toolbox,
    smallest: float = 0.015,
    largest: float = 0.4,
    *,
    whole: bool = False,
    single: bool = True,
) -> Found | Unsuited:
    """Find one thing that covers a fitting share of a frame, with its exact region: what the photograph marks, or else what is detected.

    Args:
        rng: chooses where there are several.
        frame: where to look.
        tools: plays "detector" and "segmenter".
        smallest: share of the frame that it covers at least.
        largest: and at most.
        whole: it must not be cut off by the frame's border.
        single: nothing else that is detected may be meant by its name and its place.
    """
    picture = frame.pixels
    height, width = picture.shape[:2]
    shape, marked = (width, height), _find_marked(frame)
    if marked and smallest <= marked.mask.mean() <= largest and not (whole and marked.box.is_cut_off(picture.shape)):
        return marked
    shares, doubted = [], False
    everything = tools.detector.detect(picture)
    detections = [d for d in everything[:6] if d.box.area >= smallest * height * width]
    rng.shuffle(detections)
    for detection in detections:
        mask = tools.segmenter.segment(picture, detection.box)
        share = float(mask.mean())
        shares.append(round(share, 4))
        if not smallest <= share <= largest or not is_thing(picture, mask):
            continue
        box = bound(mask)
        if whole and box.is_cut_off(picture.shape):
            continue
        colour = name_colour(picture[mask])
        label = detection.label.lower() or guess_label(frame, mask, name_hue(picture[mask]))
        if not detection.label and not _is_sure(frame, mask, label, detection.score, tools):
            continue
        alone = len(detections) == 1 and share >= _LARGE
        found = Found(mask, box, label, colour, name_place(shape, box), detection.score, alone)
        if not single or alone or _is_single(found, everything):
            return found
        doubted = True
    if not shares:
        return Unsuited("nothing stands out")
    if doubted:
        return Unsuited("another thing stands at the place that would be named")
    return Unsuited("nothing that stands out has a fitting size and shape", {"shares": shares})


def _find_marked(frame: Frame) -> Found | None:
    content = frame.content
    if content is None or not (mask := content.alpha > 127).any():
        return None
    box = bound(mask)
    place = name_place((mask.shape[1], mask.shape[0]), box)
    return Found(mask, box, content.en, name_colour(frame.pixels[mask]), place, 1.0, bool(mask.mean() >= _LARGE), content)


def _is_single(found: Found, everything: Sequence[Detection]) -> bool:
    """Whether nothing else that may be called the same stands where the words for a thing's place say."""
    height, width = found.mask.shape
    others = [d for d in everything if found.mask[d.box.within].mean() < _OTHER and (not d.label or d.label.lower() == found.label)]
    return not any(stands_at(name_place((width, height), other.box), found.place) for other in others)


def guess_label(frame: Frame, mask: Mask, colour: str | None) -> str:
    """What a thing that the detector does not name is called: as the photograph's topic, unless it has colours that this never has."""
    label = label_topic(frame.photograph.topic)
    if label not in NO_PETALS:
        return label
    dark = float(frame.pixels[mask].mean()) < _DARK
    return "" if dark or colour in NO_PETALS[label] else label


def _is_sure(frame: Frame, mask: Mask, label: str, score: float, tools: Toolbox) -> bool:
    """Whether what a detector without names has found may be spoken of as a thing. In a photograph of flowers, only a flower may."""
    if score < _SURE or (not label and label_topic(frame.photograph.topic)):
        return False
    return stands_apart(frame.pixels, mask, _APART if label else _FAR_APART) and not _holds_face(frame.pixels, mask, tools)


def stands_apart(picture: Pixels, mask: Mask, most: float = _APART) -> bool:
    """Whether what nobody has named is a whole thing: in one piece, with a clear outline, and alone where it stands."""
    if measure_solidity(mask) < 0.72 or measure_outline(picture, mask) <= 0.94:
        return False
    return measure_surroundings(picture, mask) <= most


def measure_solidity(mask: Mask) -> float:
    """Area of a region as a share of its convex hull's: small where it is a branch, or a part that is left of something."""
    points = cv2.findNonZero(mask.view(np.uint8))
    if points is None:
        return 0.0
    return float(mask.sum()) / max(float(cv2.contourArea(cv2.convexHull(points))), 1.0)


def _holds_face(picture: Pixels, mask: Mask, tools: Toolbox) -> bool:
    """Whether somebody's face lies in a region, which is then no flower, and seldom the whole person."""
    boxes = [face.box for face in tools.faces.find_faces(picture, 0.06) if face.score >= SUREST_FACE]
    return any(mask[box.within].mean() > 0.2 for box in boxes)


def measure_surroundings(picture: Pixels, mask: Mask) -> float:
    """How much what is around a region stands out, as a share of how much the region does: large where it is a part of something larger."""
    size = min(picture.shape[:2])
    saliency = measure_saliency(picture)
    ring = grow(mask, size // 11) & ~grow(mask, size // 50)
    return float(saliency[ring].mean()) / max(float(saliency[mask].mean()), 1e-3) if ring.any() else 1.0


def is_thing(picture: Pixels, mask: Mask) -> bool:
    """Whether a region looks like one whole thing: compact, hardly at the frame's border, unlike what is around it nearly everywhere."""
    box = bound(mask)
    if box.area == 0:
        return False
    area = float(mask.sum())
    contours, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = sum(cv2.arcLength(contour, True) for contour in contours)
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    compact = area >= 0.22 * box.area and 4 * np.pi * area / max(length * length, 1.0) > 0.06 and len(contours) <= 4
    return compact and float(rim.mean()) < 0.1 and measure_outline(picture, mask) > 0.75


def measure_outline(picture: Pixels, mask: Mask) -> float:
    """Share of a region's outline across which the colour changes clearly, by more than 9 in Lab; what is cut at random has little."""
    size = min(picture.shape[:2])
    reach = max(2, round(size / 100))
    lab = to_lab(picture)

    def average(part: Mask) -> Floats:
        weight = cv2.GaussianBlur(part.astype(np.float32), (0, 0), reach)
        return cv2.GaussianBlur(lab * part[..., None].astype(np.float32), (0, 0), reach) / np.maximum(weight, 1e-3)[..., None]

    step = np.linalg.norm(average(mask) - average(~mask), axis=2)
    outline = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).view(np.bool_)
    outline[:2] = outline[-2:] = False
    outline[:, :2] = outline[:, -2:] = False
    return float((step[outline] > 9).mean()) if outline.any() else 0.0


def refer_to(rng: random.Random, found: Found) -> tuple[str, str, str]:
    """Choose a way to speak of a thing: by name or colour where it stands alone, else by its place, too.

    Returns:
        English with article, Chinese, and the short form of the closed vocabulary.
    """
    place_en, place_zh = PLACES[found.place][:2]
    noun_en, noun_zh = found.label or "thing", found.chinese
    colour = found.colour if found.colour and found.colour not in noun_en.split() else None
    ways = []
    if found.label and found.alone:
        ways += [(f"the {noun_en}", noun_zh, noun_en)] * 2
    if colour and found.alone:
        ways.append((f"the {colour} {noun_en}", f"{COLOURS[colour].zh}的{noun_zh}", f"{colour} {noun_en}"))
    if colour:
        ways.append(
            (f"the {colour} {noun_en} {place_en}", f"{place_zh}{COLOURS[colour].zh}的{noun_zh}", f"{colour} {noun_en} {found.place}")
        )
    ways.append((f"the {noun_en} {place_en}", f"{place_zh}的{noun_zh}", f"{noun_en} {found.place}"))
    return rng.choice(ways)


def caption_frame(frame: Frame, tools: Toolbox) -> str:
    """Caption a frame: by the photograph's topic where it has one, else by the captioner."""
    return frame.photograph.caption if frame.photograph.topic else tools.captioner.caption(frame.pixels)


def draw_seed(rng: random.Random) -> int:
    """Draw a seed for a tool that makes random choices of its own."""
    return rng.getrandbits(31)
