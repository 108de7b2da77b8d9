"""One forward pass on several devices is that of one device; here all of them are the CPU."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from step1x_edit.errors import UsageError
from step1x_edit.model.caching import StepCache
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

Model = Callable[..., Step1XEdit]
Draw = Callable[..., Tensor]
GRID = Grid(2, 3)
CPU = torch.device("cpu")
close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)  # the results are of size 1; smaller products are rounded otherwise


def spread(model: Step1XEdit, devices: int) -> list[Step1XEdit]:
    """Has the model work on so many devices; its copies."""
    copies = [deepcopy(model) for _ in range(devices - 1)]
    model.work_with(copies, [CPU] * devices)
    return copies


@pytest.mark.parametrize("devices", [2, 3, 4, 5])
@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("name", ["v1.0", "v1.2", "mini"])
def test_the_numbers_are_those_of_one_device(
    tiny_model: Model, embedding: Embedding, draw: Draw, name: str, rows: int, devices: int
) -> None:
    model, noisy, reference = tiny_model(name), draw(rows, 6, 16), draw(rows, 6, 16, seed=2)
    tokens, mask = embedding.tokens_BLC.repeat(2, 1, 1)[:rows], embedding.mask_BL.repeat(2, 1)[:rows].clone()
    mask[0, -3:] = False  # padding, which v1.2 and mini hide
    t = torch.linspace(0.9, 0.3, rows)
    with torch.inference_mode():
        prepared = model.prepare(Embedding(tokens, mask, draw(rows, 7, 3, seed=4)), GRID, True)
        signal = next(model.signals([0.9], prepared.still.vector_BV)) if rows == 1 else None
        alone = model.predict(noisy, reference, t, prepared, signal=signal)
        spread(model, devices)
        close(model.predict(noisy, reference, t, prepared, signal=signal), alone)
        model.work_with((), [CPU])
        assert torch.equal(model.predict(noisy, reference, t, prepared, signal=signal), alone)


def test_several_references_and_none(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy, t = tiny_model("v1.1"), draw(2, 6, 16), torch.tensor([0.8, 0.8])
    beside, grids = draw(2, 10, 16, seed=2), [GRID, Grid(2, 2)]
    alone = [model(noisy, beside, embedding, t, GRID, grids), model(noisy, None, embedding, t, GRID)]
    spread(model, 3)
    both = [model(noisy, beside, embedding, t, GRID, grids), model(noisy, None, embedding, t, GRID)]
    close(both, alone)


def test_every_device_computes_its_share_alone(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy, t = tiny_model("v1.2"), draw(2, 6, 16), torch.tensor([0.8, 0.8])
    seen: list[tuple[int, ...]] = []
    copies = spread(model, 4)
    for each in (model, *copies):
        each.img_in.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    model(noisy, noisy, replace(embedding, mask_BL=torch.ones_like(embedding.mask_BL)), t, GRID)
    assert sorted(seen) == [(1, 6, 16)] * 4  # of two rows of twelve picture tokens each


def test_rows_are_not_split_where_they_are_on_devices_of_their_own(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy, t = tiny_model("v1.2"), draw(2, 6, 16), torch.tensor([0.8, 0.8])
    seen: list[tuple[int, int]] = []
    for i, each in enumerate((model, *spread(model, 2))):
        each.img_in.register_forward_pre_hook(lambda _, given, i=i: seen.append((i, len(given[0]))))
    model.split = True
    model(noisy, noisy, embedding, t, GRID)
    assert sorted(seen) == [(0, 1), (1, 1)]


@pytest.mark.parametrize("cached", [False, True])
def test_of_a_split_batch_each_device_has_one_row_at_a_time(tiny_model: Model, embedding: Embedding, draw: Draw, cached: bool) -> None:
    model, noisy, t = tiny_model("v1.1"), draw(5, 6, 16), torch.linspace(0.9, 0.3, 5)
    five = Embedding(draw(5, 7, embedding.tokens_BLC.shape[2], seed=3), torch.ones(5, 7, dtype=torch.bool))
    alone = model(noisy, noisy, five, t, GRID)
    seen: list[int] = []
    for each in (model, *spread(model, 2)):
        each.img_in.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    model.split = True
    close(model(noisy, noisy, five, t, GRID, cache=StepCache("every", 2, 4) if cached else None), alone)
    assert set(seen) == ({5} if cached else {1})


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_failure_on_one_device_ends_all_and_the_next_pass_is_whole(
    tiny_model: Model, embedding: Embedding, draw: Draw, failing: int
) -> None:
    model, noisy, t = tiny_model("v1.1"), draw(1, 6, 16), torch.tensor([0.8])
    one = Embedding(embedding.tokens_BLC[:1], embedding.mask_BL[:1])
    alone = model(noisy, noisy, one, t, GRID)
    models = (model, *spread(model, 3))

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    handle = models[failing].single_blocks[0].register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        model(noisy, noisy, one, t, GRID)
    handle.remove()
    close(model(noisy, noisy, one, t, GRID), alone)


def test_what_the_devices_had_at_work_goes_with_the_failure(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy, before = tiny_model("v1.1"), draw(1, 6, 16), threading.enumerate()
    models, at_work = (model, *spread(model, 3)), []
    for each in models:
        each.img_in.register_forward_hook(lambda *given: at_work.append(weakref.ref(given[-1])))

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    models[1].single_blocks[0].register_forward_pre_hook(fail)
    gc.disable()  # which would find it sooner or later; a device that is full needs it at once
    try:
        with suppress(torch.OutOfMemoryError):
            model(noisy, noisy, Embedding(embedding.tokens_BLC[:1], embedding.mask_BL[:1]), torch.tensor([0.8]), GRID)
        threads = [thread for thread in threading.enumerate() if thread not in before]
        model.work_with((), [CPU])  # ends them
        for thread in threads:
            thread.join(60)
        assert [each() for each in at_work] == [None, None, None]
    finally:
        gc.enable()


INTERRUPTED = """
import torch
from step1x_edit.model.dit import DiT
from step1x_edit.model.parallel import Parallel
from step1x_edit.model.presets import DiTConfig
from step1x_edit.model.layers import Rope
from step1x_edit.model.records import Context

torch.set_num_threads(1)
config = DiTConfig(4, 4, 8, 8, hidden_size=16, num_heads=2, depth=1, depth_single_blocks=1, axes_dim=(4, 2, 2))
model, parallel = DiT(config).requires_grad_(False), Parallel([torch.device("cpu")] * 3)
rope = Rope.of(torch.zeros(1, 9, 3), config.axes_dim, 10000)
given = torch.randn(1, 6, 4), None, Context(torch.randn(1, 3, 8), torch.randn(1, 8)), torch.tensor([0.8]), rope


def interrupted():
    yield model
    raise KeyboardInterrupt  # as Ctrl-C while the first device is at work already


try:
    parallel.decode(interrupted(), *given, wanted=6)
except KeyboardInterrupt:
    pass
torch.testing.assert_close(parallel.decode([model] * 3, *given, wanted=6), model.decode(*given, wanted=6))
"""


def test_an_interrupt_before_all_have_begun_leaves_no_device_waiting() -> None:
    """Neither the next pass hangs, nor the end of the program, which waits for the threads."""
    subprocess.run([sys.executable, "-c", INTERRUPTED], check=True, timeout=100)


def test_passes_at_the_same_time_wait_for_one_another(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, t = tiny_model("v1.1"), torch.tensor([0.8])
    one = Embedding(embedding.tokens_BLC[:1], embedding.mask_BL[:1])
    pictures = [draw(1, 6, 16, seed=seed) for seed in range(12)]
    alone = [model(noisy, noisy, one, t, GRID) for noisy in pictures]
    spread(model, 3)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda noisy: model(noisy, noisy, one, t, GRID), pictures, timeout=60))
    close(found, alone)


def test_a_cache_that_looks_at_the_first_block_is_refused(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, noisy, t = tiny_model("v1.1"), draw(2, 6, 16), torch.tensor([0.8, 0.8])
    spread(model, 2)
    with pytest.raises(UsageError, match="all tokens on one device"):
        model(noisy, None, embedding, t, GRID, cache=StepCache("first-block", 0.1, 4))
    every = StepCache("every", 2, 4)
    for _ in range(4):
        model(noisy, None, embedding, t, GRID, cache=every)
    assert every.left_out == 1
