"""How far people agree: Krippendorff's alpha for ordered levels, and how far they agree with themselves.

Alpha is 1 where all who judged a result said the same, 0 where they agree no more than chance would, less where they contradict each
other. It allows that not everybody judged everything. The distance of two levels is Krippendorff's for ordinal data: the square of how
many of all judgements lie between them, each end counted half.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from step1x_edit.study.assignment import Kind
from step1x_edit.study.ballots import Ballot
from step1x_edit.study.statistics import Array, Estimate, draw_weights, estimate
from step1x_edit.study.store import Scale


@dataclass(frozen=True)
class Retest:
    """How people judged what they saw twice. `pairs` ratings; share within 0..1; `distance` in points of the scale; NaN without pairs."""

    pairs: int
    same: float
    distance: float


def alpha_ordinal(units: Iterable[Sequence[float]]) -> float:
    """Krippendorff's alpha of judgements on an ordered scale.

    Args:
        units: for everything that was judged, what the people who judged it said; those judged once are left out.

    Returns:
        At most 1; NaN where nothing was judged twice, or everybody said the same of everything.
    """
    return float(_alpha(_coincidences(list(units)).sum(axis=0)))


def estimate_alpha(units: Sequence[Sequence[float]], resamples: int, seed: int) -> Estimate:
    """Alpha with an interval from drawing the judged things again: people drawn twice would agree with themselves."""
    tables = _coincidences(units)
    if not len(tables):
        return Estimate(float("nan"), float("nan"), float("nan"))
    weights = draw_weights(len(tables), resamples, seed)
    resampled = np.tensordot(weights, tables, axes=(1, 0))
    return estimate(float(_alpha(tables.sum(axis=0))), np.array([_alpha(table) for table in resampled]), len(tables))


def gather_units(ballots: Sequence[Ballot], scale: Scale) -> list[list[float]]:
    """What was said of each result of each case."""
    units: dict[Hashable, list[float]] = defaultdict(list)
    for ballot in ballots:
        for system, rating in zip(ballot.systems, getattr(ballot, scale), strict=True):
            units[ballot.case, system].append(rating)
    return list(units.values())


def gather_preferences(ballots: Sequence[Ballot]) -> list[list[float]]:
    """Of each two results of each case, who preferred the first (-1), called them equal (0), or preferred the second (1).

    Which of the two counts as the first alternates from case to case: alpha must not depend on how systems are numbered.
    """
    units: dict[Hashable, list[float]] = defaultdict(list)
    for ballot in ballots:
        for (first, one), (second, other) in combinations(sorted(zip(ballot.systems, ballot.places, strict=True)), 2):
            turned = -1 if (ballot.case + first + second) % 2 else 1
            units[ballot.case, first, second].append(turned * float(np.sign(one - other)))
    return list(units.values())


def compare_repeats(ballots: Sequence[Ballot], scale: Scale) -> Retest:
    """How people rated the cases that they saw twice."""
    first = {(ballot.person, ballot.case): ballot for ballot in ballots if ballot.kind is Kind.CASE and ballot.skipped is None}
    distances = []
    for again in ballots:
        before = first.get((again.person, again.case))
        if again.kind is not Kind.REPEAT or again.skipped is not None or before is None:
            continue
        was = dict(zip(before.systems, getattr(before, scale), strict=True))
        distances += [abs(rating - was[system]) for system, rating in zip(again.systems, getattr(again, scale), strict=True)]
    if not distances:
        return Retest(0, float("nan"), float("nan"))
    return Retest(len(distances), float(np.mean([distance == 0 for distance in distances])), float(np.mean(distances)))


def _coincidences(units: Sequence[Sequence[float]]) -> Array:
    """For each unit judged at least twice, how often each pair of levels meets in it: [units, levels, levels]."""
    judged = [unit for unit in units if len(unit) > 1]
    levels = sorted({value for unit in judged for value in unit})
    counts = np.array([[list(unit).count(level) for level in levels] for unit in judged], dtype=float).reshape(len(judged), len(levels))
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(len(levels))
    return pairs / np.maximum(counts.sum(axis=1) - 1, 1)[:, None, None]


def _alpha(table: Array) -> float:
    shown = table.sum(axis=1)
    total = shown.sum()
    upto = np.cumsum(shown) - shown / 2
    distance = (upto[:, None] - upto[None, :]) ** 2
    expected = float((np.outer(shown, shown) * distance).sum())
    return float("nan") if expected == 0 else 1 - (total - 1) * float((table * distance).sum()) / expected
