"""The pictures that triplets are made of, decoded once and kept in memory: photographs, and subjects cut out of their background."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS, name_colour
from step1x_edit.data.labels import label_topic
from step1x_edit.data.split import Part, Split
from step1x_edit.data.storage import check_name, walk
from step1x_edit.data.tools.filtering import bound, grow
from step1x_edit.data.tools.patch_fill import PatchFill
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Pixels
from step1x_edit.data.vocabulary import FLOWERS, UNNAMEABLE, Entry, describe_kind, with_article
from step1x_edit.data.windows import Light, Window
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.toml_files import check_values

PHOTOGRAPH_SIDE = 320
"""Short side in pixels to which photographs are reduced: enough for crops at 256 pixels, and 850 of them fit into 400 MB."""

MASK = ".mask"
"""How a mask is called that lies beside a photograph: the grey values of `cat.mask.png` mark the named thing that `cat.jpg` shows."""

_PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".webp"}
_CUTOUTS = {".png", ".webp"}

FAINT = 8
"""Alpha of 255 up to which what is marked or cut out counts as not there."""

MOST = 0.85
"""Share of what a photograph marks that must lie in a square of it."""

_TRIES = 8
"""Squares drawn in search of one that holds a photograph's content."""


@dataclass(frozen=True)
class Content:
    """What a photograph shows: `alpha` is uint8 [H, W], 255 where it is; the names and the kind are as a `Subject`'s."""

    alpha: Pixels
    en: str
    zh: str
    kind: str


@dataclass(frozen=True)
class Photograph:
    """A background, or a picture to be edited for itself.

    Attributes:
        name: name of the file, without folder and ending.
        pixels: uint8 [H, W, 3] sRGB.
        topic: what it shows in a word or two, or None where nothing tells.
        content: what in it can be edited by name, or None where nothing is marked.
    """

    name: str
    pixels: Pixels
    topic: str | None = None
    content: Content | None = None

    @property
    def caption(self) -> str:
        """How a caption mentions it as a background."""
        return f"a photo of {with_article(self.topic)}" if self.topic else "a photo"

    @cached_property
    def emptied(self) -> Pixels:
        """The same without its content, in whose place are patches from the rest: uint8 [H, W, 3], kept once it is made."""
        assert self.content is not None
        return PatchFill().inpaint(self.pixels, grow(self.content.alpha > FAINT, max(2, min(self.pixels.shape[:2]) // 40)))


@dataclass(frozen=True)
class Subject:
    """Something cut out of its background.

    Attributes:
        name: name of the file, without folder and ending.
        pixels: uint8 [H, W, 4], the colours multiplied by alpha, cropped to what is visible.
        en: English name.
        zh: Chinese name.
        kind: what it is in general, a key of `vocabulary.KINDS`.
        colour: the named colour that most of it has, or None.
        path: of its file, or None where it was drawn or is part of a photograph.
    """

    name: str
    pixels: Pixels
    en: str
    zh: str
    kind: str
    colour: str | None
    path: Path | None = None


@dataclass(frozen=True)
class Materials:
    """Everything a category draws from.

    Attributes:
        photographs: at least one.
        subjects: at least one; what may be pasted, removed, moved or recoloured.
        known: subjects that may be asked for by name although the source does not show them; at least one.
        difficulty: 0 for one large subject, 1 for up to several small ones.
        enlargement: how much a photograph may be enlarged at most, as far as it is large enough at all.
        marked: those of the photographs that have a content.
        aspect: width over height of the pictures. They are composed as squares, into which all is squeezed: what of a photograph is cut
            out, and what is pasted; patterns over the whole frame stretch with it.
        relit: share of the photographs that are seen in another light than their own (`Light`), where squares are cut out of them.
    """

    photographs: Sequence[Photograph]
    subjects: Sequence[Subject]
    known: Sequence[Subject]
    difficulty: float = 1.0
    enlargement: float = math.inf
    marked: Sequence[Photograph] = ()
    aspect: float = 1.0
    relit: float = 0.0

    def crop(self, rng: random.Random, size: int) -> tuple[Pixels, Photograph]:
        """Cut a random window of 40 to 100 % of what the photograph has room for, perhaps mirrored, and make it a square.

        Returns:
            uint8 [size, size, 3], a fresh array, and the photograph it is from.
        """
        photo = rng.choice(self.photographs)
        return self._window(rng, photo.pixels, size).squeeze(photo.pixels, size), photo

    def frame_content(self, rng: random.Random, size: int, largest: float) -> tuple[Photograph, Window] | None:
        """One of the `marked`, and a window of it with most of what it shows, which fills 3 % to `largest` of that; None without luck."""
        photo = rng.choice(self.marked)
        assert photo.content is not None
        alpha = photo.content.alpha
        whole = float(alpha.sum())
        for _ in range(_TRIES):
            window = self._window(rng, photo.pixels, size)
            inside = float(window.of(alpha).sum())
            if inside >= MOST * whole and 0.03 <= inside / 255 / window.box.area <= largest:
                return photo, window
        return None

    def prefers_marked(self, rng: random.Random) -> bool:
        """Whether to edit what a photograph shows rather than paste something: half of the time, where anything is marked."""
        return bool(self.marked) and rng.random() < 0.5

    def _window(self, rng: random.Random, pixels: Pixels, size: int) -> Window:
        height, width = pixels.shape[:2]
        room = min(height, width / self.aspect)
        high = min(max(8, round(room * rng.uniform(0.4, 1.0)), round(size / self.enlargement / max(self.aspect, 1))), math.ceil(room))
        wide = min(round(high * self.aspect), width)
        top, left = int(rng.random() * (height - high + 1)), int(rng.random() * (width - wide + 1))
        mirrored = rng.random() < 0.5
        light = Light.draw(rng) if self.relit and rng.random() < self.relit else None
        return Window(Box(left, top, left + wide, top + high), mirrored, light)


def read_materials(
    photos: Iterable[str | Path], cutouts: Iterable[str | Path], split: Split, part: Part, difficulty: float = 1.0
) -> Materials:
    """Decode the pictures of a part of the split.

    Args:
        photos: folders of photographs, searched with their subfolders.
        cutouts: folders of RGBA pictures with a `names.json` in each folder that holds pictures.
        split: which names belong to which part.
        part: "train" for everything that is not kept out, "heldout" for only that.
        difficulty: passed on.

    Raises:
        UsageError: a folder is missing, or no picture is left.
        ImageError: a picture cannot be decoded.
    """
    paths = list_photographs(photos)
    chosen = split.select((path.stem for path in paths), part, photographs=True)
    topics = read_names(paths)
    contents = _read_contents([path for path in paths if path.stem in chosen])
    photographs = [_read_photograph(path, topics.get(path), contents.get(path)) for path in paths if path.stem in chosen]
    if not photographs:
        raise UsageError(f"No {part} photograph in {_name_folders(photos)}; give a folder with pictures that the split allows there.")
    marked = tuple(photo for photo in photographs if photo.content)
    return Materials(tuple(photographs), *read_subjects(cutouts, split, part), difficulty, marked=marked)


def read_subjects(cutouts: Iterable[str | Path], split: Split, part: Part) -> tuple[tuple[Subject, ...], tuple[Subject, ...]]:
    """Decode the cut-outs of a part of the split: all that may be pasted, and those that may be asked for by name; see `read_materials`."""
    paths = list_cutouts(cutouts)
    chosen = split.select((path.stem for path in paths), part, photographs=False)
    names = read_names(paths)
    subjects = [_read_subject(path, names.get(path)) for path in paths if path.stem in chosen]
    subjects = [subject for subject in subjects if subject.en not in UNNAMEABLE]
    if not subjects:
        raise UsageError(
            f"No {part} cut-out in {_name_folders(cutouts)}; give a folder with RGBA pictures that the split allows for {part}."
        )
    known = [subject for subject in subjects if subject.name in split.known] or subjects
    if part == "heldout":
        subjects = [subject for subject in subjects if subject.name not in split.known] or subjects
    return tuple(subjects), tuple(known)


def _name_folders(folders: Iterable[str | Path]) -> str:
    return ", ".join(str(folder) for folder in folders) or "no folder"


def list_photographs(folders: Iterable[str | Path]) -> list[Path]:
    """The photographs in some folders and in those in them, by name, without masks; raises UsageError where a folder is missing."""
    return _list_files(folders, _PHOTOGRAPHS)


def list_cutouts(folders: Iterable[str | Path]) -> list[Path]:
    """The cut-outs in some folders, by name; raises UsageError where a folder is missing or a name is not UTF-8 or comes twice."""
    paths = _list_files(folders, _CUTOUTS)
    for path in paths:
        check_name(path.name, f"The cut-out {str(path)!r}")
    for one, other in pairwise(paths):
        if one.stem == other.stem:
            raise UsageError(f"The cut-outs {one} and {other} have the same name; rename one of them.")
    return paths


def _list_files(folders: Iterable[str | Path], endings: set[str]) -> list[Path]:
    found: set[Path] = set()
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} does not exist; give an existing folder of pictures.")
        found |= {path for path in walk(folder) if path.suffix.lower() in endings and not is_mask(path)}
    return sorted(found, key=lambda path: (path.stem, path))


def mask_of(photograph: Path) -> Path:
    """Where the mask of a photograph lies, if it has one."""
    return photograph.with_name(f"{photograph.stem}{MASK}.png")


def find_mask(photograph: Path) -> Path | None:
    """The mask beside a photograph, where it has one; one whose name is too long for a mask's has none."""
    mask = mask_of(photograph)
    return mask if os.path.isfile(mask) else None  # Path.is_file would raise for too long a name


def is_mask(path: Path) -> bool:
    """Whether a file marks what the photograph beside it shows."""
    return path.name.lower().endswith(f"{MASK}.png")


def read_names(paths: Iterable[Path]) -> dict[Path, Entry]:
    """Find each picture's entry in the `names.json` beside it, where there is one; raises UsageError where that is not as it should be."""
    tables: dict[Path, dict[str, Any]] = {}
    found = {}
    for path in paths:
        if path.parent not in tables:
            file = path.parent / "names.json"
            try:
                tables[path.parent] = json.loads(file.read_text(encoding="utf-8-sig")) if file.exists() else {}
            except ValueError as error:
                raise UsageError(f"The file {file} is not valid JSON ({error}); correct it.") from error
            if not isinstance(tables[path.parent], dict):
                raise UsageError(f'The file {file} does not name pictures; write it like {{"cat": {{"en": "cat", "zh": "猫"}}}}.')
        if path.stem in tables[path.parent]:
            found[path] = check_values(Entry, tables[path.parent][path.stem], "entry", f"{path.stem!r} in {file}")
    return found


def shrink_shorter(pixels: Pixels, side: int) -> Pixels:
    """The picture with a shorter side of at most `side` pixels."""
    factor = side / min(pixels.shape[:2])
    if factor >= 1:
        return pixels
    height, width = pixels.shape[:2]
    return cv2.resize(pixels, (round(width * factor), round(height * factor)), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _decode(path: Path, flag: int) -> Pixels:
    data = np.fromfile(path, np.uint8)
    pixels = cv2.imdecode(data, flag) if data.size else None
    if pixels is None:
        raise ImageError(f"Cannot decode {path}; remove it or replace it by a readable picture.")
    return np.round(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels.astype(np.uint8)


def _read_photograph(path: Path, entry: Entry | None, content: Content | None) -> Photograph:
    pixels = cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8)
    if content and content.alpha.shape != pixels.shape[:2]:
        raise UsageError(f"The mask of {path} has not its size; save it with {pixels.shape[1]} x {pixels.shape[0]} pixels.")
    if content:
        content = dataclasses.replace(content, alpha=shrink_shorter(content.alpha, PHOTOGRAPH_SIDE))
    return Photograph(path.stem, shrink_shorter(pixels, PHOTOGRAPH_SIDE), name_topic(path, entry), content)


def _read_contents(photographs: Iterable[Path]) -> dict[Path, Content]:
    """What the masks beside some photographs mark; raises as `read_content`."""
    masks = {mask: path for path in photographs if (mask := find_mask(path))}
    names = read_names(masks)
    return {path: read_content(mask, names.get(mask)) for mask, path in masks.items()}


def read_content(mask: Path, entry: Entry | None) -> Content:
    """What a mask marks, in its own size.

    Raises:
        UsageError: it has no name, or marks nothing.
        ImageError: it cannot be decoded.
    """
    if not entry or not entry.en:
        raise UsageError(f'The mask {mask} has no name; put "{mask.stem}": {{"en": ..., "zh": ...}} into the names.json beside it.')
    alpha = _decode(mask, cv2.IMREAD_GRAYSCALE)
    if not (alpha > FAINT).any():
        raise UsageError(f"The mask {mask} is black: it marks nothing. Paint what it should mark white, or remove it.")
    return Content(alpha, *describe_kind(mask.stem, entry))


def name_topic(path: Path, entry: Entry | None) -> str | None:
    """What a photograph shows, by its entry in a `names.json`, or where its file's name begins with a flower's."""
    if entry and entry.en:
        return entry.en.lower() if label_topic(entry.en) else entry.en
    return FLOWERS.get(path.stem.split("-")[0])


def _read_subject(path: Path, entry: Entry | None) -> Subject:
    pixels = _decode(path, cv2.IMREAD_UNCHANGED)
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise ImageError(f"The cut-out {path} has no alpha channel; save it as an RGBA picture.")
    visible = pixels[..., 3] > FAINT
    if not visible.any():
        raise ImageError(f"The cut-out {path} is wholly transparent; remove it.")
    pixels = pixels[bound(visible).within]
    straight = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGRA2RGBA).astype(np.uint8)
    alpha = straight[..., 3:].astype(np.float32) / 255
    premultiplied = np.concatenate([(straight[..., :3] * alpha + 0.5).astype(np.uint8), straight[..., 3:]], axis=2)
    english, chinese, kind = describe_kind(path.stem, entry or Entry())
    said = (word for word in english.split()[:-1] if word in COLOURS)  # a red apple is red, whatever red the drawing has
    colour = next(said, None) or name_colour(straight[straight[..., 3] > 200][:, :3])
    return Subject(path.stem, premultiplied, english, chinese, kind, colour, path)
