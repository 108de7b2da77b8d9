"""Tokens, mask and t -> context tokens and one vector: the light connector between the MLLM and the DiT.

A refiner of a few transformer blocks, told t and the mean of the embedding, turns the MLLM's tokens into context tokens. So the context
changes at every step; only the vector does not. The text mask is used here and ends here.

Shape suffixes: B batch, L text tokens, C the MLLM's hidden size, D context size, V vector size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.layers import attend, embed_time, split_heads
from step1x_edit.model.presets import ConnectorConfig
from step1x_edit.model.records import Context, Embedding


class TimeEmbedder(nn.Module):
    """Sinusoids of 1000 t, then linear, SiLU, linear."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, size), nn.SiLU(), nn.Linear(size, size))

    def forward(self, t_B: Tensor, dtype: torch.dtype) -> Tensor:
        return self.mlp(embed_time(t_B).to(dtype))


class TextProjection(nn.Module):
    """Linear, SiLU, linear on the mean of the embedding."""

    def __init__(self, size_in: int, size: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(size_in, size)
        self.linear_2 = nn.Linear(size, size)

    def forward(self, x_BC: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x_BC)))


class FeedForward(nn.Module):
    """Linear, SiLU, linear, four times as wide inside."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size, 4 * size)
        self.fc2 = nn.Linear(4 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.silu(self.fc1(x)))


class RefinerBlock(nn.Module):
    """Self-attention and feed-forward, each behind a gate that depends on t and on the mean of the embedding."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(size, eps=1e-6)
        self.self_attn_qkv = nn.Linear(size, 3 * size)
        self.self_attn_proj = nn.Linear(size, size)
        self.norm2 = nn.LayerNorm(size, eps=1e-6)
        self.mlp = FeedForward(size)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(size, 2 * size))

    def forward(self, x_BLD: Tensor, condition_BD: Tensor, visible_B1LL: Tensor) -> Tensor:
        gate_attention, gate_mlp = self.adaLN_modulation(condition_BD)[:, None, :].chunk(2, dim=-1)
        q, k, v = split_heads(self.self_attn_qkv(self.norm1(x_BLD)), self.heads)
        x_BLD = x_BLD + gate_attention * self.self_attn_proj(attend(q, k, v, visible_B1LL))
        return x_BLD + gate_mlp * self.mlp(self.norm2(x_BLD))


class TokenRefiner(nn.Module):
    """The blocks, with the names of the released weights."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(RefinerBlock(config.hidden_size, config.heads_num) for _ in range(config.depth))


class Refiner(nn.Module):
    """Embeds tokens, t and the mean, then runs the blocks."""

    def __init__(self, config: ConnectorConfig) -> None:
        super().__init__()
        self.input_embedder = nn.Linear(config.in_channels, config.hidden_size)
        self.t_embedder = TimeEmbedder(config.hidden_size)
        self.c_embedder = TextProjection(config.in_channels, config.hidden_size)
        self.individual_token_refiner = TokenRefiner(config)

    def forward(self, still: Still, t_B: Tensor) -> Tensor:
        condition = self.t_embedder(t_B, still.condition_BD.dtype) + still.condition_BD
        x = still.tokens_BLD
        for block in self.individual_token_refiner.blocks:
            x = block(x, condition, still.visible_B1LL)
        return x


@dataclass(frozen=True)
class Still:
    """What of the connector's work does not depend on t, and is done once an edit: embedded tokens, the part of the condition that comes
    from the mean, who may attend to whom, what quoted characters add (None where there are none), and the vector."""

    tokens_BLD: Tensor
    condition_BD: Tensor
    visible_B1LL: Tensor
    quoted_BLD: Tensor | None
    vector_BV: Tensor


class Connector(nn.Module):
    """See the module's text.

    Source: paper, section on the connector; reference facts, "The connector takes t*1000", "v1.1 and v1.2 have no `scale_factor`" and, for
    `text_token_mapping`, "a Linear from the raw embedding of quoted characters, masked, added to the connector's tokens".
    """

    def __init__(self, config: ConnectorConfig, vector_size: int) -> None:
        super().__init__()
        self.S = Refiner(config)
        self.scale_factor = nn.Parameter(torch.zeros(1)) if config.scale_factor else None
        self.global_proj_out = nn.Linear(config.in_channels, vector_size)
        self.text_token_mapping = nn.Linear(config.in_channels, config.hidden_size) if config.text_token_mapping else None

    def forward(self, embedding: Embedding | Still, t_B: Tensor) -> Context:
        """The context at times t_B in 0..1; tokens [B, L, D] and vector [B, V]. Of an edit's many times, `prepare` serves all."""
        still = self.prepare(embedding) if isinstance(embedding, Embedding) else embedding
        tokens_BLD = self.S(still, t_B)
        if still.quoted_BLD is not None:
            tokens_BLD = tokens_BLD + still.quoted_BLD
        return Context(tokens_BLD, still.vector_BV)

    def prepare(self, embedding: Embedding) -> Still:
        """What is the same at all times."""
        tokens = self.S.input_embedder(embedding.tokens_BLC)  # first, since a layer that is called brings weights that wait elsewhere
        mask_BL1 = embedding.mask_BL.unsqueeze(-1).to(embedding.tokens_BLC.dtype)
        mean_BC = (embedding.tokens_BLC * mask_BL1).sum(1) / mask_BL1.sum(1).clamp_min(1)
        visible = embedding.mask_BL[:, None, :, None] & embedding.mask_BL[:, None, None, :]
        visible[..., 0] = True  # so that padding has something to attend to
        quoted_BLD = None
        if self.text_token_mapping is not None and embedding.quoted_BLC is not None and embedding.quoted_mask_BL is not None:
            mapped = self.text_token_mapping(embedding.quoted_BLC)
            quoted_BLD = mapped * embedding.quoted_mask_BL.unsqueeze(-1).to(mapped.dtype)
        pooled_BC = mean_BC if self.scale_factor is None else mean_BC * (1 + self.scale_factor)
        return Still(tokens, self.S.c_embedder(mean_BC), visible, quoted_BLD, self.global_proj_out(pooled_BC))
