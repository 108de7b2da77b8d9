"""Pictures that no photograph of a set may show, those of a benchmark say: known by perceptual hashes, under other names and mirrored, too.

What was scaled or encoded anew is found, what was cropped is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from step1x_edit.data.duplicates import hash_picture
from step1x_edit.data.photographs import decode
from step1x_edit.data.storage import read_rows, walk, write_json
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_endings

DISTANCE = 6
"""Choice: two pictures are the same where at most so many of the 64 bits of their hashes differ; of other ones, about half do."""

REASON = "it shows a picture that is to be avoided"
_UNREADABLE = "The picture {} that is to be avoided cannot be read; mend it, or take it away."


@dataclass(frozen=True)
class Avoided:
    """Hashes of the pictures to be avoided, and of their mirror images."""

    hashes: tuple[int, ...] = ()

    @classmethod
    def take(cls, places: Sequence[Path]) -> Avoided:
        """Hash all pictures of some folders and Parquet files; files that are no pictures are passed over.

        Raises:
            UsageError: a place is missing, has no pictures, or holds a Parquet file or a picture that cannot be read.
        """
        hashes: set[int] = set()
        for place in places:
            count = 0
            for name, data in _read_pictures(place):
                count += 1
                try:
                    pixels = decode(data)
                except ImageError as error:
                    raise UsageError(_UNREADABLE.format(name)) from error
                hashes |= {hash_picture(pixels), hash_picture(cv2.flip(pixels, 1).astype(np.uint8))}
            if not count:
                raise UsageError(f"{place} holds no pictures that could be avoided; give a folder of pictures, or a Parquet file.")
        return cls(tuple(sorted(hashes)))

    @classmethod
    def read(cls, path: Path) -> Avoided:
        """The inverse of `write`."""
        return cls(tuple(int(value, 16) for value in json.loads(path.read_text(encoding="utf-8"))))

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        write_json(path, [f"{value:016x}" for value in self.hashes])

    def shows(self, pixels: Pixels) -> bool:
        """Whether a picture, uint8 [H, W, 3], is one of them."""
        if not self.hashes:
            return False
        value = hash_picture(pixels)
        return any((value ^ other).bit_count() <= DISTANCE for other in self.hashes)


def list_avoided(places: Sequence[Path]) -> list[Path]:
    """The files of some places that pictures are looked for in: raises UsageError where a place is missing."""
    found = []
    endings = {".parquet"} | read_endings(own=False)
    for place in places:
        if not place.exists():
            raise UsageError(f"{place}, whose pictures are to be avoided, does not exist; give a folder or a Parquet file.")
        paths = sorted(walk(place)) if place.is_dir() else [place]
        found += [path for path in paths if path.suffix.lower() in endings]
    return found


def _read_pictures(place: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every picture of a folder or a Parquet file."""
    for path in list_avoided([place]):
        if path.suffix.lower() == ".parquet":
            yield from _read_parquet(path)
        else:
            try:
                data = path.read_bytes()
            except OSError as error:
                raise UsageError(_UNREADABLE.format(path)) from error
            yield str(path), data


def _read_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    import pyarrow as pa

    for row in read_rows(path, lambda column: pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0):
        yield from ((f"in {path}", cell["bytes"]) for cell in row.values() if cell and cell["bytes"])
