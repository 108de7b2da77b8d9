"""A recipe: everything that a training run needs to know, as a TOML file that a user copies and changes.

Unknown keys are errors. The resolved recipe is written into the run's folder, so that a run can be made again from it alone.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stage(_Section):
    """One stretch of the curriculum, until `until` steps are done in all.

    `mixture` gives the share of each category (any positive numbers); `size` the side in pixels of the square with the pictures' area;
    `difficulty` 0..1 goes from one large subject to several small ones; `aspects` are widths over heights, of which each batch of the
    editor takes one by chance.
    """

    until: int = Field(gt=0)
    size: int = Field(ge=32, le=2048)
    batch: int = Field(gt=0)
    difficulty: float = Field(default=1.0, ge=0, le=1)
    mixture: dict[EditCategory, float] | None = None
    aspects: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(default=[1.0], min_length=1)


class Data(_Section):
    """Where pictures come from. The folders are given on the command line (`--set data.photos=...`) or here."""

    photos: list[Path] = Field(min_length=1)
    cutouts: list[Path] = Field(min_length=1)
    heldout: Path
    seed: int = 0
    workers: int = Field(default=1, ge=0)


class Model(_Section):
    """What to train, and what it is trained with.

    `autoencoder` and `mllm` are the model folders that hold the editor's frozen parts, for instance those of the runs that trained them.
    `start` gives weights to start from, a model folder or a safetensors file; a run that has a state of its own goes on from that.
    """

    preset: str = "mini"
    autoencoder: Path | None = None
    mllm: Path | None = None
    start: Path | None = None


class Optim(_Section):
    """Muon on hidden matrices, AdamW on everything else; a linear warm-up, a plateau, and a linear decay to `final` of the rate."""

    lr: float = Field(gt=0)
    muon_lr: float | None = Field(default=None, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int = Field(default=100, ge=0)
    decay: int = Field(default=0, ge=0)
    final: float = Field(default=0.0, ge=0, le=1)
    clip: float = Field(default=1.0, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)


class Timesteps(_Section):
    """How t is drawn: a share `high_share` uniformly from `high`..1, the rest from `low`..1 shifted towards noise by `shift`.

    Source: shifted timesteps, reference facts (published fine-tuning: shift 3.1582). Choice: the share near t = 1, where the whole edit has
    to be decided, and the lower bound, below which a model that predicts the change to the reference has nothing left to learn.
    """

    low: float = Field(default=0.0, ge=0, lt=1)
    high: float = Field(default=1.0, ge=0, le=1)
    high_share: float = Field(default=0.0, ge=0, le=1)
    shift: float = Field(default=3.1582, gt=0)


class Recipe(_Section):
    """The whole file."""

    task: Literal["autoencoder", "mllm", "edit"]
    seed: int = 0
    threads: int = Field(default=0, ge=0)
    compile: bool = False
    dropout: float = Field(default=0.0, ge=0, le=1, description="share of instructions replaced by the empty one, for guidance")
    log_every: int = Field(default=20, gt=0)
    save_every: int = Field(default=200, gt=0)
    data: Data
    model: Model
    optim: Optim
    timesteps: Timesteps = Timesteps()
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.task == "edit" and (self.model.autoencoder is None or self.model.mllm is None):
            raise ValueError("model.autoencoder and model.mllm must name the folders of the editor's frozen parts")
        ends = [stage.until for stage in self.stages]
        if ends != sorted(set(ends)):
            raise ValueError(f"each stage must end after the one before it, not {ends}")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.stages[-1].until

    def stage_at(self, step: int) -> Stage:
        """The stage that optimiser step `step` (from 0) belongs to."""
        return next(stage for stage in self.stages if step < stage.until)


def read_recipe(path: Path, settings: list[str] | None = None) -> Recipe:
    """Read a TOML recipe and lay `key=value` settings over it; a value is TOML too, and text needs no quotes.

    Raises:
        UsageError: the file is missing, is not TOML, has an unknown key or a value out of range.
    """
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The recipe {path} is not valid TOML: {error}.") from error
    for setting in settings or []:
        _lay_over(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise UsageError(f"The recipe {path} is wrong{place}: {first['msg'].removeprefix('Value error, ')}.") from error


def _lay_over(values: dict[str, Any], setting: str) -> None:
    key, sign, text = setting.partition("=")
    if not sign or not key:
        raise UsageError(f"A setting is written key=value, for example optim.lr=1e-4; {setting!r} is not.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"The setting {setting!r} names {section}, which is not a section of the recipe.")
    values[name] = value
