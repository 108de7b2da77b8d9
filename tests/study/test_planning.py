"""How many people: against the exact test's power, against simulation, and against what a pilot holds."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from study_votes import ballot, simulate

from step1x_edit.errors import UsageError
from step1x_edit.study.assignment import Case, Design, Kind, Ledger
from step1x_edit.study.planning import Spread, count_meetings, count_people, measure_spread, plan_people, simulate_power
from step1x_edit.study.statistics import student_quantile


@pytest.mark.parametrize("share", [0.9, 0.975, 0.995])
@pytest.mark.parametrize("freedom", [4, 5, 9, 30, 200])
def test_quantiles_of_students_t(share: float, freedom: int) -> None:
    assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=0.02 if share > 0.99 else 0.005)


def exact_people(difference: float, deviation: float, power: float, error: float) -> int:
    """The smallest number of people, at least 5, whose paired test has the power, by the noncentral t distribution."""
    for people in range(5, 5000):
        critical = stats.t.ppf(1 - error / 2, people - 1)
        if stats.nct.sf(critical, people - 1, difference * people**0.5 / deviation) >= power:
            return people
    raise AssertionError("too many")


@pytest.mark.parametrize(
    ("difference", "meetings", "power"), [(0.5, 20, 0.8), (0.3, 20, 0.9), (1.0, 5, 0.8), (0.5, 6, 0.95), (0.2, 10, 0.8)]
)
def test_the_number_is_that_of_the_exact_test(difference: float, meetings: int, power: float) -> None:
    spread = Spread()
    deviation = (spread.person**2 + spread.case**2 / meetings) ** 0.5
    assert abs(count_people(difference, meetings, spread, power) - exact_people(difference, deviation, power, 0.05)) <= 1


def test_the_simulation_agrees() -> None:
    for difference, meetings in ((0.5, 20), (1.0, 5)):
        assert plan_people(difference, meetings, Spread()).power == pytest.approx(0.8, abs=0.05)
    assert simulate_power(1e-12, 30, 10, Spread()) == pytest.approx(0.025, abs=0.012), "without a difference, the error alone"
    assert simulate_power(1.0, 60, 20, Spread()) > 0.99


@given(st.floats(0.2, 2), st.integers(1, 30), st.floats(0.55, 0.95))
@settings(max_examples=10)
def test_more_is_asked_for_where_less_can_be_seen(difference: float, meetings: int, power: float) -> None:
    spread = Spread(0.5, 2.0)
    people = count_people(difference, meetings, spread, power)
    assert people <= count_people(difference / 1.5, meetings, spread, power)
    assert people <= count_people(difference, max(1, meetings // 2), spread, power)
    assert people <= count_people(difference, meetings, spread, min(0.99, power + 0.04))
    assert people <= count_people(difference, meetings, Spread(0.8, 2.0), power)


def test_two_systems_meet_as_often_as_blocks_are_balanced() -> None:
    blocks = list(combinations(range(5), 3))
    together = sum({0, 1} <= set(block) for block in blocks) / len(blocks)
    assert count_meetings(10, 3, 5) == pytest.approx(10 * together)
    assert count_meetings(20, 4, 4) == 20
    ledger = Ledger([Case(i, "t", "en", (1, 2, 3, 4, 5)) for i in range(1, 31)], Design(3, 9, 10, 0, 0), random.Random(0))
    met: Counter[tuple[int, int]] = Counter()
    for person in range(27):
        history = []
        for step in range(10):
            drawn = ledger.draw(Kind.CASE, history, "en", 0)
            assert drawn is not None
            ledger.show(100 * person + step, drawn, 0)
            ledger.settle(100 * person + step, drawn, True)
            met.update(combinations(sorted(drawn.slots), 2))
    assert np.mean([met[pair] / 27 for pair in combinations(range(1, 6), 2)]) == pytest.approx(count_meetings(10, 3, 5))


def test_who_rarely_sees_both_counts_in_part() -> None:
    assert count_people(0.5, 0.25, Spread()) == pytest.approx(4 * count_people(0.5, 1, Spread()), abs=3)


def test_a_pilot_tells_the_scatter() -> None:
    rng = np.random.default_rng(4)
    found = measure_spread(simulate(rng, [5.5, 6.5], people=150, cases=30, person_spread=0.6, noise=1.2))
    assert found.person == pytest.approx(2**0.5 * 0.6, rel=0.15)
    assert found.case == pytest.approx((2 * (1.2**2 + 1 / 3)) ** 0.5, rel=0.06)  # rounding to levels 2 apart adds 2^2 / 12
    with pytest.raises(UsageError, match="pilot is too small"):
        measure_spread([ballot(1, 1, {1: 2, 2: 4}), ballot(2, 1, {1: 2, 2: 4})])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"difference": 0}, "between 0 and 8"),
        ({"difference": float("nan")}, "between 0 and 8"),
        ({"difference": 9}, "between 0 and 8"),
        ({"power": 1.0}, "no pair of chances"),
        ({"error": 0.9}, "no pair of chances"),
        ({"meetings": 0}, "now and then"),
        ({"spread": Spread(-1, 1)}, "at least 0"),
        ({"difference": 0.001}, "more than 20000 people"),
    ],
)
def test_what_cannot_be_planned_is_refused(change: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        count_people(**{"difference": 0.5, "meetings": 10, "spread": Spread(), **change})


@pytest.mark.parametrize(("cases", "together", "candidates"), [(10, 1, 4), (10, 5, 4), (10, 7, 9), (0, 2, 2)])
def test_blocks_that_cannot_be_are_refused(cases: int, together: int, candidates: int) -> None:
    with pytest.raises(UsageError):
        count_meetings(cases, together, candidates)
