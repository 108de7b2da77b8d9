"""Narrow weights: the large matrices of the blocks are stored in one byte or half of one, and widened, one at a time, when they are used.

Biases, normalisations, the ends of the model and the autoencoder keep the type that is computed in. Weights that were released in float8
are kept exactly. Choice: plain torch; a quantisation library would add kernels for some GPUs, but no accuracy.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.blocks import blocks_of

WeightsType = Literal["full", "float8", "int8", "int4"]
"""In which the matrices of a model's blocks may lie; "full" is the type that is computed in."""
NARROW: tuple[WeightsType, ...] = ("float8", "int8", "int4")
GROUP = 32
"""Neighbouring weights of an output that share a scale in int4, as in ggml's Q4_0: with it, a weight takes four and a half bits."""


class NarrowLinear(nn.Linear):
    """A linear layer whose weight is kept in another type than is computed in, with scales.

    Attributes:
        weight: as it is stored; see the subclasses.
        scale: in the type of the weight before; the narrow numbers are rounded to fit what is left of it there.
    """

    scale: Tensor
    beside: ClassVar[float] = 0.0
    """Bytes a weight that widening takes for a moment, beside the widened weight."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.bias = linear.bias
        weight, scale = self.store(linear.weight)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.register_buffer("scale", scale)

    @torch.no_grad()
    def fill(self, wide_OI: Tensor) -> None:
        """Take another weight in place of its own."""
        weight, scale = self.store(wide_OI.to(self.scale.device, self.scale.dtype))
        self.weight.copy_(weight)
        self.scale.copy_(scale)

    @staticmethod
    def store(wide_OI: Tensor) -> tuple[Tensor, Tensor]:
        """The weight and its scales, as they are kept."""
        raise NotImplementedError

    def widen(self, dtype: torch.dtype) -> Tensor:
        """The weight in that type, [O, I]."""
        raise NotImplementedError


class ByteLinear(NarrowLinear):
    """One byte a weight, [O, I], and a scale for each output, [O]."""

    def forward(self, x: Tensor) -> Tensor:
        """As the linear layer; the scales act on the result, which is smaller, but in float16, which sums without scales go beyond."""
        if x.dtype is torch.float16:
            return F.linear(x, self.widen(x.dtype), self.bias)
        out = F.linear(x, self.weight.to(x.dtype)) * self.scale
        return out if self.bias is None else out + self.bias

    def widen(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype).mul_(self.scale.to(dtype)[:, None])


class Float8Linear(ByteLinear):
    """float8 (e4m3), whose scale is a power of two, so that numbers which float8 holds stay as they are."""

    @staticmethod
    def store(wide_OI: Tensor) -> tuple[Tensor, Tensor]:
        largest_O1 = wide_OI.float().abs().amax(1, keepdim=True).clamp_min(2.0**-100)
        scale_O1 = torch.exp2((largest_O1 / torch.finfo(torch.float8_e4m3fn).max).log2().ceil())
        return (wide_OI.float() / scale_O1).to(torch.float8_e4m3fn), scale_O1.squeeze(1).to(wide_OI.dtype)


class Int8Linear(ByteLinear):
    """int8, -127 to 127; the scale is the largest weight / 127."""

    @staticmethod
    def store(wide_OI: Tensor) -> tuple[Tensor, Tensor]:
        scale_O1 = (wide_OI.float().abs().amax(1, keepdim=True) / 127).to(wide_OI.dtype)
        return (wide_OI.float() / _divisor(scale_O1)).round().clamp(-127, 127).to(torch.int8), scale_O1.squeeze(1)


class Int4Linear(NarrowLinear):
    """int4, -8 to 7, [O, groups, 16] bytes of two weights each, the lower half that of the first 16 of a group of 32, and a scale for
    each group, [O, groups]: the weight that is farthest from zero, signed, / -8. What is missing to a whole group is zero.

    Source: the layout of ggml's Q4_0.
    """

    beside = 0.5  # one half of all bytes

    @staticmethod
    def store(wide_OI: Tensor) -> tuple[Tensor, Tensor]:
        wide_OGK = F.pad(wide_OI.float(), (0, -wide_OI.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
        scale_OG1 = (wide_OGK.gather(2, wide_OGK.abs().argmax(2, keepdim=True)) / -8).to(wide_OI.dtype)
        low, high = ((wide_OGK / _divisor(scale_OG1)).round().clamp(-8, 7) + 8).to(torch.uint8).chunk(2, dim=2)
        return low | high << 4, scale_OG1.squeeze(2)

    def widen(self, dtype: torch.dtype) -> Tensor:
        wide_OGK = torch.empty(*self.weight.shape[:2], GROUP, dtype=dtype, device=self.weight.device)
        wide_OGK[..., : GROUP // 2] = self.weight & 15
        wide_OGK[..., GROUP // 2 :] = self.weight >> 4
        return wide_OGK.sub_(8).mul_(self.scale.to(dtype).unsqueeze(2)).flatten(1)[:, : self.in_features]

    def forward(self, x: Tensor) -> Tensor:
        """As the linear layer, with the weight widened to the type of x."""
        return F.linear(x, self.widen(x.dtype), self.bias)


def _divisor(scale: Tensor) -> Tensor:
    """The scale as it is kept, in float32; 1 where it is zero, since what it belongs to is lost anyway."""
    return torch.where(scale == 0, 1, scale).float()


_LAYERS: dict[str, type[NarrowLinear]] = {"float8": Float8Linear, "int8": Int8Linear, "int4": Int4Linear}


def narrow_linear(linear: nn.Linear, kind: str) -> NarrowLinear:
    """The same layer, with its weight stored in a type of `NARROW`."""
    return _LAYERS[kind](linear)


def narrow(module: nn.Module, kind: str) -> None:
    """Store the matrices of all blocks of a model in a type of `NARROW`, in place."""
    for block in blocks_of(module):
        for name, layer in list(block.named_modules()):
            if isinstance(layer, nn.Linear):
                parent, _, last = name.rpartition(".")
                setattr(block.get_submodule(parent), last, narrow_linear(layer, kind))
