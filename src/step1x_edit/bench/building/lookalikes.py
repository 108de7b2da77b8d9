"""Find a public picture that looks like a private one, so that the private one never leaves.

A search is given the private picture's pixels in this process. The local one compares them with a folder and sends nothing anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from step1x_edit.bench.building.requests import ENDINGS
from step1x_edit.data.duplicates import hash_picture
from step1x_edit.data.storage import walk
from step1x_edit.data.tools.protocols import SimilarityScorer
from step1x_edit.data.triplet import Floats, Pixels
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

HASH_BITS = 64
MOST = 5
"""Look-alikes that a folder gives."""

SAME_PICTURE = 6
"""Bits of the perceptual hash in which two files of one picture differ at most."""


@dataclass(frozen=True)
class LookAlike:
    """A public picture, its file or the bytes of one, and how alike it is: 0..1."""

    picture: Path | bytes
    likeness: float


class PictureSearch(Protocol):
    """Finds public pictures."""

    def find(self, picture: Pixels) -> list[LookAlike]:
        """The most alike first; empty where there is none. A picture that is the private one itself is not among them."""
        ...


class LocalSearch:
    """A folder of public pictures, by embedding and perceptual hash.

    Args:
        folder: with the pictures.
        similarity: makes the embeddings.
    """

    def __init__(self, folder: Path, similarity: SimilarityScorer) -> None:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; give one with public pictures.")
        self._similarity = similarity
        self._pictures: list[Path] = []
        vectors, hashes = [], []
        for path in sorted(each for each in walk(folder) if each.suffix.lower() in ENDINGS):
            try:
                pixels = np.asarray(flatten(read_image(path).image))
            except ImageError:
                continue
            self._pictures.append(path)
            vectors.append(similarity.embed(pixels))
            hashes.append(hash_picture(pixels))
        if not self._pictures:
            raise UsageError(f"{folder} holds no pictures; give a folder with public ones.")
        self._vectors, self._hashes = np.stack(vectors), hashes

    def find(self, picture: Pixels) -> list[LookAlike]:
        """See `PictureSearch.find`."""
        return rank(self._pictures, self._vectors, self._hashes, self._similarity.embed(picture), picture)[:MOST]


def rank(pictures: Sequence[Path | bytes], vectors: Floats, hashes: Sequence[int], own: Floats, picture: Pixels) -> list[LookAlike]:
    """The pictures that are at all like a private one, the most alike first; it itself is left out.

    Their likeness is that of the embeddings and that of the perceptual hashes by halves.

    Args:
        pictures: the public ones.
        vectors: float32 [N, D], their embeddings.
        hashes: their perceptual hashes.
        own: float32 [D], the private picture's embedding.
        picture: the private picture.
    """
    mine = hash_picture(picture)
    apart = np.array([(mine ^ each).bit_count() for each in hashes])
    scores = np.clip(np.where(apart <= SAME_PICTURE, -1, (vectors @ own + 1 - apart / (HASH_BITS / 2)) / 2), -1, 1)
    return [LookAlike(pictures[i], float(scores[i])) for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
