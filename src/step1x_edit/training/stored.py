"""Triplets that lie on disk: shards in the WebDataset convention, and the JSON of the published fine-tuning.

Nothing is unpacked: a shard's table of contents is read once, and a picture when its turn comes. Pictures are put into buckets of about
their own proportions; the batches of an epoch are drawn from these, and follow from the seed and the epoch's number alone.
"""

from __future__ import annotations

import json
import math
import random
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from step1x_edit.data.shards import Record, list_shards, split_caption, unpack
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import ImageError, Step1XError, UsageError
from step1x_edit.image_io import read_size
from step1x_edit.image_sizes import Form, fit_form
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Data, Stage
from step1x_edit.types import EditCategory

ASPECTS = (1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, 2.0, 0.5)
"""Widths over heights of the buckets, where a stage names none."""

HEAD = 256 * 1024
"""Bytes of a picture's file in which its size is looked for first; of few formats the whole file is needed."""


@dataclass(frozen=True)
class Item:
    """One triplet on disk.

    Attributes:
        name: tells it from all others.
        size: width and height of its source.
        places: its files, each by its ending as in a shard: path, first byte, number of bytes.
        record: its JSON, where it has one file for that and is not read from `places`.
    """

    name: str
    size: tuple[int, int]
    places: dict[str, tuple[Path, int, int]]
    record: Record | None = None

    def read(self) -> Triplet:
        """Decode it; raises UsageError, which names it, where it is damaged."""
        with self.named():
            return self._unpack()

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors name the triplet: a run of a million ends with the one that is at fault."""
        try:
            yield
        except Step1XError as error:
            raise UsageError(f"The triplet {self.name}: {error}") from error

    def _unpack(self) -> Triplet:
        files = {ending: _read(*place) for ending, place in self.places.items()}
        record = self.record or Record.from_json(files["json"], self.places["json"][0])
        if not record.instruction_en and not record.instruction_zh:
            raise UsageError("It has no instruction; add one, or leave it out.")
        return unpack(record, files)


class Stored:
    """All items of a recipe's data, and the batches that they are drawn in."""

    def __init__(self, data: Data, keep_out: int = 0, squares: bool = False) -> None:
        """Read what there is.

        Args:
            data: the recipe's section.
            keep_out: so many items, spread evenly, are for evaluation and not trained on.
            squares: whether the buckets tell how much a picture is squeezed to a square, as the model knows no other sizes.
        """
        items = [item for folder in data.shards for item in _read_shards(folder)]
        items += [item for file in data.pairs for item in _read_pairs(file)]
        items = items[: data.limit]
        if len(items) <= keep_out:
            raise UsageError(f"The data holds {len(items)} triplets, of which {keep_out} are to be kept for evaluation; name more data.")
        out = {len(items) * i // keep_out for i in range(keep_out)}
        self.heldout = [item for i, item in enumerate(items) if i in out]
        seen = {tuple(item.places.values()) for item in self.heldout}  # whose pictures may come again with words of the other language
        self.items = [item for item in items if tuple(item.places.values()) not in seen]
        if not self.items:
            raise UsageError(f"All {len(items)} triplets are of the pictures that are to be kept for evaluation; name more data.")
        self.seed, self._squares = data.seed, squares
        self._epoch = lru_cache(maxsize=4)(self._draw_epoch)

    def plan(self, portion: Portion, cell: int) -> tuple[Form, list[Item]]:
        """The form of a portion's pictures, and which items they are."""
        stage = portion.stage
        key = (stage.size, stage.batch, tuple(stage.aspects or ASPECTS), cell)
        epoch, place = divmod(portion.step, len(self._epoch(0, *key)))
        form, numbers = self._epoch(epoch, *key)[place]
        return form, [self.items[numbers[position]] for position in portion.positions]

    def forms(self, stage: Stage, cell: int, items: Sequence[Item] | None = None) -> list[Form]:
        """The form that each item has in a stage."""
        buckets = [fit_form(round(1000 * aspect), 1000, stage.size, cell, self._squares) for aspect in stage.aspects or ASPECTS]
        return [min(buckets, key=lambda b: abs(math.log(b.aspect * i.size[1] / i.size[0]))) for i in items or self.items]

    def find_overused(self, stage: Stage, cell: int) -> list[str]:
        """A sentence on each bucket that fills less than half of a batch, so that its triplets come several times in an epoch."""
        counts = Counter(self.forms(stage, cell))
        return [
            f"Only {count} of {len(self.items)} triplets are of about {form.aspect:.2f} widths to a height; to fill a batch of "
            f"{stage.batch}, each comes {stage.batch / count:.0f} times in an epoch. Fewer aspects, or a smaller batch, even that out."
            for form, count in sorted(counts.items())
            if len(counts) > 1 and 2 * count < stage.batch
        ]

    def _draw_epoch(self, epoch: int, size: int, batch: int, aspects: tuple[float, ...], cell: int) -> list[tuple[Form, list[int]]]:
        """Batches, each of one form. The last one of a bucket is filled up from its beginning, so that nothing is left out."""
        stage = Stage(until=1, size=size, batch=batch, aspects=list(aspects))
        buckets: dict[Form, list[int]] = {}
        for number, form in enumerate(self.forms(stage, cell)):
            buckets.setdefault(form, []).append(number)
        rng, batches = random.Random(f"{self.seed}/{epoch}"), []
        for form, numbers in sorted(buckets.items()):
            rng.shuffle(numbers)
            count = -(-len(numbers) // batch)
            filled = [numbers[i % len(numbers)] for i in range(count * batch)]
            batches += [(form, filled[i * batch : (i + 1) * batch]) for i in range(count)]
        rng.shuffle(batches)
        return batches


def _read(path: Path, start: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read() if size < 0 else file.read(size)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); it was there when training began.") from error


def _read_shards(folder: Path) -> Iterator[Item]:
    """The tables of contents of a folder's shards."""
    for path in [folder] if folder.suffix == ".tar" and folder.is_file() else list_shards(folder):
        yield from _read_shard(path)


def _read_shard(path: Path) -> Iterator[Item]:
    found: dict[str, dict[str, tuple[Path, int, int]]] = {}
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile():
                    folder, _, name = member.name.rpartition("/")
                    key, _, ending = name.partition(".")
                    found.setdefault(f"{folder}/{key}", {})[ending] = (path, member.offset_data, member.size)
            for key, places in found.items():
                if "json" not in places:
                    raise UsageError(f"In the shard {path}, {key.lstrip('/')} has no JSON; the set is not whole.")
                yield Item(f"{path.name}{key if key.startswith('/') else '/' + key}", _measure(places, path), places)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UsageError(f"The shard {path} is not a whole tar file ({error}); fetch or build it again.") from error


def _measure(places: dict[str, tuple[Path, int, int]], path: Path) -> tuple[int, int]:
    source = next((place for ending, place in places.items() if ending.partition(".")[0] == "source"), None)
    if source is None or not any(ending.partition(".")[0] == "target" for ending in places):
        raise UsageError(f"{path} holds a triplet without source or target; the set is not whole.")
    try:
        return _read_size(*source)
    except ImageError as error:
        raise UsageError(f"A source in {path} is not a picture; fetch or build it again.") from error


def _read_size(path: Path, start: int, size: int) -> tuple[int, int]:
    """Width and height, upright as the picture is decoded."""
    try:
        return read_size(_read(path, start, HEAD if size < 0 else min(size, HEAD)))
    except ImageError:
        return read_size(_read(path, start, size))


def _read_pairs(file: Path) -> Iterator[Item]:
    """The published fine-tuning's JSON. Targets lie beside it or in target/; sources where it says, from the root or from there,
    or by their name in source/, so that what was exported may be carried elsewhere."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as JSON ({error}).") from error
    if not isinstance(entries, dict) or not entries:
        raise UsageError(f'{file} is not fine-tuning JSON: {{"target.jpg": {{"caption": "...", "ref_image_path": "source.jpg"}}}}.')
    for name, entry in entries.items():
        caption, reference = (entry.get(key) if isinstance(entry, dict) else None for key in ("caption", "ref_image_path"))
        if not isinstance(caption, str) or not caption or not isinstance(reference, str):
            raise UsageError(f"In {file}, {name} needs a caption and a ref_image_path.")
        places = {}
        sources = Path(reference), Path("source") / Path(reference).name
        for which, candidates in (("target", (Path(name), Path("target") / name)), ("source", sources)):
            path = next((file.parent / c for c in candidates if (file.parent / c).is_file()), None)
            if path is None:
                raise UsageError(f"The {which} of {name} in {file} is missing; no file of that name is there.")
            places[f"{which}{path.suffix.lower()}"] = (path, 0, -1)
        yield Item(f"{file.name}/{name}", _measure(places, file), places, _record_of(file, name, caption))


def _record_of(file: Path, name: str, caption: str) -> Record:
    """The JSON has no category; that only says what kind of edit it is, which training does not ask."""
    return Record(Path(name).stem, EditCategory.STYLE_TRANSFER.value, *split_caption(file, caption), "", "", "")
