"""Random draws of which one can be made anew while all others stay: what else might have been asked of the same picture."""

from __future__ import annotations

import random


class ChangedDraws(random.Random):
    """The draws of `random.Random(seed)`, but for one.

    Everything that `random.Random` offers comes from `random` and `getrandbits`, which count here as one draw each.

    Args:
        seed: of the draws that stay.
        change: number of the draw that is another, from 0; None changes none.
        value: chooses among the values it might have.

    Attributes:
        count: draws made so far.
    """

    def __init__(self, seed: str, change: int | None = None, value: int = 0) -> None:
        self.count = 0
        self._change = change
        self._other = random.Random(f"{seed}/{change}/{value}")
        super().__init__(seed)

    def random(self) -> float:
        """A number in [0, 1)."""
        drawn = super().random()
        return self._other.random() if self._is_changed() else drawn

    def getrandbits(self, k: int, /) -> int:
        """A number of `k` bits."""
        drawn = super().getrandbits(k)
        return self._other.getrandbits(k) if self._is_changed() else drawn

    def _is_changed(self) -> bool:
        self.count += 1
        return self.count - 1 == self._change
