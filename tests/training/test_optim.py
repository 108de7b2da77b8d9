"""Muon, the learning rate's shape, and the running average, against slower formulations of the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from step1x_edit.training.optim import Average, Muon, build_optimizers, orthogonalise, rate
from step1x_edit.training.recipe import Optim


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalise_keeps_directions_and_evens_out_lengths(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonalise(matrix, iterations=8) @ v.T  # diagonal in the matrix's own directions
    values = turned.diagonal()
    assert (turned - torch.diag(values)).abs().max() < 1e-3
    assert values.min() > 0.6 and values.max() < 1.3


def test_muon_moves_by_the_same_root_mean_square_whatever_the_gradient() -> None:
    for scale in (1e-4, 1e3):
        p = nn.Parameter(torch.zeros(16, 48))
        p.grad = scale * torch.randn(16, 48, generator=torch.Generator().manual_seed(1))
        Muon([p], lr=0.1).step()
        assert p.detach().square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.25)


def test_muon_takes_a_convolution_as_a_matrix() -> None:
    gradient = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    convolution, matrix = nn.Parameter(torch.zeros(6, 4, 3, 3)), nn.Parameter(torch.zeros(6, 36))
    convolution.grad, matrix.grad = gradient, gradient.flatten(1).clone()  # the step changes gradients in place
    Muon([convolution], lr=0.1).step()
    Muon([matrix], lr=0.1).step()
    assert torch.equal(convolution.flatten(1), matrix)


def test_hidden_matrices_go_to_muon_and_every_parameter_to_one_optimiser() -> None:
    model = nn.ModuleDict({"img_in": nn.Linear(4, 4), "block": nn.Linear(4, 4), "norm": nn.LayerNorm(4)})
    adam, muon = build_optimizers(model, Optim(lr=1e-3, muon_lr=1e-2))
    assert [p for g in muon.param_groups for p in g["params"]] == [model["block"].weight]
    assert sum(len(g["params"]) for o in (adam, muon) for g in o.param_groups) == len(list(model.parameters()))
    assert len(build_optimizers(model, Optim(lr=1e-3))) == 1


def test_adapters_may_all_go_to_muon() -> None:
    model = nn.ModuleDict({"img_attn": nn.Linear(4, 4, bias=False)})
    (muon,) = build_optimizers(model, Optim(lr=1e-3, muon_lr=1e-2))
    assert isinstance(muon, Muon)


def test_rate_rises_stays_and_falls() -> None:
    settings = Optim(lr=1, warmup=4, decay=5, final=0.1)
    rates = [rate(step, 20, settings) for step in range(20)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:16] == [1.0] * 12
    assert rates[16:] == pytest.approx([0.82, 0.64, 0.46, 0.28])


def test_average_follows_the_weights_and_forgets_the_start() -> None:
    model = nn.Linear(1, 1, bias=False)
    average, slow = Average(model, decay=0.5), float(model.weight.detach())
    for step in range(12):
        with torch.no_grad():
            model.weight.fill_(float(step))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        slow = decay * slow + (1 - decay) * step
    assert float(average.values["weight"]) == pytest.approx(slow)
    with average.applied():
        assert torch.equal(model.weight.detach(), average.values["weight"])
    assert float(model.weight.detach()) == 11.0


def test_without_decay_the_weights_are_their_own_average() -> None:
    model = nn.Linear(1, 1)
    average = Average(model, decay=0)
    assert average.values == {}
    assert average.weights()["weight"].data_ptr() == model.weight.data_ptr()
