"""Means of ratings as published, and how certain they are.

Source: reference facts, "User study": the mean over people per task, then over tasks. UP-Full takes all cases, UP-IS (intersection
subset) those that every system answered.

Choice: a person counts once in a task, with the mean of what they said there, however many cases of it they saw. Intervals come from
drawing the same number of people again, with replacement: they say how much another group of people would differ, on these cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from step1x_edit.study.ballots import Ballot

Scale = Literal["overall", "identity"]
Array = NDArray[Any]

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure and the interval that holds the true one with `CONFIDENCE`; NaN where there is nothing to tell it from: of one person's
    votes nobody knows how much another's would differ."""

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


def count_people(ratings: Array) -> Array:
    """How many people rated each system: [systems]. See `tabulate_ratings`."""
    return (~np.isnan(ratings)).any(axis=1).sum(axis=0)


def estimate(value: float, resampled: Array, units: int) -> Estimate:
    """A figure that rests on so many units, with its percentile interval over bootstrap samples of them; NaN ones are left out."""
    known = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not known.size or units < 2:
        return Estimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(value), float(low), float(high))


def estimate_all(values: Array, resampled: Array, units: Array | int) -> list[Estimate]:
    """`estimate` for [n] values and [resamples, n] samples of them; units for each, or for all."""
    counts = np.broadcast_to(units, len(values))
    return [estimate(value, resampled[:, index], int(counts[index])) for index, value in enumerate(values)]


def divide(total: Array, count: Array) -> Array:
    """Elementwise, NaN where there is nothing."""
    return np.where(count > 0, total / np.where(count > 0, count, 1), np.nan)
