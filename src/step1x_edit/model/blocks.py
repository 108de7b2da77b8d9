"""The blocks of a model: what is fetched, narrowed, sharded, compiled or run again one at a time, and what its weights are counted by."""

from __future__ import annotations

from torch import nn


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The members of all lists of blocks, as they stand in the model; the one that runs after the last is the first of them again."""
    return [block for child in module.modules() if isinstance(child, nn.ModuleList) for block in child]
