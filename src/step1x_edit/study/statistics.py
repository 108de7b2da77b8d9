"""Means of ratings as published, and how certain they are.

Source: reference facts, "User study": the mean over people per task, then over tasks. UP-Full takes all cases, UP-IS (intersection
subset) those that every system answered.

Choice: a person counts once in a task, with the mean of what they said there, however many cases of it they saw. Intervals come from
drawing the same number of people again, with replacement: they say how much another group of people would differ, on these cases.

Choice: plain percentiles of such samples are too narrow for few people (95 % intervals of eight hold the truth in 89 % of studies), since a
sample scatters less than what it came from, and how much is known from few. Farther percentiles make up for it, as Student's t does for a
normal mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from step1x_edit.study.ballots import Ballot
from step1x_edit.study.store import Scale

Array = NDArray[Any]

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST = 6
"""Below it there is no interval: not even the range from the lowest to the highest of five holds the middle of what they were drawn from
with `CONFIDENCE`; it does in 15 of 16 cases."""


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that holds the true one with `CONFIDENCE`; NaN where there is too little to tell it from: of the
    votes of fewer than `FEWEST` people nobody knows how much those of others would differ."""

    value: float
    low: float
    high: float


def tabulate_ratings(ballots: Sequence[Ballot], scale: Scale, people: Sequence[int], tasks: Sequence[str], systems: Sequence[int]) -> Array:
    """Each person's mean rating of each system in each task.

    Returns:
        [people, tasks, systems], 2..10; NaN where a person said nothing.
    """
    person_at = {person: index for index, person in enumerate(people)}
    task_at = {task: index for index, task in enumerate(tasks)}
    system_at = {system: index for index, system in enumerate(systems)}
    total = np.zeros((len(people), len(tasks), len(systems)))
    count = np.zeros_like(total)
    for ballot in ballots:
        for system, rating in zip(ballot.systems, getattr(ballot, scale), strict=True):
            where = person_at[ballot.person], task_at[ballot.task], system_at[system]
            total[where] += rating
            count[where] += 1
    return divide(total, count)


def average_as_published(ratings: Array, weights: Array | None = None) -> Array:
    """The mean over people per task, then over tasks.

    Args:
        ratings: [people, tasks, systems], NaN where missing.
        weights: [resamples, people], how often each person counts; None counts everybody once.

    Returns:
        [systems], or [resamples, systems]; tasks in which nobody rated a system are left out of its mean, NaN where there is none.
    """
    by_task = average_by_task(ratings, weights)
    known = ~np.isnan(by_task)
    return divide(np.where(known, by_task, 0.0).sum(axis=-2), known.sum(axis=-2))


def average_by_task(ratings: Array, weights: Array | None = None) -> Array:
    """The mean over people: [tasks, systems], or [resamples, tasks, systems] with weights. See `average_as_published`."""
    known = ~np.isnan(ratings)
    filled = np.where(known, ratings, 0.0)
    if weights is None:
        return divide(filled.sum(axis=0), known.sum(axis=0))
    return divide(np.tensordot(weights, filled, axes=(1, 0)), np.tensordot(weights, known.astype(float), axes=(1, 0)))


def draw_weights(units: int, resamples: int, seed: int) -> Array:
    """How often each unit, of at least one, counts in each bootstrap sample: [resamples, units], rows sum to `units`."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples).astype(float)


def count_raters(ratings: Array) -> Array:
    """How many people rated each system: [systems]. See `tabulate_ratings`."""
    return (~np.isnan(ratings)).any(axis=1).sum(axis=0)


def estimate(value: float, resampled: Array, units: int) -> Estimate:
    """A figure that rests on so many units, with its percentile interval over bootstrap samples of them; NaN ones are left out."""
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not known.size or units < FEWEST:
        return Estimate(float(value), float("nan"), float("nan"))
    outside = tail_share(units)
    low, high = np.quantile(known, [outside, 1 - outside])
    return Estimate(float(value), float(low), float(high))


def tail_share(units: int) -> float:
    """The share of bootstrap samples to leave out at each end: less than (1 - `CONFIDENCE`) / 2, and near it with many units.

    Source: Hesterberg, "What Teachers Should Know About the Bootstrap" (2014), the expanded percentile interval.
    """
    return NormalDist().cdf(-math.sqrt(units / (units - 1)) * student_quantile((1 + CONFIDENCE) / 2, units - 1))


def student_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t, by the Cornish-Fisher expansion: within 0.5 % from 4 degrees of freedom on."""
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**order for order, term in enumerate(terms, 1))


def estimate_all(values: Array, resampled: Array, units: Array | int) -> list[Estimate]:
    """`estimate` for [n] values and [resamples, n] samples of them; units for each, or for all."""
    counts = np.broadcast_to(units, len(values))
    return [estimate(value, resampled[:, index], int(counts[index])) for index, value in enumerate(values)]


def divide(total: Array, count: Array) -> Array:
    """Elementwise, NaN where there is nothing."""
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
