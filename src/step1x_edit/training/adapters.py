"""Low-rank matrices beside frozen layers: what LoRA trains. The frozen weights may be narrow, see model/narrow.py.

A layer's output becomes W x + alpha / rank * up (down x), where only `down` and `up` learn. What is saved is in kohya's naming, which
`step1x edit --lora` and other programs read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.errors import UsageError
from step1x_edit.model import lora
from step1x_edit.model.narrow import NarrowLinear, narrow_linear
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.training.recipe import Adapter

ADAPTER_FILE = "adapter.safetensors"


class _Frozen(torch.autograd.Function):
    """x W^T for weights that do not learn: kept for the way back as they are stored, and widened again there."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, base: nn.Linear) -> Tensor:
        ctx.base = base
        return x @ _widen(base, x.dtype).T

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return gradient @ _widen(ctx.base, gradient.dtype), None


def _widen(base: nn.Linear, dtype: torch.dtype) -> Tensor:
    return base.widen(dtype) if isinstance(base, NarrowLinear) else base.weight.to(dtype)


class LowRank(nn.Module):
    """A frozen linear layer with trained matrices of a small rank beside it."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        device = base.weight.device
        self.down = nn.Parameter(torch.empty(rank, base.in_features, device=device))
        self.up = nn.Parameter(torch.empty(base.out_features, rank, device=device))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        kind = x.device.type
        if kind != "meta" and torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))
        output = _Frozen.apply(x, self.base)
        if self.base.bias is not None:
            output = output + self.base.bias.to(output.dtype)
        return output + F.linear(F.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype)) * self.scale


def attach(model: nn.Module, settings: Adapter, frozen: torch.dtype) -> None:
    """Freeze a model and put adapters on the layers that the settings name; `frozen` is the type of what does not learn, unless narrow.

    Raises:
        UsageError: a name fits no layer.
    """
    model.requires_grad_(False).to(frozen)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    for end in settings.layers:
        if not any(name.endswith(end) for name in layers):
            raise UsageError(
                f"adapter.layers names {end!r}, which ends the name of no linear layer; they are called as {next(iter(layers))}."
            )
    for name, layer in layers.items():
        if name.endswith(tuple(settings.layers)):
            parent, _, own = name.rpartition(".")
            base = layer if settings.weights == "full" else narrow_linear(layer, settings.weights)
            setattr(model.get_submodule(parent), own, LowRank(base, settings.rank, settings.alpha or settings.rank))


def initialise(model: nn.Module, seed: int) -> None:
    """Adapters at their start: `down` random, `up` zero, so that the model is what it was."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, LowRank):
            drawn = torch.empty(module.down.shape)
            nn.init.kaiming_uniform_(drawn, a=5**0.5, generator=generator)
            module.down.data.copy_(drawn)
            module.up.data.zero_()


def original_name(name: str) -> str:
    """The name that a frozen weight had before adapters were attached."""
    return name.replace(".base.", ".")


def save(folder: Path, model: Step1XEdit, weights: Mapping[str, Tensor]) -> None:
    """Write the adapters with these weights, by the names of the model's parameters; raises as `write_tensors` does."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LowRank)}
    pieces = {
        name: (lora.Piece(0, weights[f"{name}.down"].cpu(), weights[f"{name}.up"].cpu(), module.scale),) for name, module in layers.items()
    }
    outputs = {name: module.base.out_features for name, module in layers.items()}
    lora.save_adapter(folder / ADAPTER_FILE, lora.Adapter(pieces, outputs, model.preset.dit.hidden_size), "kohya")
