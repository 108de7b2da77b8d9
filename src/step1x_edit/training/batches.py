"""From triplets to tensors: the part of every task's batch that is the same."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.image_io import fit_size
from step1x_edit.training.recipe import Data, Recipe, Stage


class Streams:
    """One endless stream a stage of the curriculum, all over the same pictures in memory."""

    def __init__(self, data: Data, stages: Sequence[Stage]) -> None:
        split = Split.read(data.heldout)
        first: TripletStream | None = None
        self._streams: dict[int, TripletStream] = {}  # by the step that the stage ends with
        for stage in stages:
            if first is None:
                stream = first = TripletStream(
                    data.photos,
                    data.cutouts,
                    split=split,
                    part="train",
                    size=stage.size,
                    seed=data.seed,
                    mixture=stage.mixture,
                    difficulty=stage.difficulty,
                )
            else:
                stream = first.variant(size=stage.size, mixture=stage.mixture, difficulty=stage.difficulty)
            self._streams[stage.until] = stream

    def triplets(self, stage: Stage, first: int, shape: tuple[int, int] | None = None) -> list[Triplet]:
        """The stage's samples `first`, `first + 1`, ... as many as its batch holds; squares, or squeezed to `shape` (width, height)."""
        stream = self._streams[stage.until]
        if shape is None:
            return [stream.sample(first + i) for i in range(stage.batch)]
        return [squeeze(stream.sample(first + i, size=max(shape)), shape) for i in range(stage.batch)]


def draw_shape(stage: Stage, seed: int, first: int, cell: int) -> tuple[int, int]:
    """Width and height of the batch that begins with sample `first`: one of the stage's aspect ratios, multiples of `cell` pixels."""
    aspect = random.Random(f"{seed}/shape/{first}").choice(stage.aspects)
    return fit_size(round(1000 * aspect), 1000, stage.size, cell)


def squeeze(triplet: Triplet, shape: tuple[int, int]) -> Triplet:
    """The triplet at another aspect ratio. Choice: squeezed, not cut, so that what is asked for stays in the picture and in place."""
    if triplet.source.shape[1::-1] == shape:
        return triplet
    source, target = (cv2.resize(picture, shape, interpolation=cv2.INTER_AREA) for picture in (triplet.source, triplet.target))
    region = cv2.resize(triplet.region.view(np.uint8), shape, interpolation=cv2.INTER_NEAREST).view(np.bool_)
    return dataclasses.replace(triplet, source=source.astype(np.uint8), target=target.astype(np.uint8), region=region)


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures uint8 [H, W, 3] of one size -> uint8 tensor [B, 3, H, W]; small to send between processes, scaled on the device."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def to_range(pictures: Tensor) -> Tensor:
    """uint8 0..255 -> float -1..1."""
    return pictures.float() / 127.5 - 1.0


def streams_of(recipe: Recipe) -> Streams:
    """The streams of a recipe."""
    return Streams(recipe.data, recipe.stages)
