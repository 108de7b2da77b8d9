"""From triplets to tensors: the part of every task's batch that is the same."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from step1x_edit.data.split import Part, Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import UsageError
from step1x_edit.image_io import fit_size
from step1x_edit.training.recipe import Data, Recipe, Stage


class Streams:
    """One endless stream a stage of the curriculum, all over the same pictures in memory."""

    def __init__(self, data: Data, stages: Sequence[Stage]) -> None:
        assert data.heldout is not None  # the recipe has seen to it
        self._data, self._split = data, Split.read(data.heldout)
        first: TripletStream | None = None
        self._streams: dict[int, TripletStream] = {}  # by the step that the stage ends with
        for stage in stages:
            if first is None:
                stream = first = self._open(stage, "train")
            else:
                stream = first.variant(size=stage.size, mixture=stage.mixture, difficulty=stage.difficulty)
            self._streams[stage.until] = stream

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
        )

    def triplets(self, stage: Stage, samples: Sequence[int], shape: tuple[int, int] | None = None) -> list[Triplet]:
        """The stage's samples of these numbers; squares, or squeezed to `shape` (width, height)."""
        stream, limit = self._streams[stage.until], self._data.limit
        numbers = [number % limit if limit else number for number in samples]
        if shape is None:
            return [stream.sample(number) for number in numbers]
        return [squeeze(stream.sample(number, size=max(shape)), shape) for number in numbers]

    def evaluated(self, stage: Stage, count: int, kept_out: bool) -> list[Triplet]:
        """So many triplets for evaluation: the first of those that are trained on, or others, of what is kept out of training."""
        stream = self._open(stage, "heldout") if kept_out else self._streams[stage.until]
        return [stream.sample(number) for number in range(count)]


def draw_shape(stage: Stage, seed: int, first: int, cell: int) -> tuple[int, int]:
    """Width and height of the batch that begins with sample `first`: one of the stage's aspect ratios, multiples of `cell` pixels."""
    aspect = random.Random(f"{seed}/shape/{first}").choice(stage.aspects or [1.0])
    return fit_size(round(1000 * aspect), 1000, stage.size, cell)


def squeeze(triplet: Triplet, shape: tuple[int, int]) -> Triplet:
    """The triplet at another aspect ratio. Choice: squeezed, not cut, so that what is asked for stays in the picture and in place."""
    if triplet.source.shape[1::-1] == triplet.target.shape[1::-1] == shape:
        return triplet
    source, target = (cv2.resize(picture, shape, interpolation=cv2.INTER_AREA) for picture in (triplet.source, triplet.target))
    region = cv2.resize(triplet.region.view(np.uint8), shape, interpolation=cv2.INTER_NEAREST).view(np.bool_)
    return dataclasses.replace(triplet, source=source.astype(np.uint8), target=target.astype(np.uint8), region=region)


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures uint8 [H, W, 3] of one size -> uint8 tensor [B, 3, H, W]; small to send between processes, scaled on the device."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_device(batch: Any, device: torch.device) -> Any:
    """Tensors, and those in dicts, on the device; anything else as it is."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    return batch


def to_range(pictures: Tensor) -> Tensor:
    """uint8 0..255 -> float -1..1."""
    return pictures.float() / 127.5 - 1.0


def instruction_of(triplet: Triplet, number: int) -> str:
    """English for even numbers, Chinese for odd ones; the one that there is, where there is only one."""
    first, second = triplet.instruction_en, triplet.instruction_zh
    return (second or first) if number % 2 else (first or second)


def streams_of(recipe: Recipe) -> Streams:
    """The streams of a recipe.

    Raises:
        UsageError: its data is read from disk.
    """
    if not recipe.data.photos:
        raise UsageError(f"The task {recipe.task} learns from triplets that are made on the way; name data.photos, cutouts and heldout.")
    return Streams(recipe.data, recipe.stages)
