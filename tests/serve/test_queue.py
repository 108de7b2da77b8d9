"""Turns, batches and bounds of the waiting line, against a plain description of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.serve.queue import FairQueue


@dataclass(eq=False)
class Item:
    owner: str
    kind: object = "a"
    cost: int = 1


def fill(owners: str, kinds: str | None = None) -> FairQueue[Item]:
    queue: FairQueue[Item] = FairQueue(1000, 1000)
    for owner, kind in zip(owners, kinds or "a" * len(owners), strict=True):
        queue.add(Item(owner, kind))
    return queue


def drain(queue: FairQueue[Item], most: int = 1, budget: int = 1000) -> list[str]:
    taken = []
    while batch := queue.take(most, budget):
        taken.append("".join(item.owner for item in batch))
    return taken


def test_owners_take_turns() -> None:
    assert drain(fill("AAAAABBC")) == ["A", "B", "C", "A", "B", "A", "A", "A"]


def test_a_batch_is_of_one_kind_and_takes_turns_too() -> None:
    assert drain(fill("AAAABB", "abaaba"), most=3) == ["ABA", "BA", "A"]


def test_a_late_comer_is_next_but_one() -> None:
    queue = fill("AAAA")
    first = queue.take(1, 1000)[0]
    queue.add(Item("B"))
    assert first.owner == "A"
    assert drain(queue) == ["A", "B", "A", "A"]


def test_bounds() -> None:
    queue: FairQueue[Item] = FairQueue(4, 2)
    items = [Item("A"), Item("A"), Item("B")]
    for item in items:
        queue.add(item)
    assert (queue.room("A"), queue.room("B"), queue.room("C"), len(queue)) == (0, 1, 1, 3)
    assert queue.remove(items[0]) and not queue.remove(items[0])
    assert (queue.room("A"), queue.room("C"), len(queue)) == (1, 2, 2)


def test_the_first_comes_whatever_it_costs_and_others_if_they_fit() -> None:
    queue: FairQueue[Item] = FairQueue(9, 9)
    for cost in (50, 1, 6, 4, 5):
        queue.add(Item("A", cost=cost))
    assert [[item.cost for item in queue.take(9, 10)] for _ in range(3)] == [[50], [1, 6], [4, 5]]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.sampled_from("xyz")), max_size=40), st.integers(1, 5))
def test_nothing_is_lost_or_doubled_and_nobody_overtakes_their_own(asked: list[tuple[str, str]], most: int) -> None:
    queue: FairQueue[Item] = FairQueue(1000, 1000)
    items = [Item(owner, kind) for owner, kind in asked]
    for item in items:
        queue.add(item)
    served: list[Item] = []
    while batch := queue.take(most, 1000):
        assert len({item.kind for item in batch}) == 1 and len(batch) <= most
        served += batch
    assert Counter(map(id, served)) == Counter(map(id, items)) and len(queue) == 0
    for owner in "ABCD":
        for kind in "xyz":
            own = [item for item in items if (item.owner, item.kind) == (owner, kind)]
            assert [item for item in served if (item.owner, item.kind) == (owner, kind)] == own


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_rush_delays_another_owner_by_one_turn_each(rush: int, others: int) -> None:
    served = "".join(drain(fill("A" * rush + "B" * others)))
    for count in range(1, min(rush, others) + 1):
        assert served[: 2 * count].count("A") == count
