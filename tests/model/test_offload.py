"""Weights that wait in main memory: the numbers are the same, and no more is on the device than was said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.costs import count
from step1x_edit.model.lora import Adapter, Piece, merge_adapters
from step1x_edit.model.offload import Waiting, _place
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

Model = Callable[..., Step1XEdit]
Draw = Callable[..., Tensor]
GRID = Grid(2, 3)
T = torch.tensor([0.5, 0.5])


def test_blocks_come_in_the_order_in_which_they_run(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    model, entered = tiny_model("v1.0"), []
    blocks = blocks_of(model)
    for i, block in enumerate(blocks):
        block.register_forward_pre_hook(lambda *_, i=i: entered.append(i))
    model(draw(2, 6, 16), None, embedding, T, GRID)
    start = entered.index(0)
    assert entered[start:] + entered[:start] == list(range(len(blocks)))


@pytest.mark.parametrize("by_blocks", [False, True])
def test_the_numbers_are_the_same(tiny_model: Model, embedding: Embedding, draw: Draw, by_blocks: bool) -> None:
    model, other = tiny_model("v1.0"), tiny_model("v1.2", 5)
    expected = [each(draw(2, 6, 16), draw(2, 6, 16, seed=2), embedding, T, GRID) for each in (model, other)]
    waiting = Waiting(torch.device("cpu"))
    waiting.add(model, by_blocks)
    waiting.add(other, by_blocks)
    for _ in range(2):
        for each, exact in zip((model, other), expected, strict=True):
            assert torch.equal(each(draw(2, 6, 16), draw(2, 6, 16, seed=2), embedding, T, GRID), exact)


class _Event:
    """Of a GPU that has no end of work: nothing is done until it is waited for."""

    waits = 0

    def synchronize(self) -> None:
        _Event.waits += 1


class _Stream:
    def __init__(self, device: object = None) -> None:
        pass

    def wait_event(self, event: _Event) -> None:
        """The GPU waits, the host does not."""

    def record_event(self) -> _Event:
        return _Event()


class _Cuda:
    type = "cuda"


def test_fetching_does_not_run_ahead_of_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA as far as the host sees it: copies and kernels are queued, and whoever does not wait for them piles up memory."""
    monkeypatch.setattr(torch.cuda, "Stream", _Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: _Stream())
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr("step1x_edit.model.offload._pin", lambda tensor: tensor)
    monkeypatch.setattr(Tensor, "record_stream", lambda self, stream: None)
    moved, to = [], Tensor.to
    monkeypatch.setattr(Tensor, "to", lambda self, device, **options: moved.append(_Event.waits) or to(self.clone(), "cpu"))
    layers = nn.Sequential(*(nn.Linear(8, 8) for _ in range(5))).requires_grad_(False)
    model = nn.Module()
    model.blocks = nn.ModuleList(layers)
    monkeypatch.setattr(_Event, "waits", 0)
    waiting = Waiting(_Cuda())  # type: ignore[arg-type]
    waiting.add(model, by_blocks=True)
    with torch.inference_mode():
        x = torch.randn(1, 8)
        for layer in model.blocks:
            x = layer(x)
    # two blocks come at once; each further one only after the block before the one at work was waited for; two tensors each
    assert moved == [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("by_blocks", [False, True])
def test_adapters_stay_merged(tiny_model: Model, embedding: Embedding, draw: Draw, by_blocks: bool) -> None:
    model, merged = (tiny_model("v1.1").bfloat16() for _ in range(2))
    pieces = {"single_blocks.0.linear2": (Piece(0, draw(2, 160), draw(32, 2), 1.0),), "img_in": (Piece(0, draw(2, 16), draw(32, 2), 1.0),)}
    adapter = Adapter(pieces, {"single_blocks.0.linear2": 32, "img_in": 32}, 32)
    waiting = Waiting(torch.device("cpu"))
    waiting.add(model, by_blocks)
    waiting.send_back()
    for each in (model, merged):
        merge_adapters(each, [(adapter, 1.0)])
    noisy, reference, words = draw(2, 6, 16).bfloat16(), draw(2, 6, 16, seed=2).bfloat16(), embedding.to(dtype=torch.bfloat16)
    assert torch.equal(model(noisy, reference, words, T, GRID), merged(noisy, reference, words, T, GRID))


def test_a_block_that_waits_is_left_alone(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    """Each block comes and goes once a pass, however many there are."""
    model, moved = tiny_model("v1.0"), 0
    waiting = Waiting(torch.device("cpu"))
    waiting.add(model, by_blocks=True)

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal moved
        moved += event == "call" and frame.f_code is _place.__code__

    model(draw(2, 6, 16), None, embedding, T, GRID)
    sys.setprofile(watch)
    try:
        model(draw(2, 6, 16), None, embedding, T, GRID)
    finally:
        sys.setprofile(None)
    assert moved == 2 * sum(len(list(block.parameters())) for block in blocks_of(model))


def size(*modules: nn.Module) -> int:
    return sum(p.nbytes for module in modules for p in module.parameters())


def on_device(model: nn.Module) -> list[str]:
    return [name for name, p in model.named_parameters() if p.device.type == "meta"]


def test_what_is_on_the_device(tiny_model: Model, embedding: Embedding, draw: Draw) -> None:
    """The meta device stands for a GPU: what is copied there is counted."""
    model, other = tiny_model("v1.0"), tiny_model("v1.0")
    waiting = Waiting(torch.device("meta"))
    waiting.add(model, by_blocks=True)
    waiting.add(other, by_blocks=False)
    assert not on_device(model) and not on_device(other)
    words = embedding.to("meta")

    def run(each: Step1XEdit) -> None:
        each(draw(2, 6, 16).to("meta"), draw(2, 6, 16).to("meta"), words, T.to("meta"), GRID)

    resident: list[int] = []
    for block in blocks_of(model):
        block.register_forward_hook(lambda *_: resident.append(sum(p.nbytes for p in model.parameters() if p.device.type == "meta")))
    run(model)
    blocks = blocks_of(model)
    outside = size(model) - size(*blocks)
    largest = max(size(block) for block in blocks)
    assert outside < max(resident) <= outside + 2 * largest < size(model)

    run(other)
    assert not on_device(model) and len(on_device(other)) == len(list(other.parameters()))
    waiting.send_back()
    assert not on_device(other)
    activations = count(lambda: run(tiny_model("v1.0").to("meta"))).peak
    measured = count(lambda: run(model)).peak
    assert measured <= activations + outside + 2 * largest + size(blocks[0]) // 10
