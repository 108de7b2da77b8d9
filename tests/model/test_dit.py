"""What is computed once an edit, and what block caching leaves out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from step1x_edit.model.caching import Kind, StepCache
from step1x_edit.model.dit import TIMES
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

Model = Callable[..., Step1XEdit]
Draw = Callable[..., Tensor]
GRID = Grid(2, 3)
T = torch.tensor([0.8, 0.8])


@pytest.mark.parametrize("name", ["v1.0", "v1.1", "v1.2", "mini"])
def test_what_is_prepared_gives_the_same_to_the_last_bit(tiny_model: Model, embedding: Embedding, draw: Draw, name: str) -> None:
    model, noisy, reference = tiny_model(name), draw(2, 6, 16), draw(2, 6, 16, seed=2)
    full = replace(embedding, quoted_BLC=draw(2, 7, 14, seed=3), quoted_mask_BL=embedding.mask_BL, ids_BLA=draw(2, 7, 3, seed=4))
    prepared = model.prepare(full, GRID, True)
    for t in (T, T / 2):
        assert torch.equal(model.predict(noisy, reference, t, prepared), model(noisy, reference, full, t, GRID))


def test_a_smaller_batch_takes_the_first_rows(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("v1.2"), draw(2, 6, 16)
    both = model.predict(noisy, None, T, model.prepare(embedding, GRID, False))
    torch.testing.assert_close(model.predict(noisy[:1], None, T[:1], model.prepare(embedding, GRID, False)), both[:1])


def test_modulation_for_many_times_is_that_of_each(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("v1.1"), draw(2, 6, 16)
    prepared, times = model.prepare(embedding, GRID, False), [1 - i / 20 for i in range(TIMES + 2)]
    for t, signal in zip(times, model.signals(times, prepared.still.vector_BV), strict=True):
        assert len(signal.made) == 2 * 2 + 2 + 1
        for rows in (1, 2):
            given = noisy[:rows], None, torch.full((rows,), t), prepared
            torch.testing.assert_close(model.predict(*given, signal=signal), model.predict(*given))
        model.split = not model.split


def test_modulation_is_left_to_blocks_that_are_elsewhere(tiny_model: Model, embedding: Embedding) -> None:
    model = tiny_model("v1.1")
    vector = model.prepare(embedding, GRID, False).still.vector_BV
    model.single_blocks[0].to("meta")
    (signal,) = model.signals([0.5], vector)
    assert not signal.made


def test_the_cache_leaves_blocks_out_where_little_changes(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("v1.0"), draw(2, 6, 16)
    prepared = model.prepare(embedding, GRID, False)
    exact, near, far = (model.predict(x, None, T, prepared) for x in (noisy, noisy * 1.001, noisy * -1))
    never, sometimes = StepCache("first-block", 0.0, 5), StepCache("first-block", 0.05, 5)
    for cache in (never, sometimes):
        torch.testing.assert_close(model.predict(noisy, None, T, prepared, cache), exact)
        torch.testing.assert_close(model.predict(noisy * 1.001, None, T, prepared, cache), near, rtol=0.05, atol=0.05)
        torch.testing.assert_close(model.predict(noisy * -1, None, T, prepared, cache), far)
    assert (never.left_out, sometimes.left_out) == (0, 1)


@pytest.mark.parametrize("kind", ["first-block", "accumulated", "every"])
def test_the_first_step_and_the_last_two_are_run(tiny_model: Model, embedding: Embedding, draw: Draw, kind: Kind) -> None:
    model, noisy = tiny_model("v1.0"), draw(2, 6, 16)
    prepared, cache, run = model.prepare(embedding, GRID, False), StepCache(kind, 3, 9), []
    for _ in range(9):
        before = cache.left_out
        model.predict(noisy, None, T, prepared, cache)
        run.append(cache.left_out == before)
    between = kind == "every"  # every third, counted from the end
    assert run == [True, between, False, False, between, False, False, True, True]


def test_what_was_predicted_for_other_rows_is_not_taken(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy = tiny_model("v1.0"), draw(2, 6, 16)
    prepared, cache = model.prepare(embedding, GRID, False), StepCache("every", 5, 10)
    both, one, again = (model.predict(noisy[:rows], None, T[:rows], prepared, cache) for rows in (2, 1, 1))
    torch.testing.assert_close(one, both[:1])
    assert again is one and cache.left_out == 1


@pytest.mark.parametrize("with_reference", [True, False])
def test_rows_one_by_one_are_the_batch(tiny_model: Model, embedding: Embedding, draw: Draw, with_reference: bool) -> None:
    model, noisy = tiny_model("v1.0"), draw(2, 6, 16)
    reference = draw(2, 6, 16, seed=2) if with_reference else None
    prepared, t = model.prepare(embedding, GRID, with_reference), torch.tensor([0.8, 0.3])
    both = model.predict(noisy, reference, t, prepared)
    model.split = True
    torch.testing.assert_close(model.predict(noisy, reference, t, prepared), both)


def test_the_last_block_computes_what_is_wanted(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, context = tiny_model("v1.0"), tiny_model("v1.0").connector(embedding, T)
    ids = model.ids(embedding, GRID, GRID)
    given = draw(2, 6, 16), draw(2, 6, 16, seed=2), context, T, ids
    torch.testing.assert_close(model.decode(*given, wanted=6), model.decode(*given)[:, :6])
