"""What a training step costs, counted from shapes: the editor's own code runs on the meta device, where tensors have no contents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from step1x_edit.image_io import fit_size
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.training.starting import blocks_of


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


def count_step(editor: Step1XEdit, size: int, samples: int, text: int | None = None) -> StepCost:
    """Count a step of an editor that lies on the meta device, in the types that it computes in.

    Args:
        editor: as it is trained, with adapters where there are any.
        size: side in pixels of the square with the picture's area.
        samples: how many at once.
        text: tokens of text and picture that the MLLM gives; by default what the version pads to, or 512, or its limit.
    """
    preset = editor.preset
    width, height = fit_size(1000, 1000, size, preset.cell)
    grid = Grid(height // preset.cell, width // preset.cell)
    words = text or preset.text_padding or min(512, preset.text_limit)
    dtype = editor.img_in.weight.dtype

    def empty(*shape: int, kind: torch.dtype = dtype) -> Tensor:
        return torch.empty(*shape, dtype=kind, device="meta")

    embedding = Embedding(empty(samples, words, preset.connector.in_channels), empty(samples, words, kind=torch.bool))
    picture = empty(samples, grid.tokens, preset.dit.in_channels)
    # what `forward` makes of contents (whether a mask is full, rope's angles) is left out: there are none
    still, times = editor.connector.prepare(embedding), empty(samples, kind=torch.float32)
    ids = empty(1, words + 2 * grid.tokens, 3, kind=torch.float32)
    with FlopCounterMode(display=False) as flops, _FusedAttention() as attention, _kept(editor) as kept:
        output = editor.decode(picture, picture, editor.connector(still, times), times, ids, wanted=grid.tokens)
        loss = output.float().square().mean()
        total, recomputed = kept.total, kept.outside + kept.inputs + kept.largest
        loss.backward()
    for parameter in editor.parameters():
        parameter.grad = None
    return StepCost(words + 2 * grid.tokens, flops.get_total_flops() + attention.flops, total, recomputed)


def count_parameters(module: nn.Module, trained: bool | None = None) -> int:
    """Number of weights: all, or those that are trained, or those that are not."""
    return sum(p.numel() for p in module.parameters() if trained is None or p.requires_grad == trained)


class _Attention(torch.autograd.Function):
    """Keeps for the way back what fused kernels keep: queries, keys, values and the result, but no table of all pairs of tokens."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output = torch.empty_like(query)
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        return tuple(torch.empty_like(x) for x in ctx.saved_tensors[:3])  # type: ignore[return-value]


class _FusedAttention(TorchFunctionMode):
    """Stands in for attention, which on the meta device would be the slow form; two products one way, four the other."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args[:3]
        self.flops += 12 * query.numel() * key.shape[-2]
        return _Attention.apply(query, key, value)


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
