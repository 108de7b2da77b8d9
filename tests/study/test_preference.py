"""Bradley-Terry with ties: against choix, against a plain maximisation, and against what was put in."""

from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from study_votes import ballot

from step1x_edit.study.preference import PRIOR, count_pairs, fit_strengths, predict_wins

tables = st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, 30, (6, 3)).astype(float))
"""Outcomes of the six pairs of four systems."""


def test_pairs_are_counted_by_person_and_outcome() -> None:
    votes = [ballot(7, 1, {3: 8, 1: 4}, [1, 2]), ballot(7, 2, {1: 6, 2: 6, 3: 6}, [2, 2, 1]), ballot(9, 1, {2: 2, 3: 4}, [1, 1])]
    counts = count_pairs(votes, [7, 9], [1, 2, 3])  # pairs (1, 2), (1, 3), (2, 3); outcomes first, tie, second
    np.testing.assert_array_equal(counts[0], [[0, 1, 0], [0, 0, 2], [0, 0, 1]])
    np.testing.assert_array_equal(counts[1], [[0, 0, 0], [0, 0, 0], [0, 1, 0]])
    turned = count_pairs(votes, [7, 9], [3, 2, 1])
    np.testing.assert_array_equal(turned[0], [[1, 0, 0], [2, 0, 0], [0, 1, 0]])


@given(tables)
@settings(max_examples=15)
def test_without_ties_it_is_bradley_terry_as_in_choix(counts: np.ndarray) -> None:
    counts = counts * [1, 0, 1]
    data = []
    for (one, other), (wins, _, losses) in zip(combinations(range(4), 2), counts.astype(int), strict=True):
        data += [(one, other)] * wins + [(other, one)] * losses
    expected = choix.opt_pairwise(4, data, alpha=PRIOR / 2, tol=1e-9)
    strengths, delta = fit_strengths(counts, 4)
    np.testing.assert_allclose(strengths, expected - expected.mean(), atol=2e-3)
    assert delta == -np.inf


@given(tables)
@settings(max_examples=10)
def test_with_ties_it_is_the_maximum_of_davidsons_likelihood(counts: np.ndarray) -> None:
    counts[0, 1] += 1

    def loss(x: np.ndarray) -> float:
        total = PRIOR / 2 * float(x @ x)
        for (one, other), row in zip(combinations(range(4), 2), counts, strict=True):
            weights = np.exp([x[one], (x[one] + x[other]) / 2 + x[4], x[other]])
            total -= float(row @ np.log(weights / weights.sum()))
        return total

    strengths, delta = fit_strengths(counts, 4)
    found = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-6}).x
    np.testing.assert_allclose(strengths, found[:4] - found[:4].mean(), atol=2e-3)
    assert delta == pytest.approx(found[4], abs=2e-3)


def test_it_finds_what_was_put_in() -> None:
    rng = np.random.default_rng(1)
    truth, delta = np.array([1.0, 0.3, -0.2, -1.1]), -0.4
    counts = np.zeros((6, 3))
    for index, (one, other) in enumerate(combinations(range(4), 2)):
        weights = np.exp([truth[one], (truth[one] + truth[other]) / 2 + delta, truth[other]])
        counts[index] = rng.multinomial(20000, weights / weights.sum())
    strengths, found = fit_strengths(counts, 4)
    np.testing.assert_allclose(strengths, truth, atol=0.04)
    assert found == pytest.approx(delta, abs=0.04)


def test_who_always_wins_is_strong_but_finite() -> None:
    strengths, delta = fit_strengths(np.array([[50.0, 0, 0], [50, 0, 0], [25, 0, 25]]), 3)
    assert 2 < strengths[0] < 20 and strengths[1] == pytest.approx(strengths[2])
    assert predict_wins(strengths, delta)[0, 1] > 0.95
    assert np.isfinite(fit_strengths(np.array([[0.0, 9, 0]]), 2)[1]), "all ties"
    assert np.isfinite(fit_strengths(np.zeros((3, 3)), 3)[0]).all(), "nothing at all"


@given(tables)
@settings(max_examples=15)
def test_the_model_wins_as_often_as_people_said(counts: np.ndarray) -> None:
    """At the maximum of a likelihood of this kind, each system's expected score is the one observed, but for the weak prior."""
    counts += 1
    strengths, delta = fit_strengths(counts, 4)
    wins = predict_wins(strengths, delta)
    assert np.allclose(wins + wins.T, 1) and np.allclose(np.diag(wins), 0.5)
    expected, observed = np.zeros(4), np.zeros(4)
    for (one, other), row in zip(combinations(range(4), 2), counts, strict=True):
        for first, second, won in ((one, other, row[0]), (other, one, row[2])):
            observed[first] += won + row[1] / 2
            expected[first] += row.sum() * wins[first, second]
    np.testing.assert_allclose(expected, observed, atol=0.05)


def test_many_fits_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(2)
    batch = rng.integers(1, 20, (5, 6, 3)).astype(float)
    strengths, delta = fit_strengths(batch, 4)
    wins = predict_wins(strengths, delta)
    for index, counts in enumerate(batch):
        alone, alone_delta = fit_strengths(counts, 4)
        np.testing.assert_allclose(strengths[index], alone, atol=1e-7)
        np.testing.assert_allclose(wins[index], predict_wins(alone, alone_delta), atol=1e-7)
