"""Leaving blocks out where a step changes little: near-exact, an option with a measured error (docs/speed_memory.md)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class Shortcuts:
    """What is left out of an edit; nothing by default.

    Attributes:
        cache: the threshold of a `BlockCache`, None for none.
        accumulated: which of its two measures of change is taken.
        guided: the times between which guidance acts.
    """

    cache: float | None = None
    accumulated: bool = False
    guided: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def read(cls, cache: str | None, guided: str | None) -> Shortcuts:
        """From options: cache as "first-block:0.1" or "accumulated:0.2", guided as "0.2,0.9".

        Raises:
            UsageError: they are not that.
        """
        name, _, threshold = (cache or "").partition(":")
        low, _, high = (guided or "0,1").partition(",")
        try:
            limit, between = float(threshold or 0), (float(low), float(high))
        except ValueError as error:
            raise UsageError("A cache is given as first-block:0.1, and times of guidance as 0.2,0.9.") from error
        if name not in ("", "first-block", "accumulated") or not 0 <= limit < 10 or (cache and not threshold):
            raise UsageError(f"There is no cache {cache!r}; give first-block:0.1 or accumulated:0.2.")
        if not 0 <= between[0] < between[1] <= 1:
            raise UsageError(f"Guidance must act between two times of 0 to 1, as 0.2,0.9, not {guided}.")
        return cls(limit if cache else None, name == "accumulated", between)

    def new_cache(self) -> BlockCache | None:
        """An empty cache for one picture."""
        return None if self.cache is None else BlockCache(self.cache, self.accumulated)


class BlockCache:
    """Where the first block does nearly what it did when all blocks were last run, the others are taken to do what they did then.

    Choice: the change is the mean absolute difference of what the first block adds, over its mean absolute size: since the last full run
    ("first-block"), or, as TeaCache has it, summed over the steps since then ("accumulated"), which notices a slow drift earlier.
    """

    def __init__(self, threshold: float, accumulated: bool = False) -> None:
        self.threshold = threshold
        self.accumulated = accumulated
        self.left_out = 0
        self._change = 0.0
        self._first: Tensor | None = None
        self._rest: Tensor | None = None

    def recall(self, first_BND: Tensor) -> Tensor | None:
        """What the other blocks added last, if this is near enough; None where they are to be run."""
        if self._first is not None and self._rest is not None and self._first.shape == first_BND.shape:
            change = float((first_BND - self._first).abs().mean() / self._first.abs().mean())
            self._change = self._change + change if self.accumulated else change
            if self._change < self.threshold:
                self.left_out += 1
                if self.accumulated:
                    self._first = first_BND
                return self._rest
        self._first, self._change = first_BND, 0.0
        return None

    def keep(self, rest_BND: Tensor) -> None:
        """Remember what the other blocks added."""
        self._rest = rest_BND
