"""All figures of a study, put together: means, strengths, agreement, and what leaving out the inattentive changes.

Every figure of one `Analysis` comes from the same bootstrap samples of people, so that differences between systems keep what a person's
severity does to both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from step1x_edit.errors import UsageError
from step1x_edit.study.agreement import Retest, compare_repeats, estimate_alpha, gather_preferences, gather_units
from step1x_edit.study.assignment import Kind
from step1x_edit.study.ballots import Ballot, Record, find_inattentive, passes
from step1x_edit.study.preference import count_pairs, fit_strengths, predict_wins
from step1x_edit.study.statistics import (
    FEWEST,
    RESAMPLES,
    Array,
    Estimate,
    average_as_published,
    average_by_task,
    count_raters,
    draw_weights,
    estimate,
    estimate_all,
    tabulate_ratings,
)
from step1x_edit.study.store import SCALES, Scale

MOST_RESAMPLES = 20_000
"""More would tell nothing new, and take gigabytes."""


@dataclass(frozen=True)
class Means:
    """One scale. Lists follow the order of the analysis' systems.

    Attributes:
        full: over all cases (UP-Full).
        common: over the cases that every system answered (UP-IS).
        by_task: task -> over its cases.
    """

    full: Sequence[Estimate]
    common: Sequence[Estimate]
    by_task: Mapping[str, Sequence[Estimate]]


@dataclass(frozen=True)
class Analysis:
    """What a group of people said. Lists follow `systems`, which are sorted by UP-Full of the overall rating, the best first.

    Attributes:
        people: how many voted.
        votes: comparisons that count.
        systems: their numbers.
        means: scale -> means.
        leads: difference of UP-Full between each system and the next; one fewer than systems.
        strengths: Bradley-Terry with ties; natural logarithms, mean 0.
        wins: [row][column], chance that the row's system beats the column's, ties counting half; None on the diagonal.
        ties: share of ties among all pairs of results.
        meetings: pairs of results that were ranked.
        first: share of bootstrap samples in which each system has the highest UP-Full, shared where several have it; NaN where people
            are fewer than `FEWEST`.
        alpha: "overall", "identity" and "order" -> Krippendorff's alpha.
    """

    people: int
    votes: int
    systems: tuple[int, ...]
    means: Mapping[str, Means]
    leads: Sequence[Estimate]
    strengths: Sequence[Estimate]
    wins: Sequence[Sequence[Estimate | None]]
    ties: float
    meetings: int
    first: Sequence[float]
    alpha: Mapping[str, Estimate]


@dataclass(frozen=True)
class Conduct:
    """How the study went, whatever people said.

    Attributes:
        checks: attention checks that were answered.
        failed: those of them that were failed.
        inattentive: people who voted, and failed more checks than allowed.
        repeats: scale -> how people judged what they saw twice.
        skipped: reason -> comparisons.
        views: votes per case -> number of cases.
        seconds: quartiles of the time for a comparison.
        slots: mean overall rating in each place on the page, over all systems: alike if places are.
    """

    checks: int
    failed: int
    inattentive: int
    repeats: Mapping[str, Retest]
    skipped: Mapping[str, int]
    views: Mapping[int, int]
    seconds: tuple[float, float, float]
    slots: Sequence[float]


@dataclass(frozen=True)
class Findings:
    """A whole study.

    Attributes:
        everyone: what all people said.
        attentive: what is left without those who failed more checks than allowed; the study's result.
        conduct: how it went.
    """

    everyone: Analysis
    attentive: Analysis
    conduct: Conduct


def find_all(record: Record, allowed_failures: int = 0, resamples: int = RESAMPLES, seed: int = 0) -> Findings:
    """All figures of a study.

    Args:
        record: the study.
        allowed_failures: whoever failed more attention checks than this is left out.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Raises:
        UsageError: a number is out of its range, nobody has voted yet, or nobody is left.
    """
    if allowed_failures < 0 or seed < 0 or not 100 <= resamples <= MOST_RESAMPLES:
        raise UsageError(f"Allowed failures and the seed must be at least 0, and resamples between 100 and {MOST_RESAMPLES}.")
    votes = record.votes()
    if not votes:
        raise UsageError("There are no votes yet, so there is nothing to report.")
    inattentive = find_inattentive(record.ballots, allowed_failures) & {ballot.person for ballot in votes}
    kept = [ballot for ballot in votes if ballot.person not in inattentive]
    if not kept:
        raise UsageError("Everybody failed an attention check, so nobody is left to report on; allow some with --allowed-failures.")
    everyone = analyse(votes, record, resamples, seed)
    attentive = everyone if len(kept) == len(votes) else analyse(kept, record, resamples, seed)
    return Findings(everyone, attentive, _describe(record, inattentive))


def analyse(votes: Sequence[Ballot], record: Record, resamples: int = RESAMPLES, seed: int = 0) -> Analysis:
    """What the people behind these votes said of the record's systems: the same of the same votes, however people are numbered."""
    people = _order_people(votes)
    rank = {person: index for index, person in enumerate(people)}
    votes = sorted(votes, key=lambda ballot: (rank[ballot.person], ballot.position))
    weights = draw_weights(len(people), resamples, seed)
    numbers = list(record.systems)
    full = tabulate_ratings(votes, "overall", people, record.tasks, numbers)
    means = average_as_published(full)
    systems = tuple(number for _, number in sorted(zip(np.nan_to_num(-means, nan=np.inf), numbers, strict=True)))
    ratings = tabulate_ratings(votes, "overall", people, record.tasks, systems)
    upto, ranked, heads = average_as_published(ratings, weights), average_as_published(ratings), count_raters(ratings)
    counts = count_pairs(votes, people, systems)
    strengths, wins = _compare(counts, weights, len(systems))
    return Analysis(
        people=len(people),
        votes=len(votes),
        systems=systems,
        means={scale: _average(votes, scale, people, record.tasks, systems, weights) for scale in SCALES},
        leads=estimate_all(ranked[:-1] - ranked[1:], upto[:, :-1] - upto[:, 1:], np.minimum(heads[:-1], heads[1:])),
        strengths=strengths,
        wins=wins,
        ties=float(counts[..., 1].sum() / counts.sum()),
        meetings=int(counts.sum()),
        first=_count_first(upto, len(people)),
        alpha={
            **{scale: estimate_alpha(gather_units(votes, scale), resamples, seed) for scale in SCALES},
            "order": estimate_alpha(gather_preferences(votes), resamples, seed),
        },
    )


def _order_people(votes: Sequence[Ballot]) -> list[int]:
    """People by what they said, since every reading numbers them anew; bootstrap samples are of the first, the second, and so on."""
    said: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for ballot in sorted(votes, key=lambda ballot: ballot.position):
        said[ballot.person].append((ballot.position, ballot.case, ballot.systems, ballot.places, ballot.overall, ballot.identity))
    return sorted(said, key=said.__getitem__)


def _average(
    votes: Sequence[Ballot], scale: Scale, people: Sequence[int], tasks: Sequence[str], systems: Sequence[int], weights: Array
) -> Means:
    full = tabulate_ratings(votes, scale, people, tasks, systems)
    common = tabulate_ratings([ballot for ballot in votes if ballot.common], scale, people, tasks, systems)
    heads = (~np.isnan(full)).sum(axis=0)
    by_task, resampled = average_by_task(full), average_by_task(full, weights)
    return Means(
        full=estimate_all(average_as_published(full), average_as_published(full, weights), count_raters(full)),
        common=estimate_all(average_as_published(common), average_as_published(common, weights), count_raters(common)),
        by_task={task: estimate_all(by_task[index], resampled[:, index], heads[index]) for index, task in enumerate(tasks)},
    )


def _count_first(upto: Array, people: int) -> list[float]:
    means = np.nan_to_num(upto, nan=-np.inf)
    leads = np.isclose(means, means.max(axis=1, keepdims=True), rtol=0, atol=1e-9)
    shares = (leads / leads.sum(axis=1, keepdims=True)).mean(axis=0)
    return [float(share) if people >= FEWEST else float("nan") for share in shares]


def _compare(counts: Array, weights: Array, systems: int) -> tuple[list[Estimate], list[list[Estimate | None]]]:
    """Strengths, and the chances that follow from them."""
    strengths, delta = fit_strengths(counts.sum(axis=0), systems)
    samples, deltas = fit_strengths(np.tensordot(weights, counts, axes=(1, 0)), systems)
    wins, sampled = predict_wins(strengths, delta), predict_wins(samples, deltas)
    chances: list[list[Estimate | None]] = [[None] * systems for _ in range(systems)]
    for row, column in combinations(range(systems), 2):
        for one, other in ((row, column), (column, row)):
            chances[one][other] = estimate(float(wins[one, other]), sampled[:, one, other], len(weights[0]))
    return estimate_all(strengths, samples, len(weights[0])), chances


def _describe(record: Record, inattentive: set[int]) -> Conduct:
    checks = record.votes(Kind.CHECK)
    everything = [ballot for ballot in record.ballots if ballot.kind is not Kind.CHECK]
    votes = record.votes()
    per_case = Counter(ballot.case for ballot in votes)
    slots: dict[int, list[int]] = defaultdict(list)
    for ballot in votes:
        for slot, rating in enumerate(ballot.overall):
            slots[slot].append(rating)
    low, middle, high = np.quantile([ballot.seconds for ballot in votes], [0.25, 0.5, 0.75])
    return Conduct(
        checks=len(checks),
        failed=sum(not passes(ballot) for ballot in checks),
        inattentive=len(inattentive),
        repeats={scale: compare_repeats(everything, scale) for scale in SCALES},
        skipped=dict(Counter(ballot.skipped for ballot in record.ballots if ballot.skipped is not None).most_common()),
        views=dict(sorted(Counter([*per_case.values(), *[0] * (record.cases - len(per_case))]).items())),
        seconds=(float(low), float(middle), float(high)),
        slots=[float(np.mean(slots[slot])) for slot in sorted(slots)],
    )
