"""A recipe: everything that a training run needs to know, as a TOML file that a user copies and changes.

Unknown keys are errors. The resolved recipe is written into the run's folder, so that a run can be made again from it alone.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from step1x_edit.devices import choose_dtype
from step1x_edit.errors import UsageError
from step1x_edit.model.narrow import WeightsType
from step1x_edit.model.presets import PRESETS, Preset, read_sizes
from step1x_edit.toml_files import check_values, put_value, read_toml
from step1x_edit.types import EditCategory

ADAPTED = ["_attn.qkv", "_attn.proj", "_mlp.0", "_mlp.2", "_mod.lin", "linear1", "linear2", "modulation.lin"]
"""Every linear layer of the DiT's blocks."""


MOST_SEED = 2**32
"""Of a run: each sample's own seed, which is made of it, has to fit into 64 bits."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Stage(_Section):
    """One stretch of the curriculum, until `until` steps are done in all.

    `mixture` gives the share of each category (any positive numbers); `size` the side in pixels of the square with the pictures' area;
    `difficulty` 0..1 goes from one large subject to several small ones; `aspects` are widths over heights, of which each batch of the
    editor takes one by chance, or each sample where all are squeezed to squares; 1 by default. Pictures that are read from disk have
    categories, difficulty and proportions of their own, and are put into the nearest of the aspect ratios, by default nine from 1:2 to
    2:1.

    `batch` samples make a step, on however many devices; each computes at most `micro_batch` of them at once and adds up the gradients.

    `repeats`: how often each triplet that is made on the way is used, as what the frozen parts say of it costs as much as learning from it
    does. The triplets of `round` steps are kept in memory and gone through so often, in other order and with other noise each time.
    """

    until: int = Field(gt=0)
    size: int = Field(ge=32, le=2048)
    batch: int = Field(gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    difficulty: float = Field(default=1.0, ge=0, le=1)
    mixture: dict[EditCategory, float] | None = None
    repeats: int = Field(default=1, gt=0)
    round: int = Field(default=200, gt=0)
    aspects: list[Annotated[float, Field(ge=0.25, le=4)]] | None = Field(default=None, min_length=1)


class Data(_Section):
    """Where triplets come from: one of three. The folders are given on the command line (`--set data.photos=...`) or here.

    `photos` and `cutouts`: they are made while training goes on, without end, from all but the pictures that `heldout` names.
    `shards`: folders that `step1x data build` wrote, or any folders of tar files in the WebDataset convention.
    `pairs`: JSON of the published fine-tuning, {"target.jpg": {"caption": "...", "ref_image_path": "source.jpg"}}.

    `relit` is the share of the photographs, 0..1, that triplets made on the way show in another light than their own: of few photographs,
    a model learns the very pixels by heart.

    `limit` takes only the first so many triplets, over and over. `cache` is a folder for what the frozen parts say of each triplet on
    disk, which is then computed once, before training; the MLLM and the autoencoder are not needed in memory afterwards.
    """

    photos: list[Path] = []
    cutouts: list[Path] = []
    heldout: Path | None = None
    relit: float = Field(default=0.0, ge=0, le=1)
    shards: list[Path] = []
    pairs: list[Path] = []
    limit: int | None = Field(default=None, gt=0)
    cache: Path | None = None
    seed: int = 0
    workers: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Data:
        kinds = [bool(self.photos or self.cutouts), bool(self.shards), bool(self.pairs)]
        if sum(kinds) != 1:
            raise ValueError("name the data: either photos, cutouts and heldout, or shards, or pairs")
        if kinds[0] and not (self.photos and self.cutouts and self.heldout):
            raise ValueError("triplets are made from photos and cutouts, without what the file heldout names: give all three")
        if self.relit and not kinds[0]:
            raise ValueError("relit needs photos, which it shows in another light: what shards and pairs hold is taken as it is")
        if kinds[0] and self.cache:
            raise ValueError("only shards and pairs can be cached: triplets that are made anew at every step are seen once")
        return self


class Model(_Section):
    """What to train, and what it is trained with.

    `autoencoder` and `mllm` are the model folders that hold the editor's frozen parts, for instance those of the runs that trained them.
    `start` gives weights to start from, a model folder or a safetensors file; a run that has a state of its own goes on from that. It may
    be a text-to-image model of FLUX layout, in its own files or a diffusers folder; the connector is then new. Of a start with fewer
    blocks the DiT goes on deeper: the further blocks are new and begin by changing nothing. Of one with patches of twice the side, or three
    times and so on, it goes on finer: each patch is divided.

    `dit` gives the DiT other sizes than the preset has, by the names of `model.presets.DiTConfig`; `patch` tokens of another side in latent
    pixels, and what goes in and comes out accordingly; and `squares` says whether all pictures are squeezed to squares, where that is not
    as in the preset.
    """

    preset: str = "mini"
    dit: dict[str, Any] = {}
    patch: int | None = Field(default=None, gt=0)
    squares: bool | None = None
    autoencoder: Path | None = None
    mllm: Path | None = None
    start: Path | None = None

    @field_validator("preset")
    @classmethod
    def _check_preset(cls, preset: str) -> str:
        if preset not in PRESETS:
            raise ValueError(f"there is no preset {preset}; choose one of {', '.join(PRESETS)}")
        return preset

    def sizes(self) -> Preset:
        """The preset with these sizes, and squares or none; raises WeightsError where the sizes make no model."""
        row = PRESETS[self.preset]
        row = row if self.squares is None else replace(row, squares=self.squares)
        row = row if self.patch is None else row.with_patch(self.patch)
        return read_sizes(row, "The recipe's [model.dit]", dit={**asdict(row.dit), **self.dit}) if self.dit else row


class Optim(_Section):
    """Muon on hidden matrices, AdamW on everything else; a linear warm-up, a plateau, and a linear decay to `final` of the rate."""

    lr: float = Field(gt=0)
    muon_lr: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.95)
    warmup: int = Field(default=100, ge=0)
    decay: int = Field(default=0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)


class Adapter(_Section):
    """Train low-rank matrices beside the model's own, which stay as they are.

    `layers` are ends of the names of linear layers; the published fine-tuning adapts those of all blocks. `weights` is the type in which
    the matrices of these layers lie meanwhile, as in `memory.Placement`.
    """

    rank: int = Field(default=64, gt=0)
    alpha: float | None = Field(default=None, gt=0, description="the rank by default")
    layers: list[str] = Field(default=ADAPTED, min_length=1)
    weights: WeightsType = "full"


class Evaluation(_Section):
    """Every so many steps (0: never), edit some of the data's own triplets, or of those kept out of it, with the averaged weights."""

    every: int = Field(default=0, ge=0)
    count: int = Field(default=8, gt=0)
    steps: int | None = Field(default=None, gt=0, description="sampling steps; the model's own number by default")
    heldout: bool = True


class Logging(_Section):
    """Where numbers go besides metrics.jsonl; `wandb` is the name of a project."""

    tensorboard: bool = False
    wandb: str | None = None


class Timesteps(_Section):
    """How t is drawn: a share `high_share` uniformly from `high`..1, the rest from `low`..1 by `draw`, shifted towards noise by `shift`.

    Source: reference facts (published fine-tuning: logit-normal, shift 3.1582). Choice: the share near t = 1, where the whole edit has to
    be decided, and the lower bound, below which a model that predicts the change to the reference has nothing left to learn: its velocity
    is that change divided by t, its loss without bounds. None is 0.2 for such models, and 0 for others.
    """

    draw: Literal["uniform", "logit-normal"] = "uniform"
    low: float | None = Field(default=None, ge=0, lt=1)
    high: float = Field(default=1.0, ge=0, le=1)
    high_share: float = Field(default=0.0, ge=0, le=1)
    shift: float = Field(default=3.1582, gt=0)

    def suited_to(self, prediction: str) -> Timesteps:
        """The same, with the lower bound of a model with such a `Preset.prediction` where there is none."""
        return self if self.low is not None else self.model_copy(update={"low": 0.0 if prediction == "velocity" else 0.2})


class Recipe(_Section):
    """The whole file.

    `weighting` of the editor's samples: all alike, or by how little their edit changes; see `flow.objective.weigh_by_change`.

    `shard`: whether several processes share the editor's weights out ("always", "never"). By default they do from 100 million weights
    on: a smaller model is whole on each, as sharding costs it more in messages than it saves in memory.
    """

    task: Literal["autoencoder", "mllm", "edit"]
    seed: int = Field(default=0, ge=-MOST_SEED, le=MOST_SEED)
    threads: int = Field(default=0, ge=0)
    compile: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    activation_checkpointing: bool = False
    shard: Literal["auto", "always", "never"] = "auto"
    weighting: Literal["even", "change"] = "even"
    dropout: float = Field(default=0.0, ge=0, le=1, description="share of instructions replaced by the empty one, for guidance")
    log_every: int = Field(default=20, gt=0)
    save_every: int = Field(default=200, gt=0)
    data: Data
    model: Model
    optim: Optim
    timesteps: Timesteps = Timesteps()
    adapter: Adapter | None = None
    evaluation: Evaluation = Evaluation()
    logging: Logging = Logging()
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.task == "edit" and (self.model.autoencoder is None or self.model.mllm is None):
            raise ValueError("model.autoencoder and model.mllm must name the folders of the editor's frozen parts")
        if self.task != "edit" and (self.adapter or self.data.cache):
            raise ValueError("adapters and a cache are for the task edit")
        if (self.task != "edit" or not self.data.photos) and any(stage.repeats > 1 for stage in self.stages):
            raise ValueError("repeats are for the task edit with triplets that are made on the way; others come again in every epoch")
        if self.adapter and self.model.start is None:
            raise ValueError("model.start must name the model that the adapter is for")
        ends = [stage.until for stage in self.stages]
        if ends != sorted(set(ends)):
            raise ValueError(f"each stage must end after the one before it, not {ends}")
        return self

    def dtype(self, device: torch.device) -> torch.dtype:
        """What products are computed in; trained weights are kept in float32 in any case."""
        return choose_dtype(None if self.precision == "auto" else self.precision, device)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.stages[-1].until

    def stage_at(self, step: int) -> Stage:
        """The stage that optimiser step `step` (from 0) belongs to."""
        return next(stage for stage in self.stages if step < stage.until)


def read_recipe(path: Path, settings: list[str] | None = None, cache: Path | None = None) -> Recipe:
    """Read a TOML recipe and lay `key=value` settings over it; a value is TOML too, and text needs no quotes. `cache` is `data.cache`.

    Raises:
        UsageError: the file is missing, is not TOML, has an unknown key or a value out of range.
    """
    values = read_toml(path, "recipe")
    for setting in settings or []:
        _lay_over(values, setting)
    if cache is not None:
        put_value(values, "data.cache", str(cache))
    return check_values(Recipe, values, "recipe", str(path))


def _lay_over(values: dict[str, Any], setting: str) -> None:
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise UsageError(f"A setting is written key=value, for example optim.lr=1e-4; {setting!r} is not.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    put_value(values, key, value)
