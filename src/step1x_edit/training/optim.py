"""Optimisers: Muon for hidden matrices, AdamW for the rest, one learning-rate shape for both, and a running average of the weights.

torch.optim.Muon orthogonalises in bfloat16 always, which is eight times slower than float32 on a CPU without bfloat16 in hardware; ours
does so where it is fast.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from step1x_edit.devices import choose_dtype
from step1x_edit.training.recipe import Optim

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
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one update from the gradients at hand."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                direction = p.grad.lerp(state["momentum"], group["momentum"])
                update = orthogonalise(direction.flatten(1), dtype=choose_dtype(None, p.device))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update.view_as(p), alpha=-group["lr"] * 0.2 * max(update.shape) ** 0.5)


def build_optimizers(model: nn.Module, settings: Optim) -> list[torch.optim.Optimizer]:
    """Share the trainable parameters out: hidden matrices to Muon (where a rate for it is given), the rest to AdamW."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        is_hidden = settings.muon_lr is not None and p.ndim in (2, 4) and not any(part in name for part in _NOT_HIDDEN)
        (hidden if is_hidden else rest).append(p)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=settings.lr, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)
    ]
    if hidden and settings.muon_lr is not None:
        optimizers.append(Muon(hidden, lr=settings.muon_lr, weight_decay=settings.weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def rate(step: int, steps: int, settings: Optim) -> float:
    """Share of the full learning rate at optimiser step `step` (from 0): linear up, flat, linear down over the last `decay` steps."""
    up = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    left = (steps - step) / settings.decay if settings.decay else 1.0
    return up * (settings.final + (1 - settings.final) * min(1.0, left))


class Average:
    """An exponential running average of the trainable weights, kept in float32; what is saved as the model.

    The first steps count for more (decay min(decay, (1 + n) / (10 + n))), so that the random start is soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {name: p.detach().float().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's present weights into the average."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        present = dict(model.named_parameters())
        torch._foreach_lerp_(list(self.values.values()), [present[name].detach().float() for name in self.values], 1 - decay)

    def state_dict(self) -> dict[str, object]:
        """What `load_state_dict` needs."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a saved average."""
        self.updates = int(state["updates"])  # type: ignore[call-overload]
        for name, value in state["values"].items():  # type: ignore[attr-defined]
            self.values[name].copy_(value)
