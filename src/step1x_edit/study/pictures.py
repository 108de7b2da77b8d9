"""The pictures as people get them: nothing but their pixels tells one system from another.

Every picture of a case, the source and the decoy of its attention checks included, is drawn on a canvas of one size, written in one format
without metadata, and padded to one length. All of this happens before the first person comes, so that serving any of them is the same
read of as many bytes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

from step1x_edit.errors import UsageError
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten
from step1x_edit.image_sizes import fit_within
from step1x_edit.study.assignment import DECOY
from step1x_edit.study.results import StudyCase

SOURCE = -1
"""Stands among the systems for the picture before the edit."""

LONGEST_SIDE = 1024
BUCKET = 16 * 1024
"""Lengths are rounded up to a multiple of this many bytes."""

SURROUND = (238, 238, 236)
"""The page's own neutral grey, around results of another shape than their source."""

SAME_SHAPE = 0.03
"""Choice: results whose aspect ratio differs from the source's by less than this were rounded by their system, and are stretched to fit."""

FORMAT = "jpeg 92 4:4:4 v1"


@dataclass(frozen=True)
class CasePictures:
    """Where a case's pictures come from: system number -> file, `SOURCE` and `DECOY` among them."""

    files: Mapping[int, Path]
    digest: str


def gather(cases: Sequence[StudyCase], systems: Sequence[str]) -> Iterator[CasePictures]:
    """The pictures of every case, with systems numbered from 1, and a digest of their contents."""
    digests = [_digest(case.source) for case in cases]
    for index, case in enumerate(cases):
        files = {SOURCE: case.source, DECOY: cases[choose_decoy(digests, index)].source}
        files |= {number: case.results[name] for number, name in enumerate(systems, 1) if name in case.results}
        contents = hashlib.sha256(FORMAT.encode())
        for number, file in sorted(files.items()):
            contents.update(b"%d %s" % (number, digests[index] if number == SOURCE else _digest(file)))
        yield CasePictures(files, contents.hexdigest())


class Gallery:
    """Rendered pictures on the disk.

    Args:
        folder: where they are kept; what is there already is used again.
        cases: the study's cases, by number.
    """

    def __init__(self, folder: Path, cases: Mapping[int, CasePictures]) -> None:
        self._folder = folder
        self._cases = cases
        self._sizes: dict[int, tuple[int, int]] = {}

    def render(self, progress: Callable[[], None] = lambda: None, workers: int | None = None) -> None:
        """Draw what is missing; `progress` is called once a case that has pictures of its own.

        Raises:
            ImageError: a picture cannot be read.
        """
        with ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1)) as pool:
            distinct = {case.digest: case for case in self._cases.values()}  # one edit may be asked for in two languages
            try:
                for _ in pool.map(self._render_case, distinct.values()):
                    progress()
            finally:
                pool.shutdown(cancel_futures=True)

    def read(self, case: int, picture: int) -> bytes:
        """The bytes of a picture, as long as every other one of its case."""
        return self._path(self._cases[case], picture).read_bytes()

    def size(self, case: int) -> tuple[int, int]:
        """Width and height of all pictures of a case."""
        if case not in self._sizes:
            with Image.open(self._path(self._cases[case], SOURCE)) as picture:
                self._sizes[case] = picture.size
        return self._sizes[case]

    def _path(self, case: CasePictures, picture: int) -> Path:
        return self._folder / case.digest / f"{'source' if picture == SOURCE else picture}.jpg"

    def _render_case(self, case: CasePictures) -> None:
        target = self._folder / case.digest
        if target.is_dir():
            return
        source = flatten(read_image(case.files[SOURCE]).image)
        size = fit_within(source.size, LONGEST_SIDE)
        encoded = {}
        for number, file in case.files.items():
            picture = source if number == SOURCE else flatten(read_image(file).image)
            encoded[number] = encode(
                ImageOps.fit(picture, size, Image.Resampling.LANCZOS) if number == DECOY else place_on_canvas(picture, size)
            )
        length = -(-max(map(len, encoded.values())) // BUCKET) * BUCKET
        partial = self._folder / f".{case.digest}.part"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for number, data in encoded.items():
            (partial / self._path(case, number).name).write_bytes(data.ljust(length, b"\0"))
        partial.rename(target)


def place_on_canvas(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at exactly `size`: stretched where it has nearly that shape, else whole, in the middle of the page's grey."""
    drift = (picture.width / picture.height) / (size[0] / size[1])
    if abs(drift - 1) <= SAME_SHAPE:
        return picture.resize(size, Image.Resampling.LANCZOS) if picture.size != size else picture
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=SURROUND)


def encode(picture: Image.Image) -> bytes:
    """JPEG without metadata. Zeros may follow its end: decoders stop before them."""
    plain = Image.new("RGB", picture.size)
    plain.paste(picture)
    encoded = BytesIO()
    plain.save(encoded, "JPEG", quality=92, subsampling="4:4:4", optimize=True)
    return encoded.getvalue()


def choose_decoy(digests: Sequence[bytes], index: int) -> int:
    """The case whose source stands in for a result in the checks of case `index`: another picture, half of all cases away if it can be.

    Raises:
        UsageError: all cases have the same picture.
    """
    for step in range(len(digests)):
        other = (index + len(digests) // 2 + step) % len(digests)
        if digests[other] != digests[index]:
            return other
    raise UsageError("All cases show one and the same picture; a study needs at least two different ones.")


def _digest(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
