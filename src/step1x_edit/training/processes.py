"""The processes of a run: one alone, or those that torchrun starts, which share every step's batch among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from step1x_edit.errors import UsageError

MESSAGE = 2**23
"""Most numbers that travel together: 32 MiB of float32."""

LONGEST_WAIT = timedelta(days=7)
"""How long processes wait for one another where one may have much more to do, as when a large set is encoded or a large model written."""


@dataclass(frozen=True)
class Processes:
    """Who else is training.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
        background: group in which checkpoints are written and processes wait, beside the training's own messages.
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
        """Give every process the mean of the gradients, for weights that all of them hold whole; many travel in one message."""
        if self.count == 1:
            return
        for gradients in together([p.grad for p in parameters if p.grad is not None]):
            mean = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
            for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def share_out(self, work: Callable[[Tensor], Tensor], items: Sequence[Tensor]) -> list[Tensor]:
        """The work's result for each item, which every process has and whose shape it keeps; each process does a part, and gets all."""
        if self.count == 1:
            return [work(item) for item in items]
        owners = [number % self.count for number in range(len(items))]
        results = [
            work(item).contiguous() if owner == self.rank else torch.empty(item.shape, dtype=item.dtype, device=item.device)
            for item, owner in zip(items, owners, strict=True)
        ]
        for result, owner in zip(results, owners, strict=True):
            dist.broadcast(result, src=owner)
        return results

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier(group=self.background)


ALONE = Processes(rank=0, count=1, background=None)
"""One process that has no group, for what needs none."""


def together(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one type, one after the other, in lists of at most `MESSAGE` numbers, or of one tensor."""
    taken: list[Tensor] = []
    for tensor in tensors:
        if taken and (tensor.dtype is not taken[0].dtype or sum(t.numel() for t in taken) + tensor.numel() > MESSAGE):
            yield taken
            taken = []
        taken.append(tensor)
    if taken:
        yield taken


@contextmanager
def joined(device: torch.device, torchrun: bool = False) -> Iterator[Processes]:
    """Meet the other processes, and part from them at the end; without torchrun there are none.

    A run of one process is a group of one, so that its checkpoints are written and read in the same way.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if torchrun:
        dist.init_process_group(backend, timeout=LONGEST_WAIT)
    else:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=LONGEST_WAIT))
    finally:
        dist.destroy_process_group()
