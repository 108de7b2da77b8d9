"""Optimisers: Muon for hidden matrices, AdamW for the rest, one learning-rate shape for both, and a running average of the weights.

torch.optim.Muon orthogonalises in bfloat16 always, which is eight times slower than float32 on a CPU without bfloat16 in hardware; ours
does so where it is fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from step1x_edit.devices import choose_dtype
from step1x_edit.training.processes import ALONE, Processes
from step1x_edit.training.recipe import Optim
from step1x_edit.training.sharding import local, part_like, whole

# Quintic Newton-Schulz coefficients of the Muon optimiser (Jordan et al., 2024): fast growth of small singular values, all end near 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)

# Weights that are matrices only in form: embeddings, and layers whose input or output is not a hidden state.
_NOT_HIDDEN = ("img_in", "txt_in", "input_embedder", "final_layer", "modulation", "mod.lin", "embed", "lm_head", "time_in", "vector_in")


@torch.no_grad()
def orthogonalise(matrix: Tensor, iterations: int = 5, dtype: torch.dtype = torch.float32) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: every singular value is moved to about 0.7..1.2.

    Args:
        matrix: [rows, columns].
        iterations: Newton-Schulz steps.
        dtype: precision of the products; bfloat16 is enough where it is fast.
    """
    a, b, c = _QUINTIC
    x = matrix.to(dtype)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, scaled so that its root mean square equals AdamW's (0.2): one rate serves both.

    Args:
        parameters: matrices [rows, columns], or convolutions [out, in, height, width], which count as matrices [out, in * height * width].
        lr: learning rate.
        momentum: Nesterov momentum, 0..1.
        weight_decay: decoupled, as in AdamW.
        processes: those that hold the same parameters, whole or in parts, and among which the products are shared out.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._processes = processes

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update from the gradients at hand."""
        count = self._processes.count
        for group in self.param_groups:
            pairs = [(p, p.grad) for p in group["params"] if p.grad is not None]
            pairs.sort(key=lambda pair: pair[0].numel(), reverse=True)  # so that what the processes do at once is of one size
            for first in range(0, len(pairs), count):
                self._update(pairs[first : first + count], group)

    def _update(self, pairs: Sequence[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        """Update some parameters, of which each process orthogonalises one."""
        for p, gradient in pairs:
            if not self.state[p]:
                self.state[p] = _state_at_start(self, p)
            momentum = self.state[p]["momentum"]
            local(momentum).lerp_(local(gradient), 1 - group["momentum"])
            # the gradient itself makes room for the direction, since it is not needed any more
            local(gradient).lerp_(local(momentum), group["momentum"])
        turn = partial(orthogonalise, dtype=choose_dtype(None, pairs[0][0].device))
        updates = self._processes.share_out(turn, [whole(gradient).flatten(1) for _, gradient in pairs])
        for (p, _), update in zip(pairs, updates, strict=True):
            scale = 0.2 * max(update.shape) ** 0.5
            here = local(p)
            here.mul_(1 - group["lr"] * group["weight_decay"])
            here.add_(part_like(update.view(p.shape), p), alpha=-group["lr"] * scale)


def is_hidden(name: str, p: Tensor, settings: Optim) -> bool:
    """Whether a parameter is trained by Muon."""
    return settings.muon_lr is not None and p.ndim in (2, 4) and not any(part in name for part in _NOT_HIDDEN)


def build_optimizers(model: nn.Module, settings: Optim, processes: Processes = ALONE) -> list[torch.optim.Optimizer]:
    """Share the trainable parameters out: hidden matrices to Muon (where a rate for it is given), the rest to AdamW."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        (hidden if is_hidden(name, p, settings) else rest).append(p)
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        optimizers.append(torch.optim.AdamW(rest, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True))
    if hidden and settings.muon_lr is not None:
        optimizers.append(Muon(hidden, lr=settings.muon_lr, weight_decay=settings.weight_decay, processes=processes))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
            for p in group["params"]:
                optimizer.state[p] = _state_at_start(optimizer, p)
    return optimizers


def _state_at_start(optimizer: torch.optim.Optimizer, p: Tensor) -> dict[str, Tensor]:
    """What the optimiser would make at its first step; made at once, so that a checkpoint has the same tensors at every step."""
    if isinstance(optimizer, Muon):
        return {"momentum": torch.zeros_like(p)}
    count = torch.zeros((), dtype=torch.float32, device=p.device)
    return {"step": count, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}


def rate(step: int, steps: int, settings: Optim) -> float:
    """Share of the full learning rate at optimiser step `step` (from 0): linear up, flat, linear down over the last `decay` steps."""
    up = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    left = (steps - step) / settings.decay if settings.decay else 1.0
    return up * (settings.final + (1 - settings.final) * min(1.0, left))


class Average:
    """An exponential running average of the trainable weights, kept in float32; what is saved as the model.

    The first steps count for more (decay min(decay, (1 + n) / (10 + n))), so that the random start is soon forgotten. With a decay of 0
    nothing is kept beside the weights, and they are their own average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = torch.zeros((), dtype=torch.int64)
        self._model = model
        kept = _trainable(model) if decay else {}
        self.values = {name: p.detach().float().clone() for name, p in kept.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's present weights into the average."""
        done = int(self.updates)
        self.updates += 1
        if self.values:
            decay = min(self.decay, (1 + done) / (10 + done))
            present = _trainable(self._model)
            torch._foreach_lerp_(
                [local(v) for v in self.values.values()], [local(present[n].detach()).float() for n in self.values], 1 - decay
            )

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, sharded as the model is."""
        return self.values or {name: p.detach() for name, p in _trainable(self._model).items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model with the averaged weights in place of its own, which come back bit for bit."""
        present = {name: local(p.detach()) for name, p in _trainable(self._model).items() if name in self.values}
        kept = {name: value.clone() for name, value in present.items()}
        try:
            for name, value in present.items():
                value.copy_(local(self.values[name]))
            yield
        finally:
            for name, value in present.items():
                value.copy_(kept[name])


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
