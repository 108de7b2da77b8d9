"""Linear layers of the DiT's blocks, as they run fastest: on CPUs, bias and GELU while a product's results are still in the cache.

There, torch's own linear layer takes a library that is slower on some CPUs (float32), or writes the bias first and reads it back
(bfloat16), and GELU is a pass of its own over the largest tensor of the model. oneDNN does all three in one; torch reaches it through an
operator that its compiler uses. Where that is not to be had, or a layer is more than a linear layer (narrow weights, adapters beside
it, gradients), the layer is called as it is. The results are the same but for rounding.
"""

from __future__ import annotations

from functools import cache
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def gelu(x: Tensor) -> Tensor:
    """GELU in its tanh form; x itself is overwritten where no gradient needs it."""
    return F.gelu(x, approximate="tanh") if torch.is_grad_enabled() else torch.ops.aten.gelu_(x, approximate="tanh")


def feed_forward(layers: nn.Sequential, x_BLD: Tensor) -> Tensor:
    """Linear, GELU, linear, as the three layers of `layers` do."""
    first, _, last = layers
    inner = _product(x_BLD, first.weight, first.bias, "gelu") if _is_plain(first, x_BLD) else gelu(first(x_BLD))
    return _product(inner, last.weight, last.bias) if _is_plain(last, inner) else last(inner)


def project(layer: nn.Module, x_BLD: Tensor) -> Tensor:
    """What the layer gives."""
    return _product(x_BLD, layer.weight, layer.bias) if _is_plain(layer, x_BLD) else layer(x_BLD)


def fork(layer: nn.Module, x_BLD: Tensor, outputs: int, kept: slice) -> tuple[Tensor, Tensor]:
    """The first `outputs` of the layer for all tokens, and GELU of the others for the tokens that are kept."""
    if _is_plain(layer, x_BLD):
        weight, bias = layer.weight, layer.bias
        return _product(x_BLD, weight[:outputs], bias[:outputs]), _product(x_BLD[:, kept], weight[outputs:], bias[outputs:], "gelu")
    both = layer(x_BLD)
    first, others = both.split([outputs, both.shape[-1] - outputs], dim=-1)  # which gradients leave as one tensor
    return first, gelu(others[:, kept])


def _is_plain(layer: nn.Module, x: Tensor) -> TypeGuard[nn.Linear]:
    """Whether oneDNN may take the layer's place."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or type(layer) is not nn.Linear:
        return False
    if layer._forward_hooks or layer._forward_pre_hooks:
        return False
    return layer.bias is not None and x.dtype is layer.weight.dtype and _is_supported(x.dtype)


@cache
def _is_supported(dtype: torch.dtype) -> bool:
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    return dtype is torch.float32 or (dtype is torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _product(x: Tensor, weight: Tensor, bias: Tensor, activation: str = "none") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "tanh" if activation == "gelu" else "")
