"""Made-up votes, for tests of figures: ballots and records without a server or a database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from step1x_edit.study.answers import close_gaps
from step1x_edit.study.assignment import DECOY, Design, Kind
from step1x_edit.study.ballots import Ballot, Record


def ballot(
    person: int,
    case: int,
    ratings: Mapping[int, int],
    places: Sequence[int] | None = None,
    kind: Kind = Kind.CASE,
    task: str = "task",
    common: bool = True,
    identity: Sequence[int] | None = None,
    position: int = 1,
    skipped: str | None = None,
) -> Ballot:
    """What a person said; without places, better ratings come first."""
    overall = tuple(ratings.values())
    order = close_gaps(tuple(-rating for rating in overall)) if places is None else tuple(places)
    said = (order, overall, tuple(identity or overall)) if skipped is None else ((), (), ())
    return Ballot(person, position, kind, case, task, "en", f"key{case}", common, tuple(ratings), *said, 20.0 + person, skipped)


def check(person: int, passed: bool, position: int = 2) -> Ballot:
    """An attention check."""
    return ballot(person, 90 + position, {1: 8, DECOY: 2 if passed else 10, 2: 6}, kind=Kind.CHECK, position=position)


def record(ballots: Sequence[Ballot], systems: int = 2, design: Design | None = None) -> Record:
    """A study in which this was said."""
    names = {number: f"system {number}" for number in range(1, systems + 1)}
    tasks = tuple(sorted({b.task for b in ballots if b.kind is not Kind.CHECK}))
    people = len({b.person for b in ballots})
    cases = len({b.case for b in ballots if b.kind is not Kind.CHECK})
    return Record("A study", design or Design(systems, 3, 5, 1, 1), names, cases, tasks, people, people, tuple(ballots))


def simulate(
    rng: np.random.Generator,
    means: Sequence[float],
    people: int,
    cases: int,
    tasks: int = 2,
    together: int | None = None,
    person_spread: float = 0.6,
    noise: float = 1.2,
) -> list[Ballot]:
    """Votes of people with known preferences: everybody sees `cases` cases, each with `together` of the systems."""
    systems = len(means)
    ballots = []
    for person in range(1, people + 1):
        own = np.array(means) + rng.normal(0, person_spread, systems)
        for case in range(1, cases + 1):
            shown = rng.permutation(systems)[: together or systems]
            felt = own[shown] + rng.normal(0, noise, len(shown))
            levels = np.clip(2 * np.round(felt / 2), 2, 10).astype(int)
            places = close_gaps(tuple(int(x) for x in -np.round(felt / 0.7)))
            ratings = {int(system) + 1: int(level) for system, level in zip(shown, levels, strict=True)}
            ballots.append(ballot(person, case, ratings, places, task=f"task{case % tasks}", position=case))
    return ballots


def expected_rating(mean: float, spread: float) -> float:
    """The mean of a normal value after rounding to 2, 4, 6, 8, 10, from the normal distribution itself."""
    from math import erf, sqrt

    def below(x: float) -> float:
        return (1 + erf((x - mean) / spread / sqrt(2))) / 2

    return 2 + sum(2 * (1 - below(edge)) for edge in (3, 5, 7, 9))
