"""What is counted on the meta device is what the same code does on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.training.counting import StepCost, count_step
from step1x_edit.training.sharding import recompute

MINI = PRESETS["mini"]


def counted(samples: int = 2) -> StepCost:
    with torch.device("meta"):
        return count_step(Step1XEdit(MINI), 64, samples, text=20)


def measured(again: bool = False, attention: SDPBackend = SDPBackend.FLASH_ATTENTION) -> tuple[int, int]:
    """Operations and kept bytes of a real step. The CPU's fast attention is not counted, only its plain form; nor what runs again."""
    editor, kept = Step1XEdit(MINI), dict[int, int]()
    weights = {p.untyped_storage().data_ptr() for p in editor.parameters()}
    if again:
        recompute(blocks_of(editor))
    held: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            held.append(tensor.detach())
        return tensor

    embedding = Embedding(torch.randn(2, 20, 192), torch.ones(2, 20, dtype=torch.bool))
    picture = torch.randn(2, 64, MINI.dit.in_channels)
    watching = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with sdpa_kernel([attention, SDPBackend.MATH], set_priority=True), FlopCounterMode(display=False) as flops, watching:
        editor(picture, picture, embedding, torch.rand(2), Grid(8, 8)).square().mean().backward()
    return flops.get_total_flops(), sum(kept.values())


def test_operations_and_memory_are_those_of_a_real_step() -> None:
    cost, (flops, _), (_, kept) = counted(), measured(attention=SDPBackend.MATH), measured()
    assert cost.tokens == 20 + 2 * 64
    assert cost.flops == pytest.approx(flops, rel=0.02)
    assert cost.kept == pytest.approx(kept, rel=0.05)


def test_running_again_keeps_less_and_more_samples_cost_more() -> None:
    one, two = counted(1), counted(2)
    assert measured(again=True)[1] < two.recomputed < 0.5 * two.kept
    assert two.flops == pytest.approx(2 * one.flops, rel=1e-6)
    assert two.kept == pytest.approx(2 * one.kept, rel=0.05)
