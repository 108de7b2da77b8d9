"""Who sees what: evenly many people a case, systems and places balanced, checks and repeats where they belong."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.study.assignment import (
    CLAIM_SECONDS,
    DECOY,
    REPEAT_DISTANCE,
    Case,
    Design,
    Drawn,
    Kind,
    Ledger,
    Seen,
    plan_session,
)


def make_cases(count: int, systems: int = 4, tasks: int = 4, language: str = "en") -> list[Case]:
    return [Case(i, f"task{i % tasks}", language, tuple(range(1, systems + 1))) for i in range(1, count + 1)]


class Session:
    """One person in front of a ledger; skips now and then, if asked to."""

    def __init__(self, ledger: Ledger, number: int, skips: float = 0.0) -> None:
        self.ledger, self.number, self.skips = ledger, number, skips
        self.rng = random.Random(number)
        self.plan = plan_session(ledger.design, self.rng)
        self.history: list[Seen] = []

    def step(self, now: float = 0.0) -> Drawn | None:
        """See the next comparison and answer it."""
        if len(self.history) == len(self.plan):
            return None
        drawn = self.ledger.draw(self.plan[len(self.history)], self.history, "en", now)
        if drawn is not None:
            screen = 1000 * self.number + len(self.history)
            self.ledger.show(screen, drawn, now)
            voted = self.rng.random() >= self.skips
            self.ledger.settle(screen, drawn, voted)
            self.history.append(Seen(drawn, voted))
        return drawn

    def finish(self) -> list[Seen]:
        while self.step():
            pass
        return self.history


def hold(ledger: Ledger, skips: float = 0.0, most: int = 500) -> list[list[Seen]]:
    """People come one after the other until the study needs nobody any more."""
    sessions = []
    for number in range(most):
        history = Session(ledger, number, skips).finish()
        if not history:
            return sessions
        sessions.append(history)
    raise AssertionError("the study never ends")


designs = st.builds(
    Design,
    systems_per_screen=st.integers(2, 6),
    people_per_case=st.integers(1, 6),
    cases_per_person=st.integers(1, 12),
    checks=st.integers(0, 3),
    repeats=st.integers(0, 3),
)


@given(designs, st.integers(0, 99))
def test_a_session_holds_what_the_design_wants(design: Design, seed: int) -> None:
    plan = plan_session(design, random.Random(seed))
    assert len(plan) == design.screens
    counts = Counter(plan)
    assert counts[Kind.CASE] >= 1 or design.screens > design.cases_per_person
    if design.repeats <= design.cases_per_person and design.checks < design.cases_per_person:
        assert counts[Kind.CHECK] == design.checks
        assert plan[0] is not Kind.CHECK
    if design.repeats <= design.screens // 2:
        assert counts[Kind.REPEAT] >= design.repeats - design.checks
        assert Kind.REPEAT not in plan[: len(plan) // 2]


def test_checks_lie_apart() -> None:
    for seed in range(50):
        plan = plan_session(Design(cases_per_person=20, checks=2, repeats=2), random.Random(seed))
        first, second = [place for place, kind in enumerate(plan) if kind is Kind.CHECK]
        assert 1 <= first < 12 <= second < 24 and plan.count(Kind.REPEAT) == 2


@pytest.mark.parametrize(("cases", "people", "per_person"), [(24, 5, 8), (10, 3, 10), (40, 2, 7)])
def test_every_case_reaches_the_wanted_number_of_people(cases: int, people: int, per_person: int) -> None:
    ledger = Ledger(make_cases(cases), Design(3, people, per_person, 1, 1), random.Random(1))
    sessions = hold(ledger)
    assert [ledger.views[case] for case in ledger.cases] == [people] * cases
    for history in sessions:
        shown = Counter(seen.drawn.case for seen in history if seen.drawn.kind is not Kind.REPEAT)
        assert max(shown.values()) == 1, "one vote a case and person"


def test_no_case_runs_ahead_while_people_come() -> None:
    ledger = Ledger(make_cases(24), Design(4, 6, 9, 1, 1), random.Random(2))
    sessions = [Session(ledger, number) for number in range(12)]
    for _ in range(11):
        for session in sessions:
            session.step()
            views = [ledger.views[case] for case in ledger.cases]
            assert max(views) - min(views) <= 2
    assert max(views) - min(views) <= 1


def test_skipped_cases_are_shown_to_somebody_else() -> None:
    ledger = Ledger(make_cases(12), Design(2, 4, 6, 0, 0), random.Random(3))
    hold(ledger, skips=0.3)
    assert set(ledger.views.values()) == {4}


def test_people_who_leave_cost_nothing_once_their_claim_is_old() -> None:
    ledger = Ledger(make_cases(1), Design(2, 1, 1, 0, 0), random.Random(4))
    left = ledger.draw(Kind.CASE, [], "en", now=0.0)
    assert left is not None
    ledger.show(1, left, now=0.0)
    assert ledger.draw(Kind.CASE, [], "en", now=CLAIM_SECONDS - 1) is None
    assert ledger.lacks([], "en")
    assert ledger.draw(Kind.CASE, [], "en", now=CLAIM_SECONDS + 1) is not None
    ledger.show(2, left, now=10 * CLAIM_SECONDS)  # by a clock that was wrong, and is set right
    assert ledger.draw(Kind.CASE, [], "en", now=2.0) is not None


@pytest.mark.parametrize("size", [2, 3, 4])
def test_blocks_are_balanced(size: int) -> None:
    systems = 5
    ledger = Ledger(make_cases(30, systems), Design(size, 10, 15, 2, 2), random.Random(5))
    sessions = hold(ledger)
    drawn = [seen.drawn for history in sessions for seen in history if seen.drawn.kind is Kind.CASE]
    assert all(len(set(d.slots)) == size and DECOY not in d.slots for d in drawn)
    places = Counter((system, slot) for d in drawn for slot, system in enumerate(d.slots))
    expected = len(drawn) / systems
    assert len(places) == systems * size
    assert all(abs(count - expected) <= 0.05 * expected for count in places.values()), "every system in every place alike"
    pairs = Counter(frozenset(pair) for d in drawn for pair in combinations(d.slots, 2))
    mean = sum(pairs.values()) / 10
    assert len(pairs) == 10 and all(abs(count - mean) <= 0.1 * mean for count in pairs.values()), "every two systems meet alike"
    for case in ledger.cases:
        shown = Counter(system for d in drawn if d.case == case for system in d.slots)
        assert max(shown.values()) - min(shown.values()) <= 1, "within a case, too"


def test_orders_are_random_not_only_balanced() -> None:
    orders = set()
    for seed in range(30):
        ledger = Ledger(make_cases(4), Design(4, 1, 4, 0, 0), random.Random(seed))
        drawn = ledger.draw(Kind.CASE, [], "en", 0.0)
        assert drawn is not None
        orders.add(drawn.slots)
    assert len(orders) > 10


def test_tasks_are_spread_over_every_session() -> None:
    ledger = Ledger(make_cases(40), Design(3, 4, 8, 0, 0), random.Random(6))
    for history in hold(ledger):
        per_task = Counter(ledger.cases[seen.drawn.case].task for seen in history)
        if len(history) == 8:
            assert max(per_task.values()) <= 3


def test_a_repeat_is_an_old_answered_case_in_another_order() -> None:
    ledger = Ledger(make_cases(40), Design(3, 3, 10, 2, 2), random.Random(7))
    repeats = 0
    for history in hold(ledger, skips=0.2):
        for place, seen in enumerate(history):
            if seen.drawn.kind is not Kind.REPEAT:
                continue
            repeats += 1
            (before,) = [i for i, old in enumerate(history[:place]) if old.drawn.case == seen.drawn.case]
            assert history[before].voted and history[before].drawn.kind is Kind.CASE
            assert place - before >= REPEAT_DISTANCE
            assert sorted(seen.drawn.slots) == sorted(history[before].drawn.slots)
            assert seen.drawn.slots != history[before].drawn.slots
    assert repeats > 10


def test_a_check_shows_the_decoy_once_on_a_case_not_seen_before() -> None:
    ledger = Ledger(make_cases(40), Design(3, 3, 10, 2, 0), random.Random(8))
    slots = Counter()
    for history in hold(ledger):
        cases = [seen.drawn.case for seen in history]
        assert len(cases) == len(set(cases))
        for seen in history:
            if seen.drawn.kind is Kind.CHECK:
                assert seen.drawn.slots.count(DECOY) == 1 and len(seen.drawn.slots) == 3
                slots[seen.drawn.slots.index(DECOY)] += 1
    assert len(slots) == 3, "the decoy stands anywhere"


def test_checks_and_repeats_do_not_count_as_votes() -> None:
    ledger = Ledger(make_cases(8), Design(3, 2, 4, 1, 1), random.Random(9))
    sessions = hold(ledger)
    counted = sum(seen.drawn.kind is Kind.CASE for history in sessions for seen in history)
    assert counted == sum(ledger.views.values()) == 16


def test_people_see_instructions_that_they_can_read() -> None:
    cases = make_cases(6) + [Case(100 + i, "task0", "cn", (1, 2)) for i in range(6)]
    ledger = Ledger(cases, Design(2, 1, 6, 0, 0), random.Random(10))
    drawn = [ledger.draw(Kind.CASE, [], "cn", 0.0) for _ in range(20)]
    assert all(d is not None and d.case >= 100 for d in drawn)


def test_a_case_that_few_systems_answered_shows_those() -> None:
    ledger = Ledger([Case(1, "task", "en", (2, 5))], Design(4, 1, 1, 0, 0), random.Random(11))
    drawn = ledger.draw(Kind.CASE, [], "en", 0.0)
    assert drawn is not None and sorted(drawn.slots) == [2, 5]
