"""Which samples belong to a step, and which of them are computed at once, and where.

Everything follows from the step's number, and a sample's noise from the sample's own. So a run is the same on any number of devices, and
in however many pieces its batches are computed, but for the order in which floating-point numbers are added.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch

from step1x_edit.training.processes import Processes
from step1x_edit.training.recipe import Recipe, Stage


@dataclass(frozen=True)
class Portion:
    """Some samples of a step that are computed at once.

    Attributes:
        stage: the part of the curriculum.
        step: number of the step in this stage, from 0.
        samples: their numbers in the run, which also fix their noise.
        positions: their places in the step's batch.
    """

    stage: Stage
    step: int
    samples: range
    positions: range

    @property
    def first(self) -> int:
        """Number of the first sample of the step's whole batch, which this portion is a part of."""
        return self.samples.start - self.positions.start


def first_sample(recipe: Recipe, step: int) -> int:
    """Number of samples that the steps before `step` took."""
    done, begin = 0, 0
    for stage in recipe.stages:
        done += (min(stage.until, step) - begin) * stage.batch if step > begin else 0
        begin = stage.until
    return done


def portions(recipe: Recipe, step: int, processes: Processes | None = None) -> list[Portion]:
    """The portions of a step that one process computes, in order; of the whole step without `processes`."""
    stage = recipe.stage_at(step)
    begin = max((other.until for other in recipe.stages if other.until < stage.until), default=0)
    first, places = first_sample(recipe, step), range(stage.batch)
    if processes is not None:
        places = processes.share(places)
    size = min(stage.micro_batch or len(places), len(places))
    pieces = [places[i : i + size] for i in range(0, len(places), size)]
    return [Portion(stage, step - begin, range(first + p.start, first + p.stop), p) for p in pieces]


def round_of(portion: Portion) -> int:
    """Number of the round, in its stage, that a portion belongs to."""
    return portion.step // (portion.stage.round * portion.stage.repeats)


def first_use(portion: Portion) -> Portion:
    """The portion that used the same triplets first: itself, or one of the same round, which are gone through again in another order."""
    stage = portion.stage
    turn, place = divmod(portion.step % (stage.round * stage.repeats), stage.round)
    if turn == 0:
        return portion
    begin = round_of(portion) * stage.round * stage.repeats
    step = begin + random.Random(f"{begin}/{turn}").sample(range(stage.round), stage.round)[place]
    back = (portion.step - step) * stage.batch
    return replace(portion, step=step, samples=range(portion.samples.start - back, portion.samples.stop - back))


def generators(recipe: Recipe, portion: Portion, device: torch.device) -> list[torch.Generator]:
    """The source of all randomness of each sample, on the device that computes it."""
    return [torch.Generator(device).manual_seed(recipe.seed * 1_000_003 + number) for number in portion.samples]
