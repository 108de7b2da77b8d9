"""Weights of one byte: how much they round, and what they keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.narrow import NARROW, NarrowLinear, narrow
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

Draw = Callable[..., Tensor]


def layer(draw: Draw, outputs: int = 96, inputs: int = 64) -> nn.Linear:
    linear = nn.Linear(inputs, outputs).requires_grad_(False)
    linear.weight.copy_(draw(outputs, inputs, seed=3) * torch.logspace(-6, 2, outputs)[:, None])
    return linear


@pytest.mark.parametrize(("kind", "error"), [("float8", 2**-4), ("int8", 2**-7)])
def test_every_output_is_near(draw: Draw, kind: str, error: float) -> None:
    """A bound of the error of each output's weights, relative to the largest of them."""
    linear = layer(draw)
    stored = NarrowLinear(linear, NARROW[kind])
    assert stored.weight.element_size() == 1
    wide = stored.weight.float() * stored.scale[:, None]
    assert ((wide - linear.weight).abs().amax(1) <= error * linear.weight.abs().amax(1)).all()
    x = draw(5, 64)
    torch.testing.assert_close(stored(x), nn.functional.linear(x, wide, linear.bias), rtol=1e-4, atol=1e-4)


def test_weights_that_were_released_in_float8_stay_as_they_are(draw: Draw) -> None:
    linear = layer(draw)
    linear.weight.copy_((draw(96, 64) * 0.02).to(torch.float8_e4m3fn).float())
    stored = NarrowLinear(linear, torch.float8_e4m3fn)
    assert torch.equal(stored.weight.float() * stored.scale[:, None], linear.weight)


def test_a_row_of_zeros_stays_zero(draw: Draw) -> None:
    linear = layer(draw)
    linear.weight[0] = 0
    for dtype in NARROW.values():
        assert torch.equal(NarrowLinear(linear, dtype)(draw(5, 64))[:, 0], linear.bias[0].expand(5))


@pytest.mark.parametrize("kind", NARROW)
def test_the_blocks_of_a_model_are_stored(tiny_model: Callable[..., Step1XEdit], embedding: Embedding, draw: Draw, kind: str) -> None:
    model, grid, t = tiny_model("v1.0"), Grid(2, 3), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)
    exact = model(draw(2, 6, 16), draw(2, 6, 16, seed=2), embedding, t, grid)
    narrow(model, kind)
    blocks = [*model.double_blocks, *model.single_blocks, *model.connector.S.individual_token_refiner.blocks]
    assert all(isinstance(m, NarrowLinear) for block in blocks for m in block.modules() if isinstance(m, nn.Linear))
    assert not isinstance(model.img_in, NarrowLinear)
    stored = model(draw(2, 6, 16), draw(2, 6, 16, seed=2), embedding, t, grid)
    error = float((stored - exact).square().mean().sqrt() / exact.std())
    assert 0 < error < (0.06 if kind == "float8" else 0.02)
