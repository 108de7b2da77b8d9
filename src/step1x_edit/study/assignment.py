"""Decide who sees which case, with which systems, in which order: balanced incomplete blocks, attention checks, repeats.

Knows numbers only: cases and systems are integers, a person is the history of what they saw. Nothing here knows of names, pages or tables.

A person's cases are spread over the tasks in proportion to the votes that are still needed there, and within a task the least seen case
comes first, so that every case reaches the wanted number of people and no case runs ahead by more than one. Comparisons are drawn one at
a time, so that people who leave early cost nothing: what they were shown last counts as claimed for `CLAIM_SECONDS` only.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import permutations

DECOY = 0
"""Stands among the systems for the picture of an attention check that is plainly no answer to the instruction."""

CLAIM_SECONDS = 2 * 3600.0
REPEAT_DISTANCE = 4
MOST_SYSTEMS = 6


class Kind(StrEnum):
    """Why a comparison is shown. People are never told."""

    CASE = "case"
    CHECK = "check"
    REPEAT = "repeat"


@dataclass(frozen=True)
class Design:
    """What the study wants.

    Attributes:
        systems_per_screen: results that are compared at once, 2 to `MOST_SYSTEMS`.
        people_per_case: votes wanted for every case, at least 1.
        cases_per_person: comparisons that count, per person, at least 1.
        checks: attention checks per person.
        repeats: cases per person that are shown a second time.
    """

    systems_per_screen: int = 4
    people_per_case: int = 5
    cases_per_person: int = 20
    checks: int = 2
    repeats: int = 2

    @property
    def screens(self) -> int:
        """Comparisons of one person, all kinds together."""
        return self.cases_per_person + self.checks + self.repeats


@dataclass(frozen=True)
class Case:
    """A case as the assignment sees it: where it belongs, and who answered it."""

    id: int
    task: str
    language: str
    systems: tuple[int, ...]


@dataclass(frozen=True)
class Drawn:
    """A comparison to show: the systems in the order in which they are shown."""

    kind: Kind
    case: int
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Seen:
    """A comparison that a person has had before, and whether they voted (they may have skipped it)."""

    drawn: Drawn
    voted: bool


def plan_session(design: Design, rng: random.Random) -> list[Kind]:
    """The kinds of one person's comparisons, in order.

    Checks are spread over the session, one at a random place in each of as many stretches, never first. Repeats come in the second half.
    """
    kinds = [Kind.CASE] * design.screens
    half = max(len(kinds) // 2, min(REPEAT_DISTANCE, len(kinds) - design.repeats))
    for place in sorted(rng.sample(range(half, len(kinds)), min(design.repeats, len(kinds) - half))):
        kinds[place] = Kind.REPEAT
    for index in range(design.checks):
        first, last = (1 + (len(kinds) - 1) * i // design.checks for i in (index, index + 1))
        free = [place for place in range(first, last) if kinds[place] is Kind.CASE]
        free = free or [place for place in range(1, len(kinds)) if kinds[place] is Kind.CASE] or [0]
        kinds[rng.choice(free)] = Kind.CHECK
    return kinds


class Ledger:
    """How often everything was shown, kept in memory by the one writer, and the draws that keep it even.

    Args:
        cases: all cases of the study.
        design: what is wanted.
        rng: decides between equals.
    """

    def __init__(self, cases: Iterable[Case], design: Design, rng: random.Random) -> None:
        self.cases = {case.id: case for case in cases}
        self.design = design
        self._rng = rng
        self.views: Counter[int] = Counter()
        self._claims: dict[int, tuple[int, float]] = {}
        self._shown: Counter[tuple[int, int]] = Counter()  # (case, system)
        self._together: Counter[tuple[int, int, int]] = Counter()  # (case, system, system), and case 0 for all of them
        self._placed: Counter[tuple[int, int]] = Counter()  # (system, slot)

    def draw(self, kind: Kind, history: Sequence[Seen], language: str, now: float) -> Drawn | None:
        """The next comparison of a person, or None when there is none at the moment; `lacks` tells whether there may be one later.

        A repeat that is not possible yet becomes an ordinary case.
        """
        unseen = self._unseen(history, language)
        if kind is Kind.REPEAT and (repeated := self._draw_repeat(history)):
            return repeated
        if kind is Kind.CHECK and unseen:
            return self._draw_check(self._rng.choice(unseen))
        case = self._choose_case(unseen, history, now)
        return None if case is None else Drawn(Kind.CASE, case.id, self._order(self._choose_systems(case)))

    def lacks(self, history: Sequence[Seen], language: str) -> bool:
        """Whether votes that this person could give are still missing, those that others have been asked for included."""
        return any(self.views[case.id] < self.design.people_per_case for case in self._unseen(history, language))

    def show(self, screen: int, drawn: Drawn, now: float) -> None:
        """Note that a comparison was shown: its case is claimed until the vote, or until the claim is too old."""
        if drawn.kind is not Kind.CASE:
            return
        self._claims[screen] = (drawn.case, now)
        self._count(drawn, 1)

    def settle(self, screen: int, drawn: Drawn, voted: bool) -> None:
        """Note that a comparison was answered; a skipped one frees its case for somebody else."""
        self._claims.pop(screen, None)
        if drawn.kind is Kind.CASE and voted:
            self.views[drawn.case] += 1

    def forget(self, screen: int, drawn: Drawn, voted: bool) -> None:
        """Note that a comparison is taken back, and what was said of it."""
        self._claims.pop(screen, None)
        if drawn.kind is Kind.CASE:
            self._count(drawn, -1)
            self.views[drawn.case] -= voted

    def needed(self, now: float) -> dict[int, int]:
        """Votes that every case still needs, claimed ones not counted."""
        # a claim far in the future was made while the machine's clock was wrong
        self._claims = {screen: claim for screen, claim in self._claims.items() if abs(now - claim[1]) < CLAIM_SECONDS}
        claimed = Counter(case for case, _ in self._claims.values())
        wanted = self.design.people_per_case
        return {case: max(0, wanted - self.views[case] - claimed[case]) for case in self.cases}

    def _count(self, drawn: Drawn, times: int) -> None:
        for slot, system in enumerate(drawn.slots):
            self._shown[drawn.case, system] += times
            self._placed[system, slot] += times
            for other in drawn.slots[slot + 1 :]:
                self._together[drawn.case, min(system, other), max(system, other)] += times
                self._together[0, min(system, other), max(system, other)] += times

    def _unseen(self, history: Sequence[Seen], language: str) -> list[Case]:
        seen = {each.drawn.case for each in history}
        mine = [case for case in self.cases.values() if case.language == language] or list(self.cases.values())
        return [case for case in mine if case.id not in seen]

    def _choose_case(self, unseen: Sequence[Case], history: Sequence[Seen], now: float) -> Case | None:
        needed = self.needed(now)
        open_cases = [case for case in unseen if needed[case.id]]
        if not open_cases:
            return None
        by_task: Counter[str] = Counter()
        for case in open_cases:
            by_task[case.task] += needed[case.id]
        had = Counter(self.cases[each.drawn.case].task for each in history if each.drawn.kind is Kind.CASE)
        total = by_task.total()
        due = {task: need / total * (had.total() + 1) - had[task] for task, need in by_task.items()}
        task = max(due, key=lambda name: (due[name], self._rng.random()))
        return max((case for case in open_cases if case.task == task), key=lambda case: (needed[case.id], self._rng.random()))

    def _choose_systems(self, case: Case) -> list[int]:
        """A block of systems: first those that this case has shown least, then those that have met least in this case, then anywhere."""
        size = min(self.design.systems_per_screen, len(case.systems))
        chosen: list[int] = []
        while len(chosen) < size:

            def cost(system: int) -> tuple[float, ...]:
                pairs = [(min(system, other), max(system, other)) for other in chosen]
                here = sum(self._together[case.id, first, second] for first, second in pairs)
                anywhere = sum(self._together[0, first, second] for first, second in pairs)
                return self._shown[case.id, system], here, anywhere, self._rng.random()

            chosen.append(min((system for system in case.systems if system not in chosen), key=cost))
        return chosen

    def _order(self, systems: Sequence[int]) -> tuple[int, ...]:
        """The order that evens out how often every system was in every place, at random among equals."""
        counts = {system: [self._placed[system, slot] for slot in range(len(systems))] for system in systems}
        best: list[tuple[int, ...]] = []
        lowest = None
        for order in permutations(systems):
            cost = sum([counts[system][slot] for slot, system in enumerate(order)])
            if lowest is None or cost < lowest:
                best, lowest = [order], cost
            elif cost == lowest:
                best.append(order)
        return self._rng.choice(best)

    def _draw_repeat(self, history: Sequence[Seen]) -> Drawn | None:
        repeated = {each.drawn.case for each in history if each.drawn.kind is Kind.REPEAT}
        old = history[: max(0, len(history) - REPEAT_DISTANCE + 1)]
        fit = [each.drawn for each in old if each.voted and each.drawn.kind is Kind.CASE and each.drawn.case not in repeated]
        if not fit:
            return None
        again = self._rng.choice(fit)
        slots = list(again.slots)
        while tuple(slots) == again.slots:
            self._rng.shuffle(slots)
        return Drawn(Kind.REPEAT, again.case, tuple(slots))

    def _draw_check(self, case: Case) -> Drawn:
        size = min(self.design.systems_per_screen, len(case.systems))
        slots = [DECOY, *self._rng.sample(case.systems, size - 1)]
        self._rng.shuffle(slots)
        return Drawn(Kind.CHECK, case.id, tuple(slots))
