"""Weights of one byte: the large matrices of the blocks are stored in float8 or int8 and widened, one at a time, when they are used.

Biases, normalisations, the ends of the model and the autoencoder keep the type that is computed in. Weights that were released in float8
are kept exactly. Choice: plain torch; a quantisation library would add kernels for some GPUs, but no accuracy.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.blocks import blocks_of

NARROW = {"float8": torch.float8_e4m3fn, "int8": torch.int8}


class NarrowLinear(nn.Linear):
    """A linear layer whose weight is of one byte, with a scale for each output.

    The scale of float8 is a power of two, so that numbers which float8 holds stay as they are; that of int8 is the
    largest weight / 127.
    """

    scale: Tensor

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.bias = linear.bias
        wide = linear.weight.float()
        largest = wide.abs().amax(dim=1, keepdim=True).clamp_min(2.0**-100)
        if dtype.is_floating_point:
            scale = torch.exp2((largest / torch.finfo(dtype).max).log2().ceil())
            narrow_OI = (wide / scale).to(dtype)
        else:
            scale = largest / torch.iinfo(dtype).max
            narrow_OI = (wide / scale).round().to(dtype)
        self.weight = nn.Parameter(narrow_OI, requires_grad=False)
        self.register_buffer("scale", scale.squeeze(1).to(linear.weight.dtype))

    def forward(self, x: Tensor) -> Tensor:
        """As the linear layer, with the weight widened to the type of x."""
        out = F.linear(x, self.weight.to(x.dtype)) * self.scale
        return out if self.bias is None else out + self.bias


def narrow(module: nn.Module, kind: str) -> None:
    """Store the matrices of all blocks of a model in a type of `NARROW`, in place."""
    for block in blocks_of(module):
        for name, layer in list(block.named_modules()):
            if isinstance(layer, nn.Linear):
                parent, _, last = name.rpartition(".")
                setattr(block.get_submodule(parent), last, NarrowLinear(layer, NARROW[kind]))
