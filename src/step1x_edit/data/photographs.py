"""The photographs that go into a set: looked over once, the unfit ones left out with a reason, the rest decoded when they are needed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
from PIL import Image, UnidentifiedImageError

from step1x_edit.data.deidentification import Finding, Switches, blur_findings, deidentify
from step1x_edit.data.licences import Credit
from step1x_edit.data.materials import Content, Photograph, find_mask, is_mask, mask_of, name_topic, read_content, shrink_shorter
from step1x_edit.data.storage import walk
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.tools.weights import digest_file
from step1x_edit.data.triplet import Pixels
from step1x_edit.data.vocabulary import Entry
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import DECODE_ERRORS, READ_FORMATS, read_image
from step1x_edit.image_modes import flatten

TABLES = {".csv", ".md", ".txt", ".json", ".jsonl", ".toml"}
"""Endings of what lies beside photographs to describe them; everything else counts as an input."""

DOUBLE = "the same file as another one"
"""Why a photograph is left out that lies there twice, perhaps under two names."""

_KEPT = 16
"""Decoded photographs kept in memory."""


@dataclass(frozen=True)
class Mark:
    """That a mask beside a photograph marks something in it: the mask's checksum, and the thing's names and kind, as a `Content`'s."""

    sha256: str
    en: str
    zh: str
    kind: str


@dataclass(frozen=True)
class Input:
    """One file among the photographs.

    Attributes:
        file: path below `folder`.
        folder: which of the recipe's folders it lies in, or one above that.
        skipped: why it is left out, or empty.
        sha256: of the file.
        width, height: upright, in pixels.
        credit: what is known of its licence.
        hidden: what is blurred wherever it is used: kind, left, top, right, bottom in pixels of the upright picture, score.
        topic: what it shows, where its name or a `names.json` beside it tells.
        faces: how wide the faces that were looked for are, as shares of the shorter side, the largest first.
        lines: of text that can be rewritten, where such were looked for.
        named: whether something in it has a name, where that was looked for.
        mark: what the mask beside it marks, where there is one.
    """

    file: str
    folder: str
    skipped: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    credit: Credit = field(default_factory=Credit)
    hidden: tuple[tuple[str, int, int, int, int, float], ...] = ()
    topic: str | None = None
    faces: tuple[float, ...] = ()
    lines: int = 0
    named: bool = False
    mark: Mark | None = None

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.folder) / self.file

    def to_row(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Input:
        """The inverse of `to_row`; rows of before masks were looked at lack `mark`."""
        hidden = tuple(tuple(found) for found in row["hidden"])
        mark = Mark(**row["mark"]) if row.get("mark") else None
        return cls(**{**row, "credit": Credit(**row["credit"]), "hidden": hidden, "faces": tuple(row["faces"]), "mark": mark})

    def provenance(self) -> dict[str, Any]:
        """What a triplet keeps of it."""
        return {"file": self.file, "sha256": self.sha256, **asdict(self.credit)}


def list_inputs(folders: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Folder and path of every file in the folders that is not hidden, in an order that does not depend on the file system.

    No two files have the same path below their folder: where they would, a folder further up stands for theirs.

    Raises:
        UsageError: a folder is missing.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} does not exist; give an existing folder of photographs.")
        paths = sorted(path for path in walk(folder) if path.suffix.lower() not in TABLES and not is_mask(path))
        found += [(folder, path) for path in paths]
    return _tell_apart(found)


def _tell_apart(found: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    named: dict[Path, set[Path]] = {}
    for folder, path in found:
        named.setdefault(path.relative_to(folder), set()).add(path)
    if all(len(paths) == 1 for paths in named.values()):
        return found
    return _tell_apart([(folder.parent if len(named[path.relative_to(folder)]) > 1 else folder, path) for folder, path in found])


def examine(
    folder: Path, path: Path, credit: Credit, smallest_side: int, largest_area: int, names: Mapping[Path, Entry] | None = None
) -> tuple[Input, Pixels | None]:
    """Look one file over: what is kept of it, and its pixels where it is fit to be used; `names` has its entry and its mask's, if any."""
    names = names or {}
    name, place = path.relative_to(folder).as_posix(), str(folder)
    try:
        name.encode()
        data = path.read_bytes()
    except UnicodeEncodeError:
        return Input(name, place, "its file's name is not UTF-8"), None
    except OSError as error:
        return Input(name, place, f"cannot be opened: {error.strerror or error}"), None
    reason, width, height = _look_at_header(data, smallest_side, largest_area)
    pixels = None
    if not reason:
        try:
            pixels = decode(data)
            height, width = pixels.shape[:2]
        except ImageError:
            reason, width, height = "damaged or cut off", 0, 0
    topic = name_topic(path, names.get(path))
    found = Input(name, place, reason, hashlib.sha256(data).hexdigest(), width, height, credit, topic=topic)
    if pixels is not None and (mask := find_mask(path)):
        found = _look_at_mask(found, mask, names.get(mask), pixels)
    return found, None if found.skipped else pixels


def _look_at_mask(found: Input, mask: Path, entry: Entry | None, pixels: Pixels) -> Input:
    """The input with what its mask marks, or left out for a mask that cannot be used."""
    try:
        content = read_content(mask, entry)
    except UsageError:
        return dataclasses.replace(found, skipped="its mask has no name, or marks nothing")
    except ImageError:
        return dataclasses.replace(found, skipped="its mask cannot be read")
    if content.alpha.shape != pixels.shape[:2]:
        return dataclasses.replace(found, skipped="its mask has not its size")
    return dataclasses.replace(found, mark=Mark(digest_file(mask), content.en, content.zh, content.kind))


def _look_at_header(data: bytes, smallest_side: int, largest_area: int) -> tuple[str, int, int]:
    """Why a file cannot be used, or empty, and its size, without decoding it."""
    try:
        image = Image.open(BytesIO(data), formats=READ_FORMATS)
        width, height = image.size
        animated = getattr(image, "is_animated", False) and image.format != "MPO"  # looks for further frames
    except UnidentifiedImageError:
        return "not a picture", 0, 0
    except Image.DecompressionBombError:
        return "huge", 0, 0
    except DECODE_ERRORS:
        return "damaged or cut off", 0, 0
    reason = ""
    if width * height > largest_area:
        reason = "huge"
    elif animated:
        reason = "animated"
    elif min(width, height) < smallest_side:
        reason = "tiny"
    elif image.mode == "CMYK":
        reason = "CMYK, made for print"
    return reason, width, height


def decode(data: bytes) -> Pixels:
    """A file's picture, upright, in sRGB, transparent parts on white: uint8 [H, W, 3]; raises ImageError."""
    return np.asarray(flatten(read_image(data).image).convert("RGB"))


def leave_out_doubles(inputs: Iterable[Input]) -> list[Input]:
    """The inputs, in which of files with the same bytes, and the same mark, the first alone is taken."""
    seen: set[tuple[str, Mark | None]] = set()
    found = []
    for entry in inputs:
        key = entry.sha256, entry.mark
        found.append(dataclasses.replace(entry, skipped=DOUBLE) if not entry.skipped and key in seen else entry)
        if not entry.skipped:
            seen.add(key)
    return found


def hide(entry: Input, pixels: Pixels, tools: Toolbox, switches: Switches) -> Input:
    """The input with what is to be blurred in it, or refused for the text that it shows."""
    found = deidentify(pixels, tools, switches)
    if found.refusal:
        return dataclasses.replace(entry, skipped=found.refusal)
    hidden = tuple(
        (each.kind, each.box.left, each.box.top, each.box.right, each.box.bottom, round(each.score, 3))
        for each in found.findings
        if switches.text == "blur" or each.kind in ("face", "number plate")
    )
    return dataclasses.replace(entry, hidden=hidden)


def blur_hidden(entry: Input, pixels: Pixels) -> Pixels:
    """The photograph with everything blurred that is to be hidden in it."""
    return blur_findings(pixels, [Finding(kind, Box(*box), score) for kind, *box, score in entry.hidden]) if entry.hidden else pixels


class PhotographFolder(Sequence[Photograph]):
    """Photographs that are decoded when they are drawn, the last few kept in memory: what `Materials.photographs` may be."""

    def __init__(self, inputs: Sequence[Input], side: int) -> None:
        """Take the inputs that were not skipped; `side` bounds their shorter side in pixels."""
        self.inputs = tuple(entry for entry in inputs if not entry.skipped)
        self.side = side
        self._by_name = {entry.file: entry for entry in self.inputs}
        self._kept: dict[int, Photograph] = {}

    def __len__(self) -> int:
        return len(self.inputs)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Photograph]: ...
    def __getitem__(self, index: int | slice) -> Photograph | Sequence[Photograph]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if index not in self._kept:
            if len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[index] = self._open(self.inputs[index])
        return self._kept[index]

    def find(self, name: str) -> Input | None:
        """The input of that name."""
        return self._by_name.get(name)

    def _open(self, entry: Input) -> Photograph:
        try:
            data = entry.path.read_bytes()
        except OSError as error:
            raise UsageError(f"The photograph {entry.path} has gone; put it back, or build into a new folder.") from error
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise UsageError(f"The photograph {entry.path} has changed meanwhile; put it back, or build into a new folder.")
        pixels = blur_hidden(entry, decode(data))
        return Photograph(entry.file, shrink_shorter(pixels, self.side), entry.topic, self._open_mask(entry))

    def _open_mask(self, entry: Input) -> Content | None:
        if entry.mark is None:
            return None
        mask, mark = mask_of(entry.path), entry.mark
        if not mask.is_file() or digest_file(mask) != mark.sha256:
            raise UsageError(f"The mask {mask} has changed meanwhile, or has gone; put it back, or build into a new folder.")
        content = read_content(mask, Entry(en=mark.en, zh=mark.zh, kind=mark.kind))
        return dataclasses.replace(content, alpha=shrink_shorter(content.alpha, self.side))
