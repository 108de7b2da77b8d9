"""How many people a study needs to see a difference, before it begins.

Each person gives, for two systems, the mean of n differences of ratings. Those means scatter between people with the variance

    person_spread^2 + case_spread^2 / n

so the number of people follows from the size of the difference as for a paired comparison; a simulation with the five levels and the
same test tells with what chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from step1x_edit.errors import UsageError
from step1x_edit.study.assignment import MOST_SYSTEMS
from step1x_edit.study.ballots import Ballot
from step1x_edit.study.statistics import student_quantile

PERSON_SPREAD = 0.6
CASE_SPREAD = 2.6
"""Assumed without a pilot: on 2..10, two systems' ratings by one person differ by 2.6 from case to case, and people by 0.6 in the mean."""

LEVELS = (2, 10)
SIMULATIONS = 2000
MOST_DRAWN = 100_000_000
"""Ratings that the simulation may draw; above, it makes do with fewer simulated studies."""

MOST_PEOPLE = 20_000


@dataclass(frozen=True)
class Spread:
    """Standard deviations of the difference of two systems' ratings: between people, and from case to case within one."""

    person: float = PERSON_SPREAD
    case: float = CASE_SPREAD


@dataclass(frozen=True)
class Plan:
    """What a study needs. `power` is simulated with `people`, each of whom sees the two systems together on `meetings` cases."""

    people: int
    meetings: float
    power: float


def count_meetings(cases: int, together: int, candidates: int) -> float:
    """On how many of their cases a person sees two given systems together, on average, where blocks are balanced.

    Args:
        cases: comparisons of one person.
        together: results compared at once.
        candidates: systems in the study.

    Raises:
        UsageError: a number is out of its range.
    """
    if not 2 <= together <= min(MOST_SYSTEMS, candidates):
        raise UsageError(
            f"People compare 2 to {MOST_SYSTEMS} systems at once, not more than there are; {together} of {candidates} cannot be."
        )
    if cases < 1:
        raise UsageError("Cases per person must be at least 1.")
    return cases * together * (together - 1) / (candidates * (candidates - 1))


def plan_people(difference: float, meetings: float, spread: Spread, power: float = 0.8, error: float = 0.05, seed: int = 0) -> Plan:
    """The number of people with which a true difference is seen, and a simulation of that study. See `count_people`."""
    people = count_people(difference, meetings, spread, power, error)
    useful = max(2, round(people * min(1.0, meetings)))
    return Plan(people, meetings, simulate_power(difference, useful, max(1, math.floor(meetings)), spread, error, seed))


def count_people(difference: float, meetings: float, spread: Spread, power: float = 0.8, error: float = 0.05) -> int:
    """The number of people with which a true difference is seen.

    Args:
        difference: of two systems' means, in points of the scale 2..10; more than 0.
        meetings: on how many cases each person sees both systems; below 1, not everybody does.
        spread: how ratings scatter.
        power: chance of seeing the difference.
        error: chance of seeing one where there is none (two-sided).

    Raises:
        UsageError: a number is out of its range, or it would take more than `MOST_PEOPLE`.
    """
    if not 0 < difference <= 8:
        raise UsageError(f"A difference of {difference:g} cannot be planned for: it lies between 0 and 8 points of the scale 2 to 10.")
    if not 0 < error < power < 1:
        raise UsageError(f"Power {power:g} and error {error:g} are no pair of chances: 0 < error < power < 1.")
    if meetings <= 0 or spread.person < 0 or spread.case < 0:
        raise UsageError("People must see the two systems together now and then, and the spreads must be at least 0.")
    deviation = math.sqrt(spread.person**2 + spread.case**2 / max(1, math.floor(meetings)))
    useful = next((n for n in _candidates(difference, deviation, power, error) if _power(difference, deviation, n, error) >= power), None)
    if useful is None or useful / min(1.0, meetings) > MOST_PEOPLE:
        raise UsageError(f"It would take more than {MOST_PEOPLE} people to see a difference of {difference:g}; ask for a larger one.")
    return math.ceil(useful / min(1.0, meetings))


def simulate_power(difference: float, people: int, cases: int, spread: Spread, error: float = 0.05, seed: int = 0) -> float:
    """The share of simulated studies that see the difference, with ratings on the five levels and a paired test.

    Two systems lie on both sides of the middle of the scale; half of the variance from case to case is each one's, and rounding to the
    levels is a part of it.
    """
    width = LEVELS[1] / 5
    own_spread = math.sqrt(max(0.0, spread.case**2 / 2 - width**2 / 12))
    rng = np.random.default_rng(seed)
    critical = student_quantile(1 - error / 2, people - 1)
    studies = min(SIMULATIONS, max(100, MOST_DRAWN // (2 * people * cases)))
    seen = 0
    for _ in range(studies):
        own = rng.normal(difference, spread.person, (people, 1))
        noise = rng.normal(0, own_spread, (2, people, cases))
        ratings = 6 + np.stack([own / 2, -own / 2]) + noise
        levels = np.clip(width * np.round(ratings / width), *LEVELS)
        means = (levels[0] - levels[1]).mean(axis=1)
        error_of_mean = means.std(ddof=1) / math.sqrt(people)
        seen += bool(means.mean() > critical * error_of_mean)
    return seen / studies


def measure_spread(ballots: Sequence[Ballot]) -> Spread:
    """The spreads in a pilot study, from all pairs of systems that a person saw together more than once.

    Raises:
        UsageError: too few people saw two systems together more than once.
    """
    differences: dict[tuple[int, int, int], list[float]] = {}
    for ballot in ballots:
        rated = sorted(zip(ballot.systems, ballot.overall, strict=True))
        for (first, one), (second, other) in combinations(rated, 2):
            differences.setdefault((first, second, ballot.person), []).append(one - other)
    within, between = [], []
    for pair in {key[:2] for key in differences}:
        groups = [np.array(values) for key, values in differences.items() if key[:2] == pair and len(values) > 1]
        if len(groups) > 1:
            inner = float(np.mean([group.var(ddof=1) for group in groups]))
            outer = float(np.var([group.mean() for group in groups], ddof=1))
            within.append(inner)
            between.append(max(0.0, outer - inner * float(np.mean([1 / len(group) for group in groups]))))
    if not within:
        raise UsageError("The pilot is too small: at least two people must have seen the same two systems together more than once.")
    return Spread(math.sqrt(float(np.mean(between))), math.sqrt(float(np.mean(within))))


def _candidates(difference: float, deviation: float, power: float, error: float) -> range:
    quantile = NormalDist().inv_cdf
    without_t = ((quantile(1 - error / 2) + quantile(power)) * deviation / difference) ** 2
    fewest = max(5, math.floor(without_t))
    return range(fewest, fewest + 500)


def _power(difference: float, deviation: float, people: int, error: float) -> float:
    """Chance that a paired test sees the difference; the noncentral t taken as a shifted normal."""
    critical = student_quantile(1 - error / 2, people - 1)
    shift = difference * math.sqrt(people) / max(deviation, 1e-12)
    spread = math.sqrt(1 + critical**2 / (2 * (people - 1)))
    return NormalDist().cdf((shift - critical) / spread)
