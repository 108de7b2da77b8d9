"""Near-duplicates across a whole set: perceptual hashes, and a search that never misses one, whatever the number of triplets."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import cv2
import numpy as np

from step1x_edit.data.triplet import Pixels

BITS = 128


def hash_picture(picture: Pixels) -> int:
    """64 bits: which of the 64 lowest frequencies of the picture's luminance, at 32 x 32 pixels, lie above their median."""
    grey = cv2.resize(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(grey)[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_pair(source: Pixels, target: Pixels) -> int:
    """128 bits: the source's and the target's."""
    return hash_picture(source) << 64 | hash_picture(target)


class Neighbours:
    """Hashes that have been taken, and whether a further one lies within `distance` bits of one of them.

    The bits are divided into `distance` + 1 bands: two hashes that differ in at most `distance` bits agree in at least one whole band.
    """

    def __init__(self, distance: int) -> None:
        self.distance = distance
        edges = np.linspace(0, BITS, distance + 2).round().astype(int)
        self._bands = [(int(low), (1 << int(high - low)) - 1) for low, high in pairwise(edges)]
        self._tables: list[defaultdict[int, list[tuple[int, str]]]] = [defaultdict(list) for _ in self._bands]

    def find(self, value: int) -> tuple[str, int] | None:
        """Name and distance of a hash that was taken and is near enough, or None."""
        for (low, mask), table in zip(self._bands, self._tables, strict=True):
            for other, name in table.get(value >> low & mask, ()):
                apart = (value ^ other).bit_count()
                if apart <= self.distance:
                    return name, apart
        return None

    def take(self, value: int, name: str) -> None:
        """Remember a hash."""
        for (low, mask), table in zip(self._bands, self._tables, strict=True):
            table[value >> low & mask].append((value, name))
