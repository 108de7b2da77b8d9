"""Which triplets a step uses: each as often as the recipe says, first of all new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from step1x_edit.training.portions import first_use, portions, round_of
from step1x_edit.training.recipe import Recipe


@pytest.fixture
def recipe(line_recipe: Callable[..., Recipe]) -> Recipe:
    stages = [
        {"until": 5, "size": 32, "batch": 4},
        {"until": 5 + 2 * 12, "size": 32, "batch": 4, "micro_batch": 2, "repeats": 3, "round": 4},
    ]
    return line_recipe(stages=stages)


def test_every_triplet_of_a_round_is_used_so_often_and_new_ones_come_first(recipe: Recipe) -> None:
    for begin in (5, 17):
        steps = [[first_use(portion) for portion in portions(recipe, step)] for step in range(begin, begin + 12)]
        used = Counter(number for step in steps for portion in step for number in portion.samples)
        first = 5 * 4 + (begin - 5) * 4
        assert used == dict.fromkeys(range(first, first + 16), 3)
        for turn in range(3):  # all of them in each turn, and the second and third in orders of their own
            assert {n for step in steps[4 * turn : 4 * turn + 4] for p in step for n in p.samples} == set(range(first, first + 16))
        orders = [[step[0].step for step in steps[4 * turn : 4 * turn + 4]] for turn in range(3)]
        assert orders[0] == sorted(orders[0]) and len({tuple(order) for order in orders}) > 1


def test_pieces_of_a_batch_stay_together(recipe: Recipe) -> None:
    for step in range(5, 29):
        pieces = portions(recipe, step)
        found = [first_use(piece) for piece in pieces]
        assert {round_of(piece) for piece in found} == {round_of(pieces[0])} == {(step - 5) // 12}
        assert len({piece.first for piece in found}) == 1
        assert [piece.positions for piece in found] == [piece.positions for piece in pieces]
        assert all(first_use(piece) is piece for piece in found)


def test_without_repeats_all_is_new(recipe: Recipe) -> None:
    assert all(first_use(portion) is portion for step in range(5) for portion in portions(recipe, step))
