"""Krippendorff's alpha against a published example, hand-worked values and a plain second implementation."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from study_votes import ballot

from step1x_edit.study.agreement import alpha_ordinal, compare_repeats, estimate_alpha, gather_preferences, gather_units
from step1x_edit.study.assignment import Kind

_ = None
FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
"""The example of Krippendorff's "Computing Krippendorff's Alpha-Reliability" (2011), where alpha for ordinal data is 0.815."""

units_of_levels = st.lists(st.lists(st.sampled_from([2, 4, 6, 8, 10]), max_size=5), max_size=8)


def plain_alpha(units: list[list[float]]) -> float:
    """Krippendorff's definition, pair by pair."""
    judged = [unit for unit in units if len(unit) > 1]
    everything = [value for unit in judged for value in unit]

    def distance(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(low <= value <= high for value in everything)
        return (between - (everything.count(low) + everything.count(high)) / 2) ** 2 if a != b else 0.0

    observed = sum(distance(a, b) / (len(unit) - 1) for unit in judged for a, b in permutations(unit, 2)) / len(everything)
    expected = sum(distance(a, b) for a, b in permutations(everything, 2)) / len(everything) / (len(everything) - 1)
    return 1 - observed / expected


def test_the_published_example() -> None:
    units = [[row[i] for row in FOUR_OBSERVERS if row[i] is not None] for i in range(12)]
    assert alpha_ordinal(units) == pytest.approx(0.815, abs=0.0005)


def test_a_case_worked_out_by_hand() -> None:
    """Units (2, 2), (2, 4), (4, 4): n = 6, three of each level, so their distance is 3^2 = 9. Observed: two ordered pairs of 9 over 6
    values, 3. Expected: 2 * 3 * 3 pairs of 9 over 6 * 5, 5.4. Alpha = 1 - 3 / 5.4."""
    assert alpha_ordinal([[2, 2], [2, 4], [4, 4]]) == pytest.approx(1 - 3 / 5.4)


def test_the_ends_of_the_scale() -> None:
    assert alpha_ordinal([[2, 2], [10, 10, 10], [4, 4]]) == pytest.approx(1)
    assert alpha_ordinal([[2, 10], [10, 2]]) == pytest.approx(-0.5)  # 1 - (4 - 1) / 4 * (4 / 2)
    assert math.isnan(alpha_ordinal([[2], [4]])) and math.isnan(alpha_ordinal([])) and math.isnan(alpha_ordinal([[6, 6], [6, 6]]))


@given(units_of_levels)
@settings(max_examples=80)
def test_it_agrees_with_the_definition(units: list[list[float]]) -> None:
    assume(len({value for unit in units if len(unit) > 1 for value in unit}) > 1)
    assert alpha_ordinal(units) == pytest.approx(plain_alpha(units))
    assert alpha_ordinal(units) <= 1 + 1e-12


@given(units_of_levels)
@settings(max_examples=30)
def test_only_the_order_of_levels_matters(units: list[list[float]]) -> None:
    stretched = [[value**3 for value in unit] for unit in units]
    turned = [[-value for value in unit] for unit in units]
    for other in (stretched, turned, [unit for unit in units if len(unit) > 1]):
        assert alpha_ordinal(units) == pytest.approx(alpha_ordinal(other), nan_ok=True)


def test_noise_has_an_alpha_of_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = rng.choice([2, 4, 6, 8, 10], (500, 4)).tolist()
    assert abs(alpha_ordinal(noise)) < 0.05
    found = estimate_alpha(noise, 300, seed=0)
    assert found.low < 0 < found.high and found.value == alpha_ordinal(noise)
    assert math.isnan(estimate_alpha([[2]], 100, 0).value)


def test_judgements_are_gathered_by_case_and_system() -> None:
    votes = [ballot(1, 1, {1: 8, 2: 4}), ballot(2, 1, {2: 6, 1: 10}), ballot(2, 2, {1: 2, 2: 2})]
    assert sorted(map(sorted, gather_units(votes, "overall"))) == [[2], [2], [4, 6], [8, 10]]


def test_preferences_do_not_depend_on_how_systems_are_shown_or_numbered() -> None:
    votes = [ballot(1, 1, {1: 8, 2: 4, 3: 4}), ballot(2, 1, {3: 4, 2: 6, 1: 10})]
    assert sorted(tuple(map(abs, unit)) for unit in gather_preferences(votes)) == [(0, 1), (1, 1), (1, 1)]
    assert all(len(set(unit)) == 1 for unit in gather_preferences(votes) if 0 not in unit)
    rng = np.random.default_rng(1)
    one = [ballot(p, c, {1: 10, 2: int(rng.choice([4, 10]))}) for p in range(6) for c in range(100)]
    other = [ballot(b.person, b.case, dict(zip((2, 1), b.overall, strict=True))) for b in one]
    assert alpha_ordinal(gather_preferences(one)) == pytest.approx(alpha_ordinal(gather_preferences(other)))


def test_people_are_compared_with_themselves() -> None:
    votes = [
        ballot(1, 1, {1: 8, 2: 4}),
        ballot(1, 1, {2: 6, 1: 8}, kind=Kind.REPEAT),
        ballot(2, 1, {1: 2, 2: 2}),
        ballot(2, 3, {1: 2, 2: 2}, kind=Kind.REPEAT),  # never seen before: not counted
        ballot(3, 1, {1: 2, 2: 2}, skipped="undecided"),
        ballot(3, 1, {1: 2, 2: 2}, kind=Kind.REPEAT),
    ]
    found = compare_repeats(votes, "overall")
    assert (found.pairs, found.same, found.distance) == (2, 0.5, 1.0)
    assert compare_repeats(votes[:1], "overall").pairs == 0
