"""Linear layers through oneDNN against the layers themselves, and what is left to the layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.narrow import narrow_linear
from step1x_edit.model.products import feed_forward, fork, gelu, project

Draw = Callable[..., Tensor]
KEPT = slice(2, 6)


@pytest.fixture
def layers(randomise: Callable[..., None]) -> nn.Sequential:
    made = nn.Sequential(nn.Linear(24, 40), nn.GELU(approximate="tanh"), nn.Linear(40, 24)).requires_grad_(False)
    randomise(made)
    return made


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
def test_the_results_are_those_of_the_layers(layers: nn.Sequential, draw: Draw, dtype: torch.dtype, most: float) -> None:
    """In bfloat16 as near to float32 as rounding every result once makes them."""
    layers.to(dtype)
    x = draw(2, 9, 48)[..., ::2].to(dtype)  # whose channels do not lie side by side
    with torch.no_grad():
        found = [project(layers[0], x), feed_forward(layers, x), *fork(layers[0], x, 30, KEPT)]
    assert all(each.dtype is dtype for each in found)
    layers.float()
    inner = layers[0](x.float())
    exact = [inner, layers(x.float()), inner[..., :30], F.gelu(inner[:, KEPT, 30:], approximate="tanh")]
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=most, atol=most)


def test_what_is_more_than_a_linear_layer_is_called(layers: nn.Sequential, draw: Draw) -> None:
    x = draw(1, 9, 24)
    stored = narrow_linear(layers[0], "int8")
    handle = layers[0].register_forward_hook(lambda *given: given[2] + 1)
    with torch.no_grad():
        for layer in (stored, layers[0]):
            whole = layer(x)
            assert torch.equal(project(layer, x), whole)
            first, rest = fork(layer, x, 30, KEPT)
            assert torch.equal(first, whole[..., :30])
            torch.testing.assert_close(rest, gelu(whole[:, KEPT, 30:].clone()))
    handle.remove()


def test_gradients_pass(layers: nn.Sequential, draw: Draw) -> None:
    x = draw(1, 9, 24).requires_grad_()
    first, rest = fork(layers[0], x, 30, KEPT)
    (feed_forward(layers, x).sum() + project(layers[0], x).sum() + first.sum() + rest.sum()).backward()
    assert x.grad is not None and bool(x.grad.abs().sum() > 0)
