"""Leaving out what changes little from step to step: near-exact, options with a measured error (docs/speed_memory.md).

The first step and the last two are always run whole: the last ones settle the picture's detail, and what they leave out shows most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from step1x_edit.errors import UsageError

Kind = Literal["first-block", "accumulated", "every"]
SETTLING = 2
"""Steps at the end that are always run whole. Choice: measured, see docs/speed_memory.md."""


@dataclass(frozen=True)
class Shortcuts:
    """What is left out of an edit; nothing by default.

    Attributes:
        kind: see `StepCache`; None for no cache.
        limit: the threshold of change; of "every", which step is run.
        guided: the times between which guidance acts.
    """

    kind: Kind | None = None
    limit: float = 0.0
    guided: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def read(cls, cache: str | None, guided: str | None) -> Shortcuts:
        """From options: cache as "first-block:0.1", "accumulated:0.2" or "every:5", guided as "0.2,0.9".

        Raises:
            UsageError: they are not that.
        """
        name, _, threshold = (cache or "").partition(":")
        low, _, high = (guided or "0,1").partition(",")
        try:
            limit, between = float(threshold or 0), (float(low), float(high))
        except ValueError as error:
            raise UsageError("A cache is given as first-block:0.1 or every:5, and times of guidance as 0.2,0.9.") from error
        kind = next((kind for kind in get_args(Kind) if kind == name), None)
        fits = (limit >= 2 and limit.is_integer()) if kind == "every" else 0 <= limit < 10
        if cache and (kind is None or not threshold or not fits):
            raise UsageError(f"There is no cache {cache!r}; give first-block:0.1, accumulated:0.2, or every:5.")
        if not 0 <= between[0] < between[1] <= 1:
            raise UsageError(f"Guidance must act between two times of 0 to 1, as 0.2,0.9, not {guided}.")
        return cls(kind, limit, between)

    def check(self, devices: Sequence[object]) -> None:
        """Raise a UsageError if this does not go with so many devices that share the DiT's work."""
        if self.kind not in (None, "every") and len(devices) > 1:
            raise UsageError("A cache that looks at the first block needs all tokens on one device; use every:N, or one device.")

    def write(self) -> dict[str, str]:
        """The options that `read` makes this of; empty where nothing is left out."""
        cache = "" if self.kind is None else f"{self.kind}:{write_number(self.limit)}"
        return {"cache": cache, "guided": "" if self.guided == (0.0, 1.0) else ",".join(map(write_number, self.guided))}

    def new_caches(self, steps: int, edits: int) -> Sequence[StepCache | None]:
        """Empty caches for edits of so many steps that are made at once: one for each, where what is left out depends on it, or one."""
        if self.kind is None:
            return [None]
        return [StepCache(self.kind, self.limit, steps) for _ in range(1 if self.kind == "every" else edits)]


def write_number(number: float) -> str:
    """The shortest text that is read as this very number."""
    return repr(float(number)).removesuffix(".0")


class StepCache:
    """What an edit's steps hand on to the next ones.

    Choice: of "every", every so many steps are run, and between them the model is taken to predict what it did last: nothing at all is
    computed. Otherwise the first block is run at every step, and where it does nearly what it did when all blocks were last run, the others
    are taken to do what they did then. The change is the mean absolute difference of what the first block adds, over its mean absolute
    size: since the last full run ("first-block"), or, as TeaCache has it, summed over the steps since then ("accumulated"), which notices a
    slow drift earlier.
    """

    def __init__(self, kind: Kind, limit: float, steps: int) -> None:
        self.kind = kind
        self.limit = limit
        self.left_out = 0
        self._ahead = steps
        self._change = 0.0
        self._first: Tensor | None = None
        self._kept: Tensor | None = None

    def begin(self, rows: int) -> Tensor | None:
        """A step begins: what the model predicted last, if that is to do; None where it is to be run."""
        self._ahead -= 1
        kept = self._kept
        if self.kind != "every" or kept is None or len(kept) != rows or self._settles() or (self._ahead - SETTLING + 1) % self.limit == 0:
            return None
        self.left_out += 1
        return kept

    def end(self, output_BNC: Tensor) -> None:
        """Remember what the model predicted."""
        if self.kind == "every":
            self._kept = output_BNC

    def recall(self, first_BND: Tensor) -> Tensor | None:
        """What the blocks after the first added last, if that is near enough; None where they are to be run."""
        if self._first is not None and self._first.shape == first_BND.shape and not self._settles():
            change = float((first_BND - self._first).abs().mean() / self._first.abs().mean())
            self._change = self._change + change if self.kind == "accumulated" else change
            if self._change < self.limit:
                self.left_out += 1
                if self.kind == "accumulated":
                    self._first = first_BND
                return self._kept
        self._first, self._change = first_BND, 0.0
        return None

    def keep(self, rest_BND: Tensor) -> None:
        """Remember what the blocks after the first added."""
        self._kept = rest_BND

    def _settles(self) -> bool:
        return self._ahead < SETTLING
