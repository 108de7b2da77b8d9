"""Which photographs suit which edits: found once, while they are looked over, so that few candidates are drawn in vain."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from step1x_edit.data.labels import label_topic
from step1x_edit.data.materials import shrink_shorter
from step1x_edit.data.photographs import Input
from step1x_edit.data.routes.portrait import SMALLEST_FACE, find_portraits
from step1x_edit.data.routes.text import find_lines
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels
from step1x_edit.types import EditCategory

FACE_SIDE, SIDE = 320, 512
"""Shorter side in pixels at which faces, and text and things, are looked for: enough for those that are large enough to be edited."""

_FEWEST = 50
"""Photographs that are looked over for whatever is needed, however few triplets need it."""


def find_faces(entry: Input, pixels: Pixels, tools: Toolbox) -> Input:
    """The input with the sizes of its faces."""
    small = shrink_shorter(pixels, FACE_SIDE)
    found = find_portraits(small, tools, SMALLEST_FACE)
    widths = sorted((face.box.width / min(small.shape[:2]) for face in found), reverse=True)
    return dataclasses.replace(entry, faces=tuple(round(width, 3) for width in widths))


def find_text(entry: Input, pixels: Pixels, tools: Toolbox) -> Input:
    """The input with the number of its lines of text that can be rewritten."""
    return dataclasses.replace(entry, lines=len(find_lines(shrink_shorter(pixels, SIDE), tools)[0]))


def find_names(entry: Input, pixels: Pixels, tools: Toolbox) -> Input:
    """The input with whether what stands out in it has a name: that of its mask or its topic, or the detector's."""
    named = entry.mark is not None or bool(label_topic(entry.topic))
    if not named and not tools.is_offline("detector"):  # which knows no names
        named = any(found.label for found in tools.detector.detect(shrink_shorter(pixels, SIDE)))
    return dataclasses.replace(entry, named=named)


@dataclass(frozen=True)
class Need:
    """What a photograph must show for a kind of edit.

    Attributes:
        routes: where it is needed.
        find: looks for it.
        shown: whether it was found.
        words: how it is said.
        each: it is looked for in at most so many photographs for each triplet wanted, where looking is slow; 0 for all photographs.
    """

    routes: tuple[str, ...]
    find: Callable[[Input, Pixels, Toolbox], Input]
    shown: Callable[[Input], bool]
    words: str
    each: int = 0


NEEDS: dict[EditCategory, Need] = {
    EditCategory.PORTRAIT_EDITING: Need(
        (COMPOSED, PHOTOGRAPH),
        find_faces,
        lambda entry: bool(entry.faces),
        "a face that is large enough",
    ),
    EditCategory.SUBJECT_ADDITION: Need((PHOTOGRAPH,), find_names, lambda entry: entry.named, "anything that has a name"),
    EditCategory.TEXT_MODIFICATION: Need((PHOTOGRAPH,), find_text, lambda entry: entry.lines > 0, "text that can be rewritten", 10),
}
"""Every other kind of edit may be tried on any photograph."""


def find_need(slot: Slot) -> Need | None:
    """What the slot needs, if anything."""
    need = NEEDS.get(slot.category)
    return need if need and slot.route in need.routes else None


def choose_needs(slots: Mapping[Slot, int], index: int, total: int) -> list[Need]:
    """What is looked for in photograph `index` of `total`, for so many triplets of each slot."""
    chosen = []
    for slot, count in slots.items():
        need = find_need(slot)
        if need and need not in chosen and (not need.each or index % max(1, total // max(_FEWEST, need.each * count)) == 0):
            chosen.append(need)
    return chosen


def look(entry: Input, pixels: Pixels, tools: Toolbox, needs: Iterable[Need]) -> Input:
    """The input with everything that is to be known of it."""
    for need in needs:
        entry = need.find(entry, pixels, tools)
    return entry


def suits(slot: Slot, entry: Input) -> bool:
    """Whether the slot's edits may be tried on a photograph."""
    need = find_need(slot)
    return not entry.skipped and (need is None or need.shown(entry))
