"""All draws but one are those of `random.Random`."""

from __future__ import annotations

import random

from step1x_edit.data.draws import ChangedDraws


def draw(rng: random.Random) -> list[object]:
    return [rng.random(), rng.getrandbits(5), rng.uniform(2, 3), rng.choices("abcdef")[0], rng.getrandbits(40)]


def test_nothing_is_changed_unless_it_is_asked() -> None:
    rng = ChangedDraws("seed")
    assert draw(rng) == draw(random.Random("seed")) and rng.count == 5
    assert rng.choice("abc") and rng.count > 5


def test_one_draw_is_changed_and_the_next_ones_stay() -> None:
    plain = draw(random.Random("seed"))
    for change in (0, 2, 4):
        made = draw(ChangedDraws("seed", change))
        assert [a == b for a, b in zip(plain, made, strict=True)] == [number != change for number in range(5)]
        assert made == draw(ChangedDraws("seed", change)) != draw(ChangedDraws("seed", change, value=1))
