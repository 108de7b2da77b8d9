"""Noisy latent + reference latent + context + vector + t -> velocity: the DiT of the figure.

The reference picture's tokens follow the noisy ones along the sequence; text tokens go before both. The DiT knows nothing of instructions
or of padding: it attends to every text token it is given, unless a mask says otherwise.

Shape suffixes: B batch, N noisy tokens, M reference tokens, T text tokens, D hidden size, C token size, A rope axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from step1x_edit.model.caching import StepCache
from step1x_edit.model.layers import DoubleBlock, Elsewhere, FinalLayer, MLPEmbedder, Modulation, Rope, Signal, SingleBlock, embed_time
from step1x_edit.model.presets import DiTConfig
from step1x_edit.model.records import Context

TIMES = 8
"""Times whose modulation is computed at once: of the released sizes, two rows of one take 4 MiB."""


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
        text_mask_BT: Tensor | Elsewhere | None = None,
        cache: StepCache | None = None,
        wanted: int | None = None,
        signal: Signal | None = None,
    ) -> Tensor:
        """Predict for every picture token, noisy ones first: [B, N + M, C].

        Args:
            noisy_BNC: noisy latent tokens.
            reference_BMC: reference latent tokens, clean; None for text to image.
            context: the connector's tokens and vector.
            t_B: times in 0..1.
            ids_BLA: rope ids of text, noisy and reference tokens, in this order, [B or 1, T + N + M, 3], or the angles made of them.
            text_mask_BT: bool, which text tokens may be attended to; None for all of them, padding included (v1.0, v1.1). Where other
                devices hold more of these rows' tokens, what fetches them, with the mask of all.
            cache: lets all blocks but the first be left out where little has changed; None computes them all.
            wanted: how many of the picture tokens to predict for, [B, wanted, C]; None for all.
            signal: what `signals` made for this time; None has it made here.
        """
        pictures = noisy_BNC if reference_BMC is None else torch.cat([noisy_BNC, reference_BMC], dim=1)
        image, text = self.img_in(pictures), self.txt_in(context.tokens_BLD)
        signal = signal or Signal(self.time_in(embed_time(t_B).to(image.dtype)) + self.vector_in(context.vector_BV))
        rope = ids_BLA if isinstance(ids_BLA, Rope) else Rope.of(ids_BLA, self.config.axes_dim, self.config.theta)
        visible = see_pictures(text_mask_BT, image.shape[1]) if isinstance(text_mask_BT, Tensor) else text_mask_BT

        if cache is None:
            return self.final_layer(self._run(image, text, signal, rope, visible, 0, wanted), signal)
        before = image
        image, text = self.double_blocks[0](image, text, signal, rope, visible)
        rest = cache.recall(image - before)
        if rest is None:
            rest = self._run(image, text, signal, rope, visible, 1, wanted) - image[:, :wanted]
            cache.keep(rest)
        return self.final_layer(image[:, :wanted] + rest, signal)

    def signals(self, times: Sequence[float], vector_BV: Tensor) -> Iterator[Signal]:
        """The modulation signal of each time, and what all blocks make of it, computed for `TIMES` times at once.

        The same as one by one, but for rounding. It is left to the blocks where their weights are not all on the device.
        """
        linears = [module.lin for module in self.modules() if isinstance(module, Modulation)] + [self.final_layer.adaLN_modulation[1]]
        for first in range(0, len(times), TIMES):
            t_S = torch.tensor(times[first : first + TIMES], device=vector_BV.device)
            vectors_SBD = self.time_in(embed_time(t_S).to(vector_BV.dtype))[:, None] + self.vector_in(vector_BV)
            here = all(weight.device == vectors_SBD.device for linear in linears for weight in linear.parameters())
            made = {linear: linear(F.silu(vectors_SBD)) for linear in linears} if here else {}
            yield from (Signal(vectors_SBD[i], {linear: each[i] for linear, each in made.items()}) for i in range(len(t_S)))

    def _run(
        self, image: Tensor, text: Tensor, signal: Signal, rope: Rope, visible: Tensor | Elsewhere | None, first: int, wanted: int | None
    ) -> Tensor:
        """All double blocks from the `first` on and all single blocks; the `wanted` picture tokens alone."""
        for double in self.double_blocks[first:]:
            image, text = double(image, text, signal, rope, visible)
        x = torch.cat([text, image], dim=1)
        *singles, last = self.single_blocks
        for single in singles:
            x = single(x, signal, rope, visible)
        begin = text.shape[1]
        return last(x, signal, rope, visible, slice(begin, None if wanted is None else begin + wanted))


def see_pictures(text_mask_BT: Tensor, pictures: int) -> Tensor:
    """The mask of keys, [B, 1, 1, T + pictures], by which text is hidden where it is padding, and picture tokens are not."""
    return F.pad(text_mask_BT, (0, pictures), value=True)[:, None, None, :]
