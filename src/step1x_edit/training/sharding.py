"""How a model lies on the devices: sharded over them or whole on each, computed in bfloat16, its blocks compiled or run again backwards.

FSDP2 keeps of every weight, of its gradient, of its optimiser state and of its running average only a part on each device, all in float32,
and puts the weights of one block together, in bfloat16, while that block is at work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.utils.checkpoint import checkpoint

from step1x_edit.errors import UsageError
from step1x_edit.training.processes import Processes
from step1x_edit.training.recipe import Recipe

SHARDED = 100_000_000
"""Trained weights from which on processes share them out, where the recipe does not say."""


def recompute(blocks: Sequence[nn.Module]) -> None:
    """Let blocks keep their inputs alone for the way back, and compute the rest again: a third more work, a small part of the memory."""
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]


def check_compiling(device: torch.device) -> None:
    """Refuse to compile on a CPU, where it takes longer than it ever gives back; raises UsageError."""
    if device.type == "cpu":
        raise UsageError("compile gains nothing on a CPU and takes minutes; leave it out (compile = false).")


def compile_blocks(blocks: Sequence[nn.Module], backend: str | Callable[..., Any] = "inductor") -> None:
    """Compile each block by itself: blocks of a kind share their code, so that the first step takes a minute and not a quarter of an hour.

    Comes before `recompute`, whose checkpoint Dynamo would not look into.
    """
    for block in blocks:
        block.forward = torch.compile(block.forward, backend=backend)  # type: ignore[method-assign]


def shard(model: nn.Module, blocks: Sequence[nn.Module], processes: Processes, device: torch.device, dtype: torch.dtype) -> None:
    """Spread a model over the processes, block by block, to be computed in `dtype`; a single process keeps it whole."""
    if processes.count == 1:
        return
    precision = MixedPrecisionPolicy(
        param_dtype=dtype if dtype is torch.bfloat16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    mesh = init_device_mesh(device.type, (processes.count,))
    for part in (*blocks, model):
        fully_shard(part, mesh=mesh, mp_policy=precision)


def is_sharded(recipe: Recipe, model: nn.Module) -> bool:
    """Whether several processes would share out what a recipe trains."""
    if recipe.adapter is not None:
        return False  # what adapters learn is small, and frozen weights need no copies beside them
    return recipe.shard == "always" or (recipe.shard == "auto" and sum(p.numel() for p in model.parameters()) >= SHARDED)


def let_go(model: nn.Module) -> None:
    """Drop the weights that a sharded model has put together for a forward pass that no backward pass follows: they would be used again."""
    if isinstance(model, FSDPModule):
        model.reshard()


def local(tensor: Tensor) -> Tensor:
    """The part of a tensor that lies here; all of it, where it is not sharded. It shares the memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor put together; every process must ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_like(whole_tensor: Tensor, like: Tensor) -> Tensor:
    """What of a whole tensor lies here, if it is sharded like another one of its shape."""
    if not isinstance(like, DTensor):
        return whole_tensor
    replicated = DTensor.from_local(whole_tensor, like.device_mesh, [Replicate()], run_check=False)
    return replicated.redistribute(placements=like.placements).to_local()
