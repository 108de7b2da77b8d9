"""Means as published, against values worked out by hand, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_votes import ballot, expected_rating, simulate

from step1x_edit.study.statistics import (
    FEWEST,
    average_as_published,
    average_by_task,
    divide,
    draw_weights,
    estimate,
    estimate_all,
    tabulate_ratings,
)

VOTES = [
    ballot(1, 1, {1: 10, 2: 4}, task="add"),
    ballot(1, 2, {1: 6, 2: 4}, task="add"),  # the same person, the same task
    ballot(2, 1, {1: 2, 2: 8}, task="add"),
    ballot(2, 3, {1: 6, 2: 2}, task="remove", common=False),
]


def test_the_mean_over_people_per_task_then_over_tasks() -> None:
    """Of system 1, task add: person 1 says (10 + 6) / 2 = 8, person 2 says 2: 5. Task remove: 6. Together 5.5; plainly it would be 6."""
    table = tabulate_ratings(VOTES, "overall", [1, 2], ["add", "remove"], [1, 2])
    np.testing.assert_array_equal(table[:, 0], [[8, 4], [2, 8]])
    assert np.isnan(table[0, 1]).all()
    np.testing.assert_allclose(average_by_task(table), [[5, 6], [6, 2]])
    np.testing.assert_allclose(average_as_published(table), [5.5, 4.0])


def test_the_intersection_subset_leaves_tasks_out() -> None:
    table = tabulate_ratings([v for v in VOTES if v.common], "overall", [1, 2], ["add", "remove"], [1, 2])
    np.testing.assert_allclose(average_as_published(table), [5, 6])


def test_a_system_that_nobody_rated_has_no_mean() -> None:
    table = tabulate_ratings(VOTES, "overall", [1, 2], ["add", "remove"], [1, 2, 3])
    np.testing.assert_allclose(average_as_published(table), [5.5, 4.0, np.nan])


def test_the_two_scales_are_kept_apart() -> None:
    table = tabulate_ratings([ballot(1, 1, {1: 10, 2: 4}, identity=[2, 8])], "identity", [1], ["task"], [1, 2])
    np.testing.assert_array_equal(average_as_published(table), [2, 8])


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**16))
@settings(max_examples=30)
def test_weights_count_people_as_copies_would(people: int, tasks: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.choice([2.0, 4.0, 6.0, np.nan], (people, tasks, 3))
    weights = rng.integers(0, 4, (6, people)).astype(float)
    for row, means in zip(weights, average_as_published(table, weights), strict=True):
        np.testing.assert_allclose(means, average_as_published(np.repeat(table, row.astype(int), axis=0)))


def test_weights_draw_as_many_people_as_there_are() -> None:
    weights = draw_weights(7, 300, seed=1)
    assert weights.shape == (300, 7) and (weights.sum(axis=1) == 7).all()
    assert abs(weights.mean() - 1) < 1e-9 and 0.7 < weights.var() < 1.0  # binomial: 6/7
    np.testing.assert_array_equal(weights, draw_weights(7, 300, seed=1))


def test_an_interval_holds_the_middle_of_the_samples() -> None:
    found = estimate(5.0, np.arange(101.0), 100_000)
    assert (found.value, found.low, found.high) == (5.0, pytest.approx(2.5, abs=1e-3), pytest.approx(97.5, abs=1e-3))
    alone = estimate(5.0, np.array([np.nan, 3.0]), 6)
    assert (alone.low, alone.high) == (3.0, 3.0)
    assert np.isnan(estimate(float("nan"), np.arange(5.0), 9).low)
    assert np.isnan([estimate(5.0, np.array([3.0, 3.0]), few).low for few in range(FEWEST)]).all()
    assert [e.value for e in estimate_all(np.array([1.0, 2.0]), np.ones((4, 2)), 9)] == [1.0, 2.0]
    np.testing.assert_array_equal(divide(np.array([1.0, 1.0]), np.array([2.0, 0.0])), [0.5, np.nan])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 200 studies of 40 people, 95 % of the intervals should hold the true mean; between 91 % and 98 % is chance."""
    rng = np.random.default_rng(7)
    means, held, studies = np.array([4.0, 6.5]), 0, 200
    truth = [expected_rating(mean, np.hypot(0.6, 1.2)) for mean in means]
    for seed in range(studies):
        own = means + rng.normal(0, 0.6, (40, 1, 2))
        ratings = np.clip(2 * np.round((own[:, None] + rng.normal(0, 1.2, (40, 3, 4, 2))) / 2), 2, 10)
        table = ratings.mean(axis=2)  # people, tasks, systems
        found = estimate_all(average_as_published(table), average_as_published(table, draw_weights(40, 400, seed)), 40)
        held += sum(e.low <= true <= e.high for e, true in zip(found, truth, strict=True))
    assert 0.91 <= held / (2 * studies) <= 0.98


@pytest.mark.parametrize("people", [FEWEST, 8, 12])
def test_intervals_of_few_people_hold_the_truth_as_often(people: int) -> None:
    """Plain percentiles would in 86, 89 and 90 % of studies."""
    rng = np.random.default_rng(people)
    held, studies = 0, 1000
    for seed in range(studies):
        table = rng.normal(6, 1, (people, 1, 1))
        found = estimate_all(average_as_published(table), average_as_published(table, draw_weights(people, 1000, seed)), people)[0]
        held += found.low <= 6 <= found.high
    assert 0.915 <= held / studies <= 0.975


def test_intervals_shrink_with_the_root_of_the_people() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for people in (30, 120):
        votes = simulate(rng, [5.0, 7.0], people, 4)
        table = tabulate_ratings(votes, "overall", range(1, people + 1), ["task0", "task1"], [1, 2])
        found = estimate_all(average_as_published(table), average_as_published(table, draw_weights(people, 1000, 0)), people)
        widths.append(np.mean([e.high - e.low for e in found]))
    assert 1.6 < widths[0] / widths[1] < 2.5
