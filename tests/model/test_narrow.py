"""Narrow weights: how much they round, and what they keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.model.narrow import GROUP, NARROW, Int4Linear, NarrowLinear, narrow, narrow_linear
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
    stored = narrow_linear(linear, kind)
    assert stored.weight.nbytes == linear.weight.numel()
    wide = stored.widen(torch.float32)
    assert ((wide - linear.weight).abs().amax(1) <= error * linear.weight.abs().amax(1)).all()
    x = draw(5, 64)
    torch.testing.assert_close(stored(x), nn.functional.linear(x, wide, linear.bias), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "error"), [("float8", 0.04), ("int8", 0.02), ("int4", 0.12)])
def test_float16_holds_the_sums_of_a_wide_layer(draw: Draw, kind: str, error: float) -> None:
    """Outputs of some hundreds, of activations and weights as large models have them; without scales the sums are beyond 65504."""
    linear = nn.Linear(3072, 64).requires_grad_(False)
    linear.weight.copy_(draw(64, 3072) * 0.02)
    x = draw(8, 3072, seed=1) * 60
    out = narrow_linear(linear.half(), kind)(x.half()).float()
    wanted = nn.functional.linear(x, linear.weight.float(), linear.bias.float())
    assert out.isfinite().all() and (out - wanted).norm() < error * wanted.norm()


def test_weights_that_were_released_in_float8_stay_as_they_are(draw: Draw) -> None:
    linear = layer(draw)
    linear.weight.copy_((draw(96, 64) * 0.02).to(torch.float8_e4m3fn).float())
    assert torch.equal(narrow_linear(linear, "float8").widen(torch.float32), linear.weight)


@pytest.mark.parametrize("inputs", [64, 50])
def test_in_int4_every_weight_is_near_within_its_group(draw: Draw, inputs: int) -> None:
    """Half a step at most, or, at the end that has one step less, a whole one; a step is an eighth of the group's largest weight."""
    linear = layer(draw, inputs=inputs)
    stored = narrow_linear(linear, "int4")
    groups = -(-inputs // GROUP)
    assert (stored.weight.nbytes, stored.scale.shape) == (96 * groups * GROUP // 2, (96, groups))
    wide = stored.widen(torch.float32)
    assert wide.shape == linear.weight.shape
    for start in range(0, inputs, GROUP):
        exact, near = linear.weight[:, start : start + GROUP], wide[:, start : start + GROUP]
        step = exact.abs().amax(1, keepdim=True) / 8
        assert ((near - exact).abs() <= step * 1.0001).all()
        farthest = exact.abs().argmax(1, keepdim=True)
        torch.testing.assert_close(near.gather(1, farthest), exact.gather(1, farthest))
        others = exact * exact.gather(1, farthest).sign() > -7.5 * step
        assert ((near - exact).abs()[others] <= (step.expand_as(exact)[others] * 0.5001)).all()
    x = draw(5, inputs)
    torch.testing.assert_close(stored(x), nn.functional.linear(x, wide, linear.bias), rtol=1e-4, atol=1e-4)


def test_int4_is_laid_out_as_in_ggml(draw: Draw) -> None:
    """A group's first byte holds its first weight in the lower half, and the seventeenth in the upper one."""
    linear = nn.Linear(GROUP, 1, bias=False).requires_grad_(False)
    linear.weight.copy_(torch.arange(-16, 16) / 2)
    stored = narrow_linear(linear, "int4")
    assert isinstance(stored, Int4Linear) and stored.scale.item() == 1
    assert stored.weight[0, 0, 0] == (-8 + 8) | (0 + 8) << 4
    assert stored.weight[0, 0, 15] == (0 + 8) | (7 + 8) << 4  # -1/2 is rounded to an even number, 15/2 is 7 at most


def test_what_rounding_costs(draw: Draw) -> None:
    """The shares of docs/speed_memory.md: the error of a layer's output, for normally distributed weights in bfloat16."""
    linear = nn.Linear(3072, 256, bias=False, dtype=torch.bfloat16).requires_grad_(False)
    linear.weight.copy_(draw(256, 3072))
    errors = {}
    for kind in NARROW:
        error = narrow_linear(linear, kind).widen(torch.float32) - linear.weight.float()
        errors[kind] = float(error.square().mean().sqrt() / linear.weight.float().square().mean().sqrt())
    assert errors == pytest.approx({"float8": 0.026, "int8": 0.0086, "int4": 0.086}, rel=0.03)


def test_a_row_of_zeros_stays_zero(draw: Draw) -> None:
    linear = layer(draw)
    linear.weight[0] = 0
    for kind in NARROW:
        assert torch.equal(narrow_linear(linear, kind)(draw(5, 64))[:, 0], linear.bias[0].expand(5))


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
    assert 0 < error < {"float8": 0.06, "int8": 0.02, "int4": 0.15}[kind]
