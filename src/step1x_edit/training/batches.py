"""From triplets to tensors: the part of every task's batch that is the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from step1x_edit.data.split import Part, Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import UsageError
from step1x_edit.image_sizes import Form, fit_form
from step1x_edit.model.records import map_tensors
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Data, Recipe, Stage

B = TypeVar("B")


class Streams:
    """One endless stream a stage of the curriculum, all over the same pictures in memory."""

    def __init__(self, data: Data, stages: Sequence[Stage]) -> None:
        assert data.heldout is not None  # the recipe has seen to it
        self._data, self._split = data, Split.read(data.heldout)
        base = self._open(stages[0], "train")
        self._streams = {  # by the step that the stage ends with
            stage.until: base.variant(size=stage.size, mixture=stage.mixture, difficulty=stage.difficulty) for stage in stages
        }

    def _open(self, stage: Stage, part: Part) -> TripletStream:
        return TripletStream(
            self._data.photos,
            self._data.cutouts,
            split=self._split,
            part=part,
            size=stage.size,
            seed=self._data.seed,
            mixture=stage.mixture,
            difficulty=stage.difficulty,
            relit=self._data.relit if part == "train" else 0.0,
        )

    def triplets(self, stage: Stage, samples: Sequence[int], forms: Sequence[Form] | None = None) -> list[Triplet]:
        """The stage's samples of these numbers; squares, or each of its form."""
        stream, limit = self._streams[stage.until], self._data.limit
        numbers = [number % limit if limit else number for number in samples]
        if forms is None:
            return [stream.sample(number) for number in numbers]
        pairs = zip(numbers, forms, strict=True)
        return [stream.squeezed(form.aspect).sample(number, size=max(form.size)).resized(form.size) for number, form in pairs]

    def evaluated(self, stage: Stage, count: int, kept_out: bool) -> list[Triplet]:
        """So many triplets for evaluation: the first of those that are trained on, as far as there are, or others, of what is kept out."""
        stream = self._open(stage, "heldout") if kept_out else self._streams[stage.until]
        most = count if kept_out else min(count, self._data.limit or count)
        return [stream.sample(number) for number in range(most)]


def draw_forms(portion: Portion, seed: int, cell: int, squares: bool) -> list[Form]:
    """The form of each sample: one of the stage's aspect ratios, of its own where all are squeezed to squares, else one for the batch."""
    stage = portion.stage
    sources = portion.samples if squares else [portion.first] * len(portion.samples)
    aspects = [random.Random(f"{seed}/shape/{source}").choice(stage.aspects or [1.0]) for source in sources]
    return [fit_form(round(1000 * aspect), 1000, stage.size, cell, squares) for aspect in aspects]


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures uint8 [H, W, 3] of one size -> uint8 tensor [B, 3, H, W]; small to send between processes, scaled on the device."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_device(batch: B, device: torch.device) -> B:
    """A batch with its tensors on the device."""
    return map_tensors(batch, lambda x: x.to(device, non_blocking=True))


def to_range(pictures: Tensor) -> Tensor:
    """uint8 0..255 -> float -1..1."""
    return pictures.float() / 127.5 - 1.0


def instruction_of(triplet: Triplet, number: int, limit: int | None = None) -> str:
    """English for even numbers, Chinese for odd ones; the one that there is, where there is only one.

    Where the same triplets come again after `limit` samples, each of them changes its language every time.
    """
    first, second = triplet.instruction_en, triplet.instruction_zh
    turn = number if limit is None else sum(divmod(number, limit))
    return (second or first) if turn % 2 else (first or second)


def streams_of(recipe: Recipe) -> Streams:
    """The streams of a recipe.

    Raises:
        UsageError: its data is read from disk.
    """
    if not recipe.data.photos:
        raise UsageError(f"The task {recipe.task} learns from triplets that are made on the way; name data.photos, cutouts and heldout.")
    return Streams(recipe.data, recipe.stages)
