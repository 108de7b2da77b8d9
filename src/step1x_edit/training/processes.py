"""The processes of a run: one alone, or those that torchrun starts, which share every step's batch among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class Processes:
    """Who else is training.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        background: group in which checkpoints are written, beside the training's own messages.
    """

    rank: int
    count: int
    background: Any

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, samples: range) -> range:
        """This process's part of a step's samples.

        Raises:
            UsageError: they cannot be shared out evenly.
        """
        if len(samples) % self.count:
            raise UsageError(f"A batch of {len(samples)} cannot be shared by {self.count} processes; make it a multiple of {self.count}.")
        size = len(samples) // self.count
        return samples[self.rank * size : (self.rank + 1) * size]

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes of a value that each has."""
        if self.count > 1:
            dist.all_reduce(value)
            value /= self.count
        return value

    def any(self, asked: bool, device: torch.device) -> bool:
        """Whether at least one process says yes, so that all of them go the same way."""
        if self.count == 1:
            return asked
        return bool(self.mean(torch.tensor(float(asked), device=device)) > 0)

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every process the mean of the gradients, for weights that all of them hold whole."""
        if self.count > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    self.mean(parameter.grad)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device, torchrun: bool = False) -> Iterator[Processes]:
    """Meet the other processes, and part from them at the end; without torchrun there are none.

    A run of one process is a group of one, so that its checkpoints are written and read in the same way.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if torchrun:
        dist.init_process_group(backend)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))
    finally:
        dist.destroy_process_group()
