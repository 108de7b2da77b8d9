"""Mark what photographs show: `cat-1.mask.png` beside `cat-1.jpg`, and its name in the `names.json` there, for edits of the thing itself.

    PHOTOS/marks.jsonl    what became of each photograph, a line each

A matting tool says where the thing is, the file's name or a detector what it is. Where either is unsure, the photograph is left out with a
reason. What is in `marks.jsonl` or has a mask is left as it is: the same command goes on after a kill, a mask may be painted over by hand,
and one that was thrown away does not come back.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from step1x_edit.data.executors import KILLED, begin_worker, close_pool, open_pool
from step1x_edit.data.labels import LABELS, label_topic
from step1x_edit.data.materials import find_mask, list_photographs, mask_of, read_names
from step1x_edit.data.photographs import decode
from step1x_edit.data.sheets import draw_sheet, fit_square
from step1x_edit.data.storage import append_line, write_bytes, write_json
from step1x_edit.data.tools.filtering import bound, overlap
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.data.vocabulary import Entry
from step1x_edit.errors import ImageError, Step1XError, UsageError
from step1x_edit.image_io import LONGEST_NAME, read_image
from step1x_edit.locking import hold

RECORD = "marks.jsonl"
NAMES = 1000
"""For each so many names of a folder, one more photograph is kept at a time, since the names are written whole each time."""

SMALLEST, LARGEST = 0.03, 0.8
"""Share of the picture that a thing fills at least and at most."""

VAGUE = 0.35
"""Most of the mask that may be neither clearly inside nor clearly outside."""

_SEEN = (0.1, 0.5, 0.9)
"""Opacity from which on something is there, most of it is, and all of it is."""

_EACH = 60
"""Photographs on a contact sheet."""

_AHEAD = 4
"""Photographs that are looked at or wait to be written down, for each worker."""

_BEHIND = (255, 0, 255)

_PLURALS = (("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("men", "man"), ("children", "child"))
"""Endings of plurals, and what the singular has instead."""


@dataclass(frozen=True)
class Marking:
    """What became of one photograph: its mask's name in English, or why it has none."""

    photograph: Path
    name: str = ""
    reason: str = ""

    @property
    def mask(self) -> Path:
        """Where its mask lies, if it has one."""
        return mask_of(self.photograph)


@dataclass(frozen=True)
class _Look:
    """What was found in one photograph, before anything is written.

    Attributes:
        marking: what becomes of it.
        entry: what the `names.json` said of its mask, or else of itself.
        data: the mask's file, where it gets one.
    """

    marking: Marking
    entry: Entry = field(default_factory=Entry)
    data: bytes = b""


def mark_photographs(
    folder: Path, tools: Toolbox, tell: Callable[[str, int, int], None] | None = None, again: bool = False, workers: int = 1
) -> list[Marking]:
    """Mark the photographs of a folder and of those in it.

    The name is that of the mask's entry in the `names.json` where there is one, else that of the photograph's, else the word of the file's
    name that `labels.LABELS` has, else what a detector says, where the toolbox has one that speaks.

    Args:
        folder: of photographs.
        tools: its matting tool makes the masks, its detector names what the file does not.
        tell: told what is done, how much of it, and of how much.
        again: whether photographs without a mask that were looked at before are looked at once more.
        workers: processes that look at photographs, each with tools of its own; what is written does not depend on their number.

    Returns:
        What became of each that was looked at, by name.

    Raises:
        UsageError: the folder is missing, another process is at work in it, or a `names.json` or the record is not as it should be.
        Step1XError: a worker was killed.
    """
    found = list_photographs([folder])
    with hold(folder / ".marks.lock", f"Another marking is at work in {folder}; wait for its end, or choose another folder."):
        photographs = {mask_of(path): path for path in found}  # where files differ in their ending alone, one
        _drop_half_a_line(folder / RECORD)
        known = set() if again else {marking.photograph for marking in read_record(folder)}
        waiting = [path for mask, path in photographs.items() if not os.path.exists(mask) and path not in known]
        markings: list[Marking] = []
        together = 1
        with closing(_look_at_all(waiting, tools, workers)) as looks:
            while some := list(islice(looks, together)):
                together = max(together, 1 + _keep(folder, some) // NAMES)
                markings += [look.marking for look in some]
                if tell is not None:
                    tell("marking", len(markings), len(waiting))
        return markings


def _keep(folder: Path, looks: Sequence[_Look]) -> int:
    """Write down what became of some photographs; returns how many names the longest table has by then."""
    marked = [look for look in looks if look.data]
    tables = {look.marking.mask.parent for look in marked}
    # the names first: a mask without a name is an error, not the reverse
    names = [_add_names(table, [look for look in marked if look.marking.mask.parent == table]) for table in sorted(tables)]
    for look in looks:
        marking = look.marking
        if look.data:
            write_bytes(marking.mask, look.data)
        path = marking.photograph.relative_to(folder)
        append_line(folder / RECORD, {"photograph": path.as_posix(), "name": marking.name, "reason": marking.reason})
    return max(names, default=0)


def read_record(folder: Path) -> list[Marking]:
    """What `mark_photographs` wrote down of a folder; raises UsageError where it is another file."""
    file = folder / RECORD
    try:
        rows = [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []
        return [Marking(folder / row["photograph"], row["name"], row["reason"]) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no record of marked photographs; move it elsewhere.") from error


def judge_mask(matte: Floats) -> str:
    """Why a mask cannot be used, or nothing: float32 [H, W] in 0..1."""
    there, mostly, wholly = ((matte > bound).mean() for bound in _SEEN)
    if mostly < SMALLEST:
        return "nothing stands out"
    if mostly > LARGEST:
        return "it fills the picture"
    return "its outline is vague" if (there - wholly) / there > VAGUE else ""


def name_by_file(stem: str) -> str:
    """The name of `labels.LABELS` that a file's name has, in the plural perhaps; nothing where it has none, or several side by side."""
    words = re.findall(r"[^\W\d_]+", stem.lower())
    runs = ((first, last) for first in range(len(words)) for last in range(first + 1, len(words) + 1))
    found = {(first, last): label for first, last in runs if (label := _find_label(" ".join(words[first:last])))}
    for (first, last), label in found.items():
        if all(first <= other_first and other_last <= last for other_first, other_last in found):
            return label
    return ""


def _find_label(words: str) -> str:
    """The label that some words are, or of which they are the plural; empty where they are none."""
    singular = (words.removesuffix(ending) + instead for ending, instead in _PLURALS if words.endswith(ending))
    return next((label for label in (words, *singular) if label in LABELS), "")


def check_sheets(folder: Path, out: Path) -> None:
    """Raise UsageError where contact sheets in `out` would lie among the photographs of `folder`, and be taken for some."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"Contact sheets in {out} would lie among the photographs of {folder}; choose a folder elsewhere.")


def draw_sheets(folder: Path, out: Path) -> list[Path]:
    """Contact sheets of what is marked in a folder, each photograph beside what its mask leaves of it, in place of those of before.

    What cannot be read is called so on its sheet.

    Raises:
        UsageError: they would lie among the photographs, or a `names.json` is not as it should be.
    """
    check_sheets(folder, out)
    photographs = [path for path in list_photographs([folder]) if find_mask(path)]
    names = read_names([mask_of(path) for path in photographs])
    paths = []
    for first in range(0, len(photographs), _EACH):
        data = BytesIO()
        draw_sheet(_look(path, names) for path in photographs[first : first + _EACH]).save(data, "JPEG", quality=85)
        paths.append(out / f"marked-{first // _EACH + 1:03}.jpg")
        write_bytes(paths[-1], data.getvalue())
    for old in {*out.glob("marked-*.jpg")} - {*paths}:
        if re.fullmatch(r"marked-\d{3,}\.jpg", old.name):
            old.unlink()
    return paths


def _drop_half_a_line(file: Path) -> None:
    """Take away what a kill has left of a line."""
    text = file.read_bytes() if file.exists() else b""
    if text and not text.endswith(b"\n"):
        write_bytes(file, text[: text.rfind(b"\n") + 1])


def _look_at_all(photographs: Sequence[Path], tools: Toolbox, workers: int) -> Generator[_Look]:
    """What is found in each, in their order."""
    if workers == 1:
        yield from (_look_at(path, tools) for path in photographs)
        return
    pool = open_pool(workers, _begin, tools)
    ahead: deque[Future[_Look]] = deque()
    try:
        for path in photographs:
            ahead.append(pool.submit(_look_in_worker, path))
            if len(ahead) >= _AHEAD * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    except BrokenProcessPool as error:
        raise Step1XError(KILLED) from error
    finally:
        close_pool(pool, at_once=True)  # they write nothing


_tools: Toolbox
"""Those of a worker, which keep what they have opened."""


def _begin(begun: Synchronized[int], gpus: Sequence[str], tools: Toolbox) -> None:
    global _tools
    begin_worker(begun, gpus)
    _tools = tools


def _look_in_worker(path: Path) -> _Look:
    return _look_at(path, _tools)


def _look_at(path: Path, tools: Toolbox) -> _Look:
    """Look at one photograph."""
    try:
        path.name.encode()
        picture = decode(path.read_bytes())
    except UnicodeEncodeError:
        return _Look(Marking(path, reason="its file's name is not UTF-8"))
    except OSError as error:
        return _Look(Marking(path, reason=f"it cannot be opened: {error.strerror or error}"))
    except ImageError as error:
        return _Look(Marking(path, reason=f"it cannot be read: {error}".rstrip(".")))
    if len(os.fsencode(mask_of(path).name)) > LONGEST_NAME:
        return _Look(Marking(path, reason="its file's name is too long for that of a mask"))
    matte = tools.matting.matte(picture)
    if reason := judge_mask(matte):
        return _Look(Marking(path, reason=reason))
    entry = _find_entry(path)
    name = entry.en or name_by_file(path.stem) or _ask_detector(picture, matte, tools)
    if not name:
        return _Look(Marking(path, reason="nothing says what it is"))
    data = BytesIO()
    Image.fromarray((matte * 255 + 0.5).astype(np.uint8)).save(data, "PNG", optimize=True)
    return _Look(Marking(path, name), entry, data.getvalue())


def _find_entry(photograph: Path) -> Entry:
    """What the `names.json` says of a photograph's mask, where it has a name there, and else of the photograph: "roses" show a rose."""
    mask = mask_of(photograph)
    names = read_names([mask, photograph])
    entry, own = names.get(mask, Entry()), names.get(photograph, Entry())
    if entry.en or not own.en:
        return entry
    return Entry(en=label_topic(own.en) or own.en, zh=entry.zh or own.zh, kind=entry.kind or own.kind)


def _ask_detector(picture: Pixels, matte: Floats, tools: Toolbox) -> str:
    """What the detector calls the thing whose box is that of the mask, where it has a word for it."""
    if tools.is_offline("detector"):
        return ""
    box = bound(matte > _SEEN[1])
    return next((item.label for item in tools.detector.detect(picture) if item.label in LABELS and overlap(box, item.box) > 0.6), "")


def _add_names(folder: Path, looks: Sequence[_Look]) -> int:
    """Put the masks' names into the `names.json` beside them, where that does not say all of it yet; returns how many it has."""
    file = folder / "names.json"
    table: dict[str, Any] = json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else {}
    whole = dict(table)
    for look in looks:
        name, entry = look.marking.name, look.entry
        chinese, kind = LABELS.get(name.lower(), ("", ""))
        known = {"en": name, "zh": entry.zh or chinese, "kind": entry.kind or kind}
        mask = look.marking.mask.stem
        whole[mask] = {**whole.get(mask, {}), **{key: value for key, value in known.items() if value}}
    if whole != table:
        write_json(file, whole)
    return len(whole)


def _look(path: Path, names: dict[Path, Entry]) -> tuple[str, Image.Image, Image.Image]:
    """The words and the two pictures of a photograph on a contact sheet, which are white where a file cannot be read."""
    mask, file = mask_of(path), path.name.encode(errors="backslashreplace").decode()
    picture = alone = Image.new("RGB", (1, 1), "white")
    fault = "the photograph cannot be read"
    try:
        picture = Image.fromarray(decode(path.read_bytes()))
        fault = "the mask cannot be read"
        opacity = read_image(mask.read_bytes()).image.convert("L").resize(picture.size)
    except (ImageError, OSError):
        return f"{fault}: {file}", fit_square(picture), fit_square(alone)
    alone = Image.composite(picture, Image.new("RGB", picture.size, _BEHIND), opacity)
    return f"{names[mask].en if mask in names else '?'}: {file}", fit_square(picture), fit_square(alone)
