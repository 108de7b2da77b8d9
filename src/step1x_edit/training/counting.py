"""What a training step costs, counted from shapes: the editor's own code runs on the meta device, where tensors have no contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.costs import FusedAttention, run_transformer, tokens_for
from step1x_edit.model.step1x_edit import Step1XEdit


@dataclass(frozen=True)
class StepCost:
    """A forward and a backward pass on some samples.

    Attributes:
        tokens: length of the DiT's sequence: text, noisy and reference tokens.
        flops: multiplications and additions of matrix products and attention, both ways; what is run again does not count.
        kept: bytes that are kept for the way back.
        recomputed: the same where blocks are run again: their inputs, what lies outside of them, and all of one block.
    """

    tokens: int
    flops: int
    kept: int
    recomputed: int


def count_step(editor: Step1XEdit, size: int, samples: int, text: int | None = None, dtype: torch.dtype = torch.float32) -> StepCost:
    """Count a step of an editor that lies on the meta device.

    Args:
        editor: as it is trained, with adapters where there are any; its weights of any type.
        size: side in pixels of the square with the picture's area.
        samples: how many at once.
        text: tokens of text and picture that the MLLM gives; by default what the version pads to, or 512, or its limit.
        dtype: what products are computed in. In bfloat16 norms are computed in float32, as by CUDA's autocast.
    """
    preset = editor.preset
    tokens = tokens_for(preset, size)
    tokens = tokens if text is None else replace(tokens, text=text)
    with FlopCounterMode(display=False) as flops, FusedAttention() as attention, _kept(editor) as kept, _Autocast(dtype):
        loss = run_transformer(editor, tokens, samples, dtype).float().square().mean()
        total, recomputed = kept.total, kept.outside + kept.inputs + kept.largest
        loss.backward()
    for parameter in editor.parameters():
        parameter.grad = None
    return StepCost(tokens.all, flops.get_total_flops() + attention.flops, total, recomputed)


class _Autocast(TorchFunctionMode):
    """What CUDA's autocast does with types, for tensors on the meta device: products in `dtype`, norms in float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        wanted, named = {F.layer_norm: torch.float32, F.linear: self._dtype}.get(function), kwargs or {}
        if wanted is None:
            return function(*args, **named)
        return function(*(_cast(each, wanted) for each in args), **{name: _cast(value, wanted) for name, value in named.items()})


def _cast(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


class _Kept:
    """Bytes of the storages that are kept for the way back, each counted once; weights do not count."""

    def __init__(self, editor: Step1XEdit) -> None:
        self.total = self.outside = self.inputs = self.largest = 0
        self._seen = {p.untyped_storage()._cdata for p in editor.parameters()}
        self._entered: set[int] = set()
        self._held: list[Tensor] = []  # so that no storage's address is used twice
        self._block = 0

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self._held.append(tensor.detach())
            self.total += storage.nbytes()
        return tensor

    def enter(self, block: nn.Module, inputs: tuple[Any, ...]) -> None:
        for tensor in inputs:
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self._entered:
                self._entered.add(tensor.untyped_storage()._cdata)
                self._held.append(tensor.detach())
                self.inputs += tensor.untyped_storage().nbytes()
        self.outside += self.total - self._block
        self._block = self.total

    def leave(self, block: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.largest = max(self.largest, self.total - self._block)
        self._block = self.total


@contextmanager
def _kept(editor: Step1XEdit) -> Iterator[_Kept]:
    kept = _Kept(editor)
    blocks = blocks_of(editor)
    hooks = [b.register_forward_pre_hook(kept.enter) for b in blocks] + [b.register_forward_hook(kept.leave) for b in blocks]
    try:
        with torch.autograd.graph.saved_tensors_hooks(kept.keep, lambda tensor: tensor):
            yield kept
    finally:
        for hook in hooks:
            hook.remove()
