"""Noisy latent + reference latent + context + vector + t -> velocity: the DiT of the figure.

The reference picture's tokens follow the noisy ones along the sequence; text tokens go before both. The DiT knows nothing of instructions
or of padding: it attends to every text token it is given, unless a mask says otherwise.

Shape suffixes: B batch, N noisy tokens, M reference tokens, T text tokens, D hidden size, C token size, A rope axes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from step1x_edit.model.caching import BlockCache
from step1x_edit.model.layers import DoubleBlock, FinalLayer, MLPEmbedder, Rope, SingleBlock, embed_time
from step1x_edit.model.presets import DiTConfig
from step1x_edit.model.records import Context


class DiT(nn.Module):
    """Double blocks, then single blocks. Parameter names are those of the released single file.

    Source: paper, figure 3; reference facts, "Model facts (v1.0)".
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        size = config.hidden_size
        self.img_in = nn.Linear(config.in_channels, size)
        self.time_in = MLPEmbedder(256, size)
        self.vector_in = MLPEmbedder(config.vec_in_dim, size)
        self.txt_in = nn.Linear(config.context_in_dim, size)
        self.double_blocks = nn.ModuleList(
            DoubleBlock(size, config.num_heads, config.mlp_ratio, config.qkv_bias) for _ in range(config.depth)
        )
        self.single_blocks = nn.ModuleList(SingleBlock(size, config.num_heads, config.mlp_ratio) for _ in range(config.depth_single_blocks))
        self.final_layer = FinalLayer(size, config.out_channels)

    def decode(
        self,
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        context: Context,
        t_B: Tensor,
        ids_BLA: Tensor | Rope,
        text_mask_BT: Tensor | None = None,
        cache: BlockCache | None = None,
        wanted: int | None = None,
    ) -> Tensor:
        """Predict for every picture token, noisy ones first: [B, N + M, C].

        Args:
            noisy_BNC: noisy latent tokens.
            reference_BMC: reference latent tokens, clean; None for text to image.
            context: the connector's tokens and vector.
            t_B: times in 0..1.
            ids_BLA: rope ids of text, noisy and reference tokens, in this order, [B or 1, T + N + M, 3], or the angles made of them.
            text_mask_BT: bool, which text tokens may be attended to; None for all of them, padding included (v1.0, v1.1).
            cache: lets all blocks but the first be left out where little has changed; None computes them all.
            wanted: how many of the picture tokens to predict for, [B, wanted, C]; None for all.
        """
        pictures = noisy_BNC if reference_BMC is None else torch.cat([noisy_BNC, reference_BMC], dim=1)
        image, text = self.img_in(pictures), self.txt_in(context.tokens_BLD)
        vector = self.time_in(embed_time(t_B).to(image.dtype)) + self.vector_in(context.vector_BV)
        rope = ids_BLA if isinstance(ids_BLA, Rope) else Rope.of(ids_BLA, self.config.axes_dim, self.config.theta)
        visible = None
        if text_mask_BT is not None:
            visible = torch.nn.functional.pad(text_mask_BT, (0, image.shape[1]), value=True)[:, None, None, :]

        if cache is None:
            return self.final_layer(self._run(image, text, vector, rope, visible, 0, wanted), vector)
        before = image
        image, text = self.double_blocks[0](image, text, vector, rope, visible)
        rest = cache.recall(image - before)
        if rest is None:
            rest = self._run(image, text, vector, rope, visible, 1, wanted) - image[:, :wanted]
            cache.keep(rest)
        return self.final_layer(image[:, :wanted] + rest, vector)

    def _run(
        self, image: Tensor, text: Tensor, vector: Tensor, rope: Rope, visible: Tensor | None, first: int, wanted: int | None
    ) -> Tensor:
        """All double blocks from the `first` on and all single blocks; the `wanted` picture tokens alone."""
        for double in self.double_blocks[first:]:
            image, text = double(image, text, vector, rope, visible)
        x = torch.cat([text, image], dim=1)
        *singles, last = self.single_blocks
        for single in singles:
            x = single(x, vector, rope, visible)
        begin = text.shape[1]
        return last(x, vector, rope, visible, slice(begin, None if wanted is None else begin + wanted))
