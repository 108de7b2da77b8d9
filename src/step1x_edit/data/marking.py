"""Mark what photographs show: `cat-1.mask.png` beside `cat-1.jpg`, and its name in the `names.json` there, for edits of the thing itself.

A matting tool says where the thing is, the file's name or a detector what it is. Where either is unsure, the photograph is left out with a
reason. What was marked once is left as it is, so the same command goes on after a kill, and masks may be painted over by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from step1x_edit.data.labels import LABELS
from step1x_edit.data.materials import MASK, list_photographs, read_names
from step1x_edit.data.photographs import decode
from step1x_edit.data.sheets import draw_sheet, fit_square
from step1x_edit.data.storage import write_bytes, write_json
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.errors import ImageError

SMALLEST, LARGEST = 0.03, 0.8
"""Share of the picture that a thing fills at least and at most."""

VAGUE = 0.35
"""Most of the mask that may be neither clearly inside nor clearly outside."""

_SEEN = (0.1, 0.5, 0.9)
"""Opacity from which on something is there, most of it is, and all of it is."""

_TOGETHER = 40
"""Photographs of a folder whose names are written at once."""

_EACH = 60
"""Photographs on a contact sheet."""

_BEHIND = (255, 0, 255)


@dataclass(frozen=True)
class Marking:
    """What became of one photograph: its mask's name in English, or why it has none."""

    photograph: Path
    name: str = ""
    reason: str = ""

    @property
    def mask(self) -> Path:
        """Where its mask lies, if it has one."""
        return self.photograph.with_name(f"{self.photograph.stem}{MASK}.png")


def mark_photographs(folder: Path, tools: Toolbox, tell: Callable[[str, int, int], None] | None = None) -> list[Marking]:
    """Mark the photographs of a folder and of those in it.

    The name is that of the mask's entry in the `names.json` where there is one, else a word of the file's name that `labels.LABELS` has,
    else what a detector says, where the toolbox has one that speaks.

    Args:
        folder: of photographs.
        tools: its matting tool makes the masks, its detector names what the file does not.
        tell: told what is done, how much of it, and of how much.

    Returns:
        What became of each that had no mask yet, by folder and name.

    Raises:
        UsageError: the folder is missing, or a `names.json` is not as it should be.
    """
    masks = {Marking(path).mask: path for path in list_photographs([folder])}  # where files differ in their ending alone, one
    waiting = [path for mask, path in masks.items() if not mask.exists()]
    markings: list[Marking] = []
    for group in _by_folder(waiting):
        made = [_mark(path, tools, entry) for path, entry in zip(group, _entries(group), strict=True)]
        fresh = {marking.mask.stem: _describe(marking.name) for marking, mask in made if mask is not None}
        _add_names(group[0].parent / "names.json", fresh)
        for marking, mask in made:  # names first: a mask without a name is an error, a name without a mask is not
            if mask is not None:
                write_bytes(marking.mask, _encode(mask))
        markings += [marking for marking, _ in made]
        if tell is not None:
            tell("marking", len(markings), len(waiting))
    return markings


def judge_mask(matte: Floats) -> str:
    """Why a mask cannot be used, or nothing: float32 [H, W] in 0..1."""
    there, mostly, wholly = ((matte > bound).mean() for bound in _SEEN)
    if mostly < SMALLEST:
        return "nothing stands out"
    if mostly > LARGEST:
        return "it fills the picture"
    return "its outline is vague" if (there - wholly) / there > VAGUE else ""


def name_by_file(stem: str) -> str:
    """The longest name of `labels.LABELS` in a file's name, the last where several are as long; nothing where there is none."""
    words = re.findall(r"[a-z]+", stem.lower())
    runs = (" ".join(words[first:last]) for last in range(len(words), 0, -1) for first in range(last))
    return max((run for run in runs if run in LABELS), key=lambda run: run.count(" "), default="")


def draw_sheets(markings: Sequence[Marking], out: Path) -> list[Path]:
    """Contact sheets of what was marked, each photograph beside what its mask leaves of it; returns their paths."""
    marked = [marking for marking in markings if not marking.reason]
    paths = []
    for first in range(0, len(marked), _EACH):
        cells = [(f"{one.name}: {one.photograph.name}", *_look(one)) for one in marked[first : first + _EACH]]
        data = BytesIO()
        draw_sheet(cells).save(data, "JPEG", quality=85)
        paths.append(out / f"marked-{first // _EACH + 1:03}.jpg")
        write_bytes(paths[-1], data.getvalue())
    return paths


def _by_folder(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Some at a time, all of one folder."""
    for _, group in groupby(sorted(paths), lambda path: path.parent):
        files = list(group)
        yield from (files[first : first + _TOGETHER] for first in range(0, len(files), _TOGETHER))


def _entries(group: Sequence[Path]) -> list[str]:
    """The English names that their masks have already, or nothing."""
    masks = [Marking(path).mask for path in group]
    known = read_names(masks)
    return [known[mask].en if mask in known else "" for mask in masks]


def _mark(path: Path, tools: Toolbox, known: str) -> tuple[Marking, Pixels | None]:
    try:
        picture = decode(path.read_bytes())
    except (ImageError, OSError):
        return Marking(path, reason="damaged or cut off"), None
    matte = tools.matting.matte(picture)
    if reason := judge_mask(matte):
        return Marking(path, reason=reason), None
    name = known or name_by_file(path.stem) or _ask_detector(picture, matte, tools)
    if not name:
        return Marking(path, reason="nothing says what it is"), None
    return Marking(path, name), (matte * 255 + 0.5).astype(np.uint8)


def _ask_detector(picture: Pixels, matte: Floats, tools: Toolbox) -> str:
    """What the detector calls the thing whose box is that of the mask, where it has a word for it."""
    if tools.is_offline("detector"):
        return ""
    left, top, width, height = cv2.boundingRect((matte > _SEEN[1]).astype(np.uint8))
    box = Box(left, top, left + width, top + height)
    for found in tools.detector.detect(picture):
        if found.label in LABELS and _overlap(box, found.box) > 0.6:
            return found.label
    return ""


def _overlap(one: Box, two: Box) -> float:
    """What two boxes share of what they cover together."""
    shared = Box(max(one.left, two.left), max(one.top, two.top), min(one.right, two.right), min(one.bottom, two.bottom)).area
    return shared / max(one.area + two.area - shared, 1)


def _describe(name: str) -> dict[str, str]:
    chinese, kind = LABELS.get(name, ("", ""))
    return {"en": name, "zh": chinese, "kind": kind}


def _add_names(file: Path, fresh: dict[str, dict[str, str]]) -> None:
    """Add entries to a `names.json`; those that are there stay."""
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if missing := {key: entry for key, entry in fresh.items() if key not in table}:
        write_json(file, {**table, **missing})


def _encode(mask: Pixels) -> bytes:
    data = BytesIO()
    Image.fromarray(mask).save(data, "PNG", optimize=True)
    return data.getvalue()


def _look(marking: Marking) -> tuple[Image.Image, Image.Image]:
    picture = Image.fromarray(decode(marking.photograph.read_bytes()))
    with Image.open(marking.mask) as mask:
        alone = Image.composite(picture, Image.new("RGB", picture.size, _BEHIND), mask.convert("L"))
    return fit_square(picture), fit_square(alone)
