"""The figure of the paper, box by box: picture + instruction -> velocity.

    picture, instruction --> MLLM (mllm.py, frozen) --> tokens, mask --.
                                                                        v
                                                   t ----> connector (connector.py) --> context tokens, vector --.
                                                                                                                  v
    picture --> autoencoder (autoencoder.py, frozen) --> reference latent --.                           t --> DiT (dit.py) --> velocity
                                                                            v                                     ^
                                          noise or noisy latent -----> [noisy, reference] along the sequence -----'

The MLLM and the autoencoder run once an edit, outside; what runs at every step, and what is trained, is here. Shape suffixes as in dit.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from step1x_edit.model.caching import StepCache
from step1x_edit.model.connector import Connector, Still
from step1x_edit.model.dit import DiT
from step1x_edit.model.layers import Rope, Signal, ramp
from step1x_edit.model.parallel import Parallel
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding, Grid, take_rows

SMALLEST_TIME = 1e-3

DOUBT = (0.1, 0.35)
"""Share of a latent pixel that is to go up to which it is doubt alone, and from which it is none; chosen on marked photographs."""

LOCAL, FOR_GOOD = 0.05, (0.5, 0.7)
"""Part of a picture, and the share of it that must go, from and up to which the rest is more and more left alone."""


@dataclass(frozen=True)
class Prepared:
    """What is the same at every step of an edit; see `Step1XEdit.prepare`."""

    still: Still
    rope: Rope
    hidden_BT: Tensor | None


class Step1XEdit(DiT):
    """Connector and DiT. The connector lies inside the DiT because the released single file keeps it there, under `connector.`."""

    def __init__(self, preset: Preset) -> None:
        super().__init__(preset.dit)
        self.preset = preset
        self.split = False
        """Whether as many rows of a batch as there are devices are computed at a time, which takes less memory; never so with a cache."""
        self.copies: tuple[Step1XEdit, ...] = ()
        """On other devices, where they compute a part of every forward pass; see `work_with`."""
        self._parallel: Parallel | None = None
        self.connector = Connector(preset.connector, preset.dit.vec_in_dim)

    def forward(
        self,
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        embedding: Embedding,
        t_B: Tensor,
        grid: Grid,
        reference_grid: Grid | Sequence[Grid] | None = None,
        cache: StepCache | None = None,
    ) -> Tensor:
        """The velocity of the noisy tokens, [B, N, C].

        Args:
            noisy_BNC: noisy latent tokens, N = rows * columns of `grid`.
            reference_BMC: reference latent tokens, or None to make a picture from text alone.
            embedding: what the MLLM says, [B, L, C] and mask.
            t_B: times in 0..1.
            grid: rows and columns of the noisy tokens.
            reference_grid: those of the reference, or of several, whose tokens then follow one another; None for the same.
            cache: see `DiT.decode`.
        """
        return self.predict(noisy_BNC, reference_BMC, t_B, self.prepare(embedding, grid, reference_BMC is not None, reference_grid), cache)

    def work_with(self, copies: Sequence[Step1XEdit], devices: Sequence[torch.device]) -> None:
        """From now on `predict` computes on all of these devices, the first of which is this model's own; with no copies, on it alone."""
        self.copies = tuple(copies)
        self._parallel = Parallel(devices) if copies else None

    def prepare(
        self, embedding: Embedding, grid: Grid, with_reference: bool, reference_grid: Grid | Sequence[Grid] | None = None
    ) -> Prepared:
        """All that is the same at every step of an edit: what the connector makes without t, rope's angles, and what is hidden."""
        ids = self.ids(embedding, grid, reference_grid or grid if with_reference else None)
        rope = Rope.of(ids, self.config.axes_dim, self.config.theta)
        return Prepared(self.connector.prepare(embedding), rope, self.hidden_padding(embedding))

    def predict(
        self,
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        t_B: Tensor,
        prepared: Prepared,
        cache: StepCache | None = None,
        signal: Signal | None = None,
    ) -> Tensor:
        """`forward` with what `prepare` made, and `signals` for this time; a smaller batch takes the first rows of it."""
        devices = 1 + len(self.copies)
        if self.split and len(noisy_BNC) > devices and cache is None:
            rows = [(slice(i, i + devices), None) for i in range(0, len(noisy_BNC), devices)]
            return torch.cat(self._apart(rows, noisy_BNC, reference_BMC, t_B, prepared, signal))
        first = slice(len(noisy_BNC))
        prepared, signal = take_rows(prepared, first), take_rows(signal, first)
        output = None if cache is None else cache.begin(len(noisy_BNC))
        if output is None:
            context, wanted = self.connector(prepared.still, t_B), noisy_BNC.shape[1]
            blocks = None if cache is None or cache.kind == "every" else cache
            decode = self.decode if self._parallel is None else partial(self._parallel.decode, (self, *self.copies))
            output = decode(noisy_BNC, reference_BMC, context, t_B, prepared.rope, prepared.hidden_BT, blocks, wanted, signal)
            if cache is not None:
                cache.end(output)
        if self.preset.prediction == "reference_blend":
            output, gone = output.split([noisy_BNC.shape[-1], self.preset.patch**2], dim=-1)
            if reference_BMC is not None:
                if not self.training:
                    output, gone = self.settle(output, gone)
                reference_BMC = self.fade(reference_BMC, gone)
        if self.preset.prediction == "velocity" or reference_BMC is None:
            return output
        return self.velocity_of_change(output, noisy_BNC, reference_BMC, t_B)

    def predict_each(
        self,
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        t_B: Tensor,
        prepared: Prepared,
        caches: Sequence[StepCache | None],
        signal: Signal | None = None,
    ) -> Tensor:
        """`predict` for as many edits at once as there are caches, each by its own; or by one for all. Rows 0, 1, 2 and so on are those of
        the edits in turn, and with guidance come once more in the same order."""
        rows = [(slice(i, None, len(caches)), cache) for i, cache in enumerate(caches)]
        return torch.stack(self._apart(rows, noisy_BNC, reference_BMC, t_B, prepared, signal), dim=1).flatten(0, 1)

    def _apart(
        self,
        rows: Sequence[tuple[slice, StepCache | None]],
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        t_B: Tensor,
        prepared: Prepared,
        signal: Signal | None,
    ) -> list[Tensor]:
        """What `predict` says of some rows of a batch at a time, with the cache that is theirs."""
        said = []
        for kept, cache in rows:
            given = noisy_BNC[kept], take_rows(reference_BMC, kept), t_B[kept], take_rows(prepared, kept)
            said.append(self.predict(*given, cache, take_rows(signal, kept)))
        return said

    def hidden_padding(self, embedding: Embedding) -> Tensor | None:
        """The mask that hides padded text from the DiT, or None where the DiT sees all of it.

        Source: reference facts, "the DiT's own attention has NO mask: padded tokens take part. v1.2 does not pad".
        """
        return None if self.preset.text_padding or bool(embedding.mask_BL.all()) else embedding.mask_BL

    @staticmethod
    def fade(reference_BNC: Tensor, gone_BNP: Tensor) -> Tensor:
        """The reference without the share `gone` of each latent pixel, whose place in the patch is P and whose channels are C / P.

        Choice: not in the paper. What a token says has fewer dimensions than the patch that it stands for, so a small model cannot say all
        that must go; it can say that it goes.
        """
        return reference_BNC * (1 - gone_BNP.repeat(1, 1, reference_BNC.shape[-1] // gone_BNP.shape[-1]))

    @staticmethod
    def settle(change_BNC: Tensor, gone_BNP: Tensor) -> tuple[Tensor, Tensor]:
        """Change and share less what is doubt: where little goes in a picture of which something goes for good, nothing does.

        Choice: not in the paper. Trained on the squared error, a small model that is unsure where a thing ends lets a tenth of what is
        around it go. Edits of which nothing goes for good stay as they are, as most of the whole picture's are, and so does training. Each
        row of a batch is judged alone, so what guidance is led away from keeps its doubt, and a part of it comes back with the guidance.
        """
        gone = gone_BNP.float()
        local_B = ramp(gone.flatten(1).quantile(1 - LOCAL, dim=1), *FOR_GOOD).view(-1, 1, 1)
        kept_BNP = (1 - local_B * (1 - ramp(gone, *DOUBT))).to(change_BNC.dtype)
        return change_BNC * kept_BNP.repeat(1, 1, change_BNC.shape[-1] // gone_BNP.shape[-1]), gone_BNP * kept_BNP

    @staticmethod
    def velocity_of_change(change_BNC: Tensor, noisy_BNC: Tensor, reference_BNC: Tensor, t_B: Tensor) -> Tensor:
        """The velocity that leads from the noisy latent to reference + change: (noisy - reference - change) / t.

        Choice: not in the paper. A small model learns to copy the reference last of all; here it starts from the copy, while objective,
        schedule and sampler stay those of velocity prediction.
        """
        return (noisy_BNC - (reference_BNC + change_BNC)) / t_B.clamp_min(SMALLEST_TIME).view(-1, 1, 1)

    def ids(self, embedding: Embedding, grid: Grid, reference_grid: Grid | Sequence[Grid] | None) -> Tensor:
        """Rope ids (kind, row, column) of text, noisy and reference tokens, [B or 1, T + N + M, 3].

        Source: reference facts, "Rope ids". Choice: of several references, the second is of kind 2, and so on.
        """
        kind, offset = {"shared": (0, 0), "offset": (1, 1), "axis": (1, 0)}[self.preset.reference_ids]
        references = [] if reference_grid is None else [reference_grid] if isinstance(reference_grid, Grid) else reference_grid
        place = partial(_grid_ids, self.preset.patch / (self.preset.rope_unit or self.preset.patch))
        pictures = [place(grid, 0, 0), *(place(each, kind * (i + 1), offset) for i, each in enumerate(references))]
        tokens = embedding.tokens_BLC
        text = torch.zeros(1, tokens.shape[1], 3) if embedding.ids_BLA is None else embedding.ids_BLA
        rows = max(len(each) for each in (text, *pictures))
        return torch.cat([each.to(tokens.device).expand(rows, -1, -1) for each in (text, *pictures)], dim=1)

    def initialise(self, seed: int, part: nn.Module | None = None) -> None:
        """Fill all weights, or those of one part, for training from scratch: linear layers by fan-in; gates, modulations and the last
        layer with zero.

        So every block starts as the identity, and a model that predicts the change to the reference starts by leaving it as it is.
        Queries and keys share a constant part, whose product under rope is largest where positions agree: attention starts out local, and
        a noisy token finds the reference token of its own place.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, module in (part or self).named_modules():
            if not isinstance(module, nn.Linear):
                continue
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if name.endswith((".lin", "adaLN_modulation.1", "final_layer.linear")):
                nn.init.zeros_(module.weight)
            if name.endswith(("_attn.qkv", "linear1")):
                nn.init.ones_(module.bias[: 2 * self.config.hidden_size : 2])  # the first channel of each pair that rope turns


def _grid_ids(spacing: float, grid: Grid, kind: int, offset: int) -> Tensor:
    """[B or 1, N, 3]. Choice: distances in a squeezed picture are those of the picture itself, in units that leave its area as it is; and
    tokens that are a part of a unit apart lie in the middles of such parts, those of a unit at whole numbers."""
    rows, columns = ((torch.arange(side).float() + 0.5) * spacing - 0.5 for side in (grid.rows, grid.columns))
    rows, columns = rows.repeat_interleave(grid.columns).unsqueeze(0), columns.repeat(grid.rows).unsqueeze(0)
    if grid.stretch_B is not None:
        unit_B1 = grid.stretch_B.float().cpu().sqrt().unsqueeze(1)
        rows, columns = rows / unit_B1, columns * unit_B1
    return torch.stack([torch.full_like(rows, kind), rows + offset, columns + offset], dim=-1)
