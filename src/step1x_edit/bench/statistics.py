"""How certain a figure is, and whether two systems differ.

What is drawn again is the question: a key of a task, with both of its languages, since these share a picture. Tasks keep their number of
questions, as the published figure gives every task the same weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from step1x_edit.bench.gedit import CaseName

Array = NDArray[Any]

Values = Mapping[CaseName, float]
"""A figure of every case that has one; missing cases are not in it."""

CONFIDENCE = 0.95
RESAMPLES = 5000
PERMUTATIONS = 10_000
SEED = 0
"""What is drawn again is drawn the same each time."""

ROUNDING = 1e-9
"""Figures no further apart are equal: 1.4 * 6 and 1.2 * 7 are not the same float."""


@dataclass(frozen=True)
class Interval:
    """A figure, and where it would lie with other questions, with `CONFIDENCE`; NaN where any task has one question alone."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """One system against another, on the cases that both have a judgement of.

    Attributes:
        interval: mean over tasks of the first's figure less the second's.
        p: how often chance alone, which swaps the two systems question by question, gives a difference as large; corrected where
            several pairs are tested.
        wins: cases in which the first is better.
        ties: cases in which both are equal.
        losses: cases in which the second is better.
    """

    interval: Interval
    p: float
    wins: int
    ties: int
    losses: int


def interval_of(values: Values) -> Interval:
    """The mean over tasks, with its bootstrap percentile interval."""
    return _interval(_group(values), RESAMPLES)


def compare(first: Values, second: Values, resamples: int = RESAMPLES, permutations: int = PERMUTATIONS) -> Difference:
    """Paired: the same questions for both. See `Difference`."""
    differences = {name: first[name] - second[name] for name in first if name in second}
    groups = _group(differences)
    found = _interval(groups, resamples)
    changes = list(differences.values())
    return Difference(
        interval=found,
        p=_permute(groups, found.value, permutations),
        wins=sum(change > ROUNDING for change in changes),
        ties=sum(abs(change) <= ROUNDING for change in changes),
        losses=sum(change < -ROUNDING for change in changes),
    )


def correct(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for several tests at once; NaN ones are left as they are."""
    known = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    corrected = list(p_values)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[i] = largest
    return corrected


_Groups = list[tuple[Array, Array]]
"""By task: sums [questions] and counts [questions]."""


def _group(values: Values) -> _Groups:
    tasks: dict[str, dict[str, list[float]]] = {}
    for (task, _language, key), value in values.items():
        tasks.setdefault(task, {}).setdefault(key, []).append(value)
    return [
        (np.array([sum(group) for group in keys.values()]), np.array([float(len(group)) for group in keys.values()]))
        for _task, keys in sorted(tasks.items())
    ]


def _interval(groups: _Groups, resamples: int) -> Interval:
    if not groups:
        return Interval(math.nan, math.nan, math.nan)
    value = float(np.mean([sums.sum() / counts.sum() for sums, counts in groups]))
    if any(len(sums) < 2 for sums, _ in groups):  # of one question nobody knows how much another of its task would differ
        return Interval(value, math.nan, math.nan)
    rng = np.random.default_rng(SEED)
    total = np.zeros(resamples)
    for sums, counts in groups:
        weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=resamples).astype(float)
        total += (weights @ sums) / (weights @ counts)
    low, high = np.quantile(total / len(groups), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def _permute(groups: _Groups, value: float, permutations: int) -> float:
    if not groups:
        return math.nan
    rng = np.random.default_rng(SEED)
    total = np.zeros(permutations)
    for sums, counts in groups:
        signs = rng.integers(0, 2, size=(permutations, len(sums))) * 2.0 - 1.0
        total += (signs @ sums) / counts.sum()
    as_large = np.abs(total / len(groups)) >= abs(value) - ROUNDING
    return float((1 + as_large.sum()) / (1 + permutations))
