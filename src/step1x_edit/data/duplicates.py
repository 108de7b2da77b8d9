"""Near-duplicates across a whole set: perceptual hashes, and a search that never misses one, whatever the number of triplets."""

from __future__ import annotations

from array import array
from itertools import pairwise

import cv2
import numpy as np

from step1x_edit.data.triplet import Pixels

BITS = 128
_NONE = -1


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
    Those that agree in a band are a chain, from the last one that was taken to the first; a link of it takes 8 bytes.
    """

    def __init__(self, distance: int) -> None:
        self.distance = distance
        edges = np.linspace(0, BITS, distance + 2).round().astype(int)
        self._bands = [(int(low), (1 << int(high - low)) - 1) for low, high in pairwise(edges)]
        self._taken: list[tuple[int, str]] = []
        self._last: list[dict[int, int]] = [{} for _ in self._bands]  # a band's bits -> which hash was the last to have them
        self._before = [array("q") for _ in self._bands]  # and for each hash, which one had them before it

    def find(self, value: int) -> tuple[str, int] | None:
        """Name and distance of a hash that was taken and is near enough, or None."""
        for (low, mask), last, before in zip(self._bands, self._last, self._before, strict=True):
            place = last.get(value >> low & mask, _NONE)
            while place != _NONE:
                other, name = self._taken[place]
                apart = (value ^ other).bit_count()
                if apart <= self.distance:
                    return name, apart
                place = before[place]
        return None

    def take(self, value: int, name: str) -> None:
        """Remember a hash."""
        place = len(self._taken)
        self._taken.append((value, name))
        for (low, mask), last, before in zip(self._bands, self._last, self._before, strict=True):
            bits = value >> low & mask
            before.append(last.get(bits, _NONE))
            last[bits] = place
