"""What a model costs in memory and arithmetic, counted from shapes alone: it is run on the meta device, where tensors have no contents.

    preset = PRESETS["v1.1"]
    cost = count_transformer(preset, tokens_for(preset, 1024), rows=2)     # 57 blocks of 12 billion weights, in about a second
    print(cost.flops, cost.peak)

`count` counts any work on meta tensors, backward passes and optimizers included. This file knows nothing of devices or of what fits them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

RELEASED_TEXT = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}
RELEASED_VISION = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584}
"""Sizes of Qwen2.5-VL-7B-Instruct, the MLLM of the released versions."""


@dataclass(frozen=True)
class Cost:
    """What some work costs.

    Attributes:
        flops: multiplications and additions of matrix products, convolutions and attention.
        peak: most bytes that were held at once by tensors that the work made; what existed before does not count.
    """

    flops: int
    peak: int


@dataclass(frozen=True)
class Tokens:
    """How many tokens the DiT sees."""

    text: int
    noisy: Grid
    reference: int

    @property
    def all(self) -> int:
        """Length of the sequence that attends to itself."""
        return self.text + self.noisy.tokens + self.reference


def tokens_for(preset: Preset, size: int, references: int = 1) -> Tokens:
    """The tokens of an edit of a square picture of this side; a version that does not pad is taken to see about 512 of text."""
    side = size // preset.cell
    text = preset.text_padding or min(preset.text_limit, 512)
    return Tokens(text, Grid(side, side), references * side * side)


def build_transformer(preset: Preset, dtype: torch.dtype = torch.bfloat16) -> Step1XEdit:
    """Connector and DiT without contents."""
    with torch.device("meta"):
        return Step1XEdit(preset).to(dtype).eval()


def build_autoencoder(preset: Preset, dtype: torch.dtype = torch.bfloat16) -> Autoencoder:
    """The autoencoder without contents."""
    with torch.device("meta"):
        return Autoencoder(preset.autoencoder).to(dtype).eval()


def build_mllm(config: Any = None) -> nn.Module:
    """An MLLM without contents: of a transformers configuration, or, where there is none, of the released one's sizes."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    config = config or Qwen2_5_VLConfig(text_config=dict(RELEASED_TEXT), vision_config=dict(RELEASED_VISION))
    with torch.device("meta"):
        return Qwen2_5_VLForConditionalGeneration(config).eval()


def count_parameters(module: nn.Module, trained: bool | None = None) -> int:
    """Number of weights: all, or those that are trained, or those that are not."""
    return sum(p.numel() for p in module.parameters() if trained is None or p.requires_grad == trained)


def count_transformer(preset: Preset, tokens: Tokens, rows: int = 1, dtype: torch.dtype = torch.bfloat16) -> Cost:
    """One step of connector and DiT, as inference runs it, on so many rows at once: two where guidance compares two."""
    model = build_transformer(preset, dtype)
    return count(lambda: run_transformer(model, tokens, rows, dtype))


def run_transformer(model: Step1XEdit, tokens: Tokens, rows: int, dtype: torch.dtype) -> Tensor:
    """One forward pass on tensors without contents; with gradients where the caller has them on."""
    preset = model.preset

    def empty(*shape: int) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    words = empty(rows, tokens.text, preset.connector.in_channels)
    embedding = Embedding(words, torch.empty(rows, tokens.text, dtype=torch.bool, device="meta"))
    still = model.connector.prepare(embedding)
    context = model.connector(still, torch.empty(rows, device="meta"))
    ids = torch.empty(1, tokens.all, 3, device="meta")
    noisy = empty(rows, tokens.noisy.tokens, preset.dit.in_channels)
    reference = empty(rows, tokens.reference, preset.dit.in_channels) if tokens.reference else None
    return model.decode(noisy, reference, context, torch.empty(rows, device="meta"), ids, wanted=tokens.noisy.tokens)


def count_pictures(preset: Preset, width: int, height: int, dtype: torch.dtype = torch.bfloat16, strip_rows: int | None = None) -> Cost:
    """One picture to its latent and back; sides in pixels, strips as for `Autoencoder.use_strips`."""
    autoencoder = build_autoencoder(preset, dtype)
    autoencoder.use_strips(strip_rows)
    return count(lambda: autoencoder.decode(autoencoder.encode(torch.empty(1, 3, height, width, dtype=dtype, device="meta"))))


def count(work: Callable[[], object], grad: bool = False) -> Cost:
    """What the work costs, whose tensors lie on the meta device."""
    with torch.set_grad_enabled(grad), FlopCounterMode(display=False) as flops, FusedAttention() as attention, _Live() as live:
        work()
    return Cost(flops.get_total_flops() + attention.flops, live.peak)


class FusedAttention(TorchFunctionMode):
    """Takes attention for one step both ways, as the kernels of all devices compute it, without the table of all pairs of tokens.

    Attributes:
        flops: multiplications and additions so far: two products forwards, four backwards.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is not F.scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        return _Attention.apply(self, *args[:3])


class _Attention(torch.autograd.Function):
    """Keeps for the way back what fused kernels keep: queries, keys, values and the result."""

    @staticmethod
    def forward(ctx: Any, counter: FusedAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        ctx.counter, ctx.product = counter, 2 * query.numel() * key.shape[-2]
        counter.flops += 2 * ctx.product
        output = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, output)
        return output

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        ctx.counter.flops += 4 * ctx.product
        return None, *(torch.empty_like(x) for x in ctx.saved_tensors[:3])


class _Live(TorchDispatchMode):
    """Adds up the bytes of the storages that operations make, for as long as they are held."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in given and storage not in self._seen:
                self._seen.add(storage)
                self._hold(storage.nbytes())
                weakref.finalize(storage, self._release, storage.nbytes())
        return made

    def _hold(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)

    def _release(self, size: int) -> None:
        self.now -= size
