"""The DiT's parts: rotary positions, modulation, and the double and single blocks.

Shape suffixes: B batch, L tokens, T text tokens, N picture tokens, D hidden size, H heads, K channels of a head, A rope axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.products import feed_forward, fork, project

QUERY_ROWS = 256
"""Queries that attention takes at a time on CPUs: with 2,000 keys, their scores fill a core's cache."""

LEARNED_TOKENS = 1024
"""Most tokens of which attention's scores are kept for the way back on CPUs: of three heads, 6 MB a sample and layer."""


def embed_time(t_B: Tensor) -> Tensor:
    """Sinusoids of 1000 t, for t in 0..1: 128 cosines, then as many sines, each slower, down to nearly 1 / 10,000; float32 [B, 256]."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(128, device=t_B.device, dtype=torch.float32) / 128)
    angles = 1000.0 * t_B.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


@dataclass(frozen=True)
class Rope:
    """Every token's angles as complex numbers of length 1, complex64 [B or 1, 1, L, K/2]; computed once a forward pass.

    One complex product turns a pair of channels; on a CPU that is several times faster than the same sums in real numbers.
    """

    turns: Tensor

    @classmethod
    def of(cls, ids_BLA: Tensor, axes: tuple[int, ...], theta: float) -> Rope:
        """Angles position / theta^(2k / axis size), axis after axis. Source: reference facts, "rope axes (16,56,56), theta 10000"."""
        wide = torch.float32 if ids_BLA.device.type == "mps" else torch.float64  # MPS has no float64
        angles = []
        for axis, size in enumerate(axes):
            frequencies = theta ** -(torch.arange(0, size, 2, dtype=wide, device=ids_BLA.device) / size)
            angles.append(ids_BLA[..., axis, None].to(wide) * frequencies)
        angle = torch.cat(angles, dim=-1).unsqueeze(1)
        return cls(torch.complex(angle.cos().float(), angle.sin().float()))

    def part(self, start: int, end: int | None = None) -> Rope:
        """The angles of some of the tokens."""
        return Rope(self.turns[:, :, start:end])

    def turn(self, x_BHLK: Tensor) -> Tensor:
        """Turn each pair of neighbouring channels by its angle, in float32."""
        pairs = torch.view_as_complex(x_BHLK.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * self.turns).flatten(-2)


class MLPEmbedder(nn.Module):
    """Linear, SiLU, linear: from a time or a vector to the modulation signal."""

    def __init__(self, size_in: int, size: int) -> None:
        super().__init__()
        self.in_layer = nn.Linear(size_in, size)
        self.out_layer = nn.Linear(size, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_layer(F.silu(self.in_layer(x)))


class RMSNorm(nn.Module):
    """Root-mean-square normalisation in float32, whatever comes in, with the parameter name of the released weights."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1]
        return x * torch.rsqrt(mean_square + 1e-6) * self.scale.float()


class QKNorm(nn.Module):
    """Normalises queries and keys, each with its own scale; float32."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.query_norm = RMSNorm(size)
        self.key_norm = RMSNorm(size)

    def forward(self, q_BHLK: Tensor, k_BHLK: Tensor) -> tuple[Tensor, Tensor]:
        return self.query_norm(q_BHLK), self.key_norm(k_BHLK)


def split_heads(qkv_BL3D: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fused projection [B, L, 3 H K] -> queries, keys, values [B, H, L, K]."""
    q, k, v = qkv_BL3D.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


class Elsewhere(Protocol):
    """Tokens of the same rows that other devices hold; see parallel.py."""

    def gather(self, k_BHLK: Tensor, v_BHLK: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values of all devices' tokens, those of this one among them, and a mask as `attend` takes it."""


def attend(q_BHLK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, visible: Tensor | Elsewhere | None) -> Tensor:
    """Attention over all tokens, heads joined again: [B, L, H K].

    `visible` is a bool mask [B, 1, 1, L] of keys, or None for all; or it fetches what other devices hold.
    """
    if visible is not None and not isinstance(visible, Tensor):
        k_BHLK, v_BHLK, visible = visible.gather(k_BHLK, v_BHLK)
    products = q_BHLK.device.type == "cpu" and q_BHLK.dtype is torch.bfloat16
    learning = torch.is_grad_enabled()
    if products and not learning and visible is None:
        return _attend_by_rows(q_BHLK, k_BHLK, v_BHLK)
    if products and learning and k_BHLK.shape[2] <= LEARNED_TOKENS:
        return _attend_with_scores(q_BHLK, k_BHLK, v_BHLK, visible)
    return F.scaled_dot_product_attention(q_BHLK, k_BHLK, v_BHLK, attn_mask=visible).transpose(1, 2).flatten(2)


def _attend_by_rows(q_BHLK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor) -> Tensor:
    """Attention as two products and a softmax between, for some queries at a time, whose scores stay in the cache.

    For CPUs in bfloat16: torch's own kernel multiplies in float32 there, at half of this speed.
    """
    batch, heads, length, channels = q_BHLK.shape
    out_BLHK = q_BHLK.new_empty(batch, length, heads, channels)
    for b in range(batch):
        for h in range(heads):
            keys_KL, values_LK = k_BHLK[b, h].mT, v_BHLK[b, h]
            for top in range(0, length, QUERY_ROWS):
                queries = q_BHLK[b, h, top : top + QUERY_ROWS]
                scores = queries.new_empty(len(queries), keys_KL.shape[1])
                torch.addmm(scores, queries, keys_KL, beta=0, alpha=channels**-0.5, out=scores)
                out_BLHK[b, top : top + QUERY_ROWS, h] = scores.softmax(-1) @ values_LK
    return out_BLHK.flatten(2)


def _attend_with_scores(q_BHLK: Tensor, k_BHLK: Tensor, v_BHLK: Tensor, visible: Tensor | None) -> Tensor:
    """Attention as two products and a softmax between, whose result is kept for the way back.

    For training on CPUs in bfloat16: torch's own kernel takes three times as long, forwards and backwards together.
    """
    scores_BHLL = (q_BHLK * q_BHLK.shape[-1] ** -0.5) @ k_BHLK.mT
    if visible is not None:
        with torch.no_grad():  # what is hidden has a share of zero, through which no gradient comes back
            scores_BHLL.masked_fill_(~visible, float("-inf"))
    with torch.autocast("cpu", enabled=False):  # which would compute the shares in float32, and keep them so
        shares_BHLL = scores_BHLL.softmax(-1)
    return (shares_BHLL @ v_BHLK).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """The attention weights of one stream of a double block; the attention itself is over both streams together."""

    def __init__(self, size: int, heads: int, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size, bias=bias)
        self.norm = QKNorm(size // heads)
        self.proj = nn.Linear(size, size)

    def project(self, x_BLD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised queries and keys, in float32, and values, [B, H, L, K] each."""
        q, k, v = split_heads(project(self.qkv, x_BLD), self.heads)
        return *self.norm(q, k), v


def modulate(x_BLD: Tensor, shift_B1D: Tensor, scale_B1D: Tensor) -> Tensor:
    """Normalise each token (no learned scale), then scale by 1 + scale and shift."""
    x = F.layer_norm(x_BLD, x_BLD.shape[-1:], eps=1e-6)  # in float32 inside
    return torch.addcmul(shift_B1D, x, 1 + scale_B1D)


@dataclass(frozen=True)
class Signal:
    """What time and text as a whole tell every block: a vector [B, D], and what linear layers have made of it already, if any have."""

    vector_BD: Tensor
    made: Mapping[nn.Module, Tensor] = field(default_factory=dict)

    def through(self, linear: nn.Module) -> Tensor:
        """SiLU and the linear layer, [B, 1, outputs]."""
        made_BO = self.made.get(linear)
        return (linear(F.silu(self.vector_BD)) if made_BO is None else made_BO)[:, None, :]


class Modulation(nn.Module):
    """Shifts, scales and gates from the modulation signal: three tensors [B, 1, D] for each of `parts` uses."""

    def __init__(self, size: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.lin = nn.Linear(size, 3 * parts * size)

    def forward(self, signal: Signal) -> tuple[Tensor, ...]:
        return signal.through(self.lin).chunk(3 * self.parts, dim=-1)


def make_feed_forward(size: int, ratio: float) -> nn.Sequential:
    """Linear, GELU (tanh form), linear."""
    return nn.Sequential(nn.Linear(size, int(size * ratio)), nn.GELU(approximate="tanh"), nn.Linear(int(size * ratio), size))


class DoubleBlock(nn.Module):
    """Text and picture tokens with weights of their own, and one attention over both."""

    def __init__(self, size: int, heads: int, ratio: float, bias: bool) -> None:
        super().__init__()
        self.img_mod = Modulation(size, 2)
        self.img_attn = SelfAttention(size, heads, bias)
        self.img_mlp = make_feed_forward(size, ratio)
        self.txt_mod = Modulation(size, 2)
        self.txt_attn = SelfAttention(size, heads, bias)
        self.txt_mlp = make_feed_forward(size, ratio)

    def forward(
        self, image_BND: Tensor, text_BTD: Tensor, signal: Signal, rope: Rope, visible: Tensor | Elsewhere | None
    ) -> tuple[Tensor, Tensor]:
        i_shift1, i_scale1, i_gate1, i_shift2, i_scale2, i_gate2 = self.img_mod(signal)
        t_shift1, t_scale1, t_gate1, t_shift2, t_scale2, t_gate2 = self.txt_mod(signal)
        i_q, i_k, i_v = self.img_attn.project(modulate(image_BND, i_shift1, i_scale1))
        t_q, t_k, t_v = self.txt_attn.project(modulate(text_BTD, t_shift1, t_scale1))

        q, k, v = (torch.cat(pair, dim=2) for pair in ((t_q, i_q), (t_k, i_k), (t_v, i_v)))
        attended = attend(rope.turn(q).to(v.dtype), rope.turn(k).to(v.dtype), v, visible)
        t_out, i_out = attended.split([text_BTD.shape[1], image_BND.shape[1]], dim=1)

        image_BND = torch.addcmul(image_BND, i_gate1, project(self.img_attn.proj, i_out))
        image_BND = torch.addcmul(image_BND, i_gate2, feed_forward(self.img_mlp, modulate(image_BND, i_shift2, i_scale2)))
        text_BTD = torch.addcmul(text_BTD, t_gate1, project(self.txt_attn.proj, t_out))
        text_BTD = torch.addcmul(text_BTD, t_gate2, feed_forward(self.txt_mlp, modulate(text_BTD, t_shift2, t_scale2)))
        return image_BND, text_BTD


class SingleBlock(nn.Module):
    """One stream over text and picture tokens; attention and feed-forward side by side."""

    def __init__(self, size: int, heads: int, ratio: float) -> None:
        super().__init__()
        self.heads = heads
        inner = int(size * ratio)
        self.linear1 = nn.Linear(size, 3 * size + inner)
        self.linear2 = nn.Linear(size + inner, size)
        self.norm = QKNorm(size // heads)
        self.modulation = Modulation(size, 1)

    def forward(self, x_BLD: Tensor, signal: Signal, rope: Rope, visible: Tensor | Elsewhere | None, kept: slice = slice(None)) -> Tensor:
        """`kept`: the tokens that are wanted of the last block, whose others nothing comes of."""
        shift, scale, gate = self.modulation(signal)
        qkv, inner = fork(self.linear1, modulate(x_BLD, shift, scale), 3 * x_BLD.shape[-1], kept)
        q, k, v = split_heads(qkv, self.heads)
        q, k = self.norm(q, k)
        attended = attend(rope.turn(q)[:, :, kept].to(v.dtype), rope.turn(k).to(v.dtype), v, visible)
        return torch.addcmul(x_BLD[:, kept], gate, project(self.linear2, torch.cat([attended, inner], dim=-1)))


class FinalLayer(nn.Module):
    """From hidden size to the token size of the latent."""

    def __init__(self, size: int, size_out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size, size_out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(size, 2 * size))

    def forward(self, x_BLD: Tensor, signal: Signal) -> Tensor:
        shift, scale = signal.through(self.adaLN_modulation[1]).chunk(2, dim=-1)
        return self.linear(modulate(x_BLD, shift, scale))


def ramp(x: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """0 up to low, 1 from high, smooth between."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)
