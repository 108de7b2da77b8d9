"""How a model lies on devices, where that can be seen without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from step1x_edit.errors import UsageError
from step1x_edit.training.sharding import check_compiling, compile_blocks, local, part_like, recompute, whole


def test_running_a_block_again_gives_the_same_gradients() -> None:
    torch.manual_seed(0)
    block, x = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)), torch.randn(3, 4)
    gradients = []
    for again in (False, True):
        if again:
            recompute([block])
        block.zero_grad()
        block(x).square().sum().backward()
        gradients.append([p.grad.clone() for p in block.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_compiling_on_a_cpu_is_refused_in_one_sentence() -> None:
    with pytest.raises(UsageError, match="gains nothing on a CPU"):
        check_compiling(torch.device("cpu"))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # which Dynamo reads of what comes out of a block
@pytest.mark.parametrize("again", [False, True])
def test_each_block_is_compiled_whether_it_runs_again_or_not(again: bool) -> None:
    torch.manual_seed(0)
    blocks, x = [nn.Sequential(nn.Linear(4, 4), nn.GELU()) for _ in range(2)], torch.randn(3, 4)
    exact = blocks[1](blocks[0](x))
    seen: list[torch.fx.GraphModule] = []

    def count(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        seen.append(graph)
        return graph.forward

    compile_blocks(blocks, backend=count)
    if again:
        recompute(blocks)
    found = blocks[1](blocks[0](x))
    assert seen and torch.equal(found, exact)
    found.sum().backward()
    assert all(p.grad is not None for block in blocks for p in block.parameters())


def test_a_tensor_that_is_not_sharded_is_its_own_part() -> None:
    tensor = torch.ones(2)
    assert local(tensor) is whole(tensor) is part_like(tensor, torch.zeros(2)) is tensor
