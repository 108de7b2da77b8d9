"""How a model is kept in memory, and which ways fit a device; counted from shapes, before anything is loaded.

Three questions, each with a setting: in which type the weights lie, which of them wait in main memory, and how much is computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import torch
from torch import nn

from step1x_edit.errors import UsageError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.costs import (
    build_autoencoder,
    build_mllm,
    build_transformer,
    count_parameters,
    count_pictures,
    count_transformer,
    tokens_for,
)
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.narrow import WeightsType, narrow, narrow_linear
from step1x_edit.model.offload import Waiting
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.strips import STRIP_ROWS
from step1x_edit.model.weights import load_step1x_edit

Offload = Literal["none", "parts", "blocks"]
OFFLOADS: tuple[Offload, ...] = get_args(Offload)
M = TypeVar("M", bound=nn.Module)

ORDER: tuple[tuple[WeightsType, Offload], ...] = (
    ("full", "none"),
    ("full", "parts"),
    ("int8", "none"),
    ("int8", "parts"),
    ("full", "blocks"),
    ("int8", "blocks"),
    ("int4", "none"),
    ("int4", "parts"),
    ("int4", "blocks"),
)
"""Choice: what is fetched once an edit costs seconds, what is fetched at every step costs more; within that, numbers that are left alone
come first. int8 rounds weights three times finer than float8 (docs/speed_memory.md); int4, which rounds most, is for machines whose main
memory is small too."""
GIB = 2**30
PROMPT = 256
"""Tokens of the prefix, at least as many as any version has."""
LARGE = 512
"""Hidden size from which a CPU takes rows one by one: several at once make tensors so large that each is mapped and cleared anew."""
RESERVE = 0.06
"""Share of the device's memory that the driver, the kernels' own buffers and fragmentation are taken to need. Choice."""
MAIN_RESERVE = 0.2
"""Share of main memory that the system and all else are taken to need. Choice."""


@dataclass(frozen=True)
class Placement:
    """How a model is kept in memory.

    Attributes:
        weights: "full", the type that is computed in; "float8" or "int8", half of it, or "int4", little more than a quarter: the large
            matrices are stored so, and widened one at a time when they are used. Results then differ by the rounding of the weights; all
            other settings leave them alone.
        offload: "none", all on the device; "parts", the MLLM, the autoencoder and the DiT are there one at a time; "blocks", of the MLLM
            and the DiT only the blocks that are at work and the next ones.
        strips: the autoencoder computes some rows of its layers at a time.
        split: the two rows that guidance compares are computed one after the other, unless a cache is used.
    """

    weights: WeightsType = "full"
    offload: Offload = "none"
    strips: bool = False
    split: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("weights", WeightsType), ("offload", Offload)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"There is no {name} setting {getattr(self, name)!r}; choose one of {', '.join(get_args(kind))}.")

    def spell(self) -> str:
        """As options of `step1x edit`."""
        words = [f"--weights-dtype {self.weights}", f"--offload {self.offload}"]
        return " ".join([*words, *(f"--{name}" for name in ("strips", "split") if getattr(self, name))])

    def check(self, devices: list[torch.device]) -> list[torch.device]:
        """These devices, if the model can be kept so on them; else a UsageError."""
        if self.offload == "blocks" and len(devices) > 1:
            raise UsageError("Blocks can wait for one device alone; leave out the other devices, or take --offload parts.")
        return devices

    def write(self) -> dict[str, str]:
        """What changes the picture, written as on the command line; empty where nothing does."""
        return {"weights_dtype": self.weights.removeprefix("full")}

    def store(self, part: M) -> M:
        """The loaded model itself, whose weights lie in their type from now on."""
        if self.weights != "full":
            narrow(part, self.weights)
        return part

    @property
    def loads_elsewhere(self) -> bool:
        """Whether the large parts are loaded into main memory, from where `arrange` takes them."""
        return self.weights != "full" or self.offload != "none"


ALL_ON_DEVICE = Placement()


def offloads_of(devices: int) -> tuple[Offload, ...]:
    """Ways to have weights wait in main memory that go with so many devices, the one that saves most last; see `Placement.check`."""
    return OFFLOADS if devices == 1 else ("none", "parts")


def load_model(placement: Placement, folder: Path, preset: Preset, dtype: torch.dtype, devices: Sequence[torch.device]) -> Step1XEdit:
    """Connector and DiT, stored in that way; where there are several devices, with a copy on each of the others to work with.

    Raises:
        WeightsError: as for `load_step1x_edit`.
    """
    models = []
    for i, device in enumerate(devices):
        elsewhere = placement.loads_elsewhere if i == 0 else placement.weights != "full"
        each = placement.store(load_step1x_edit(folder, preset, dtype, "cpu" if elsewhere else device))
        models.append(each if i == 0 else each.to(device))  # before the next one is loaded, so that they never fill main memory together
    model, *copies = models
    model.work_with(copies, devices)
    return model


def arrange(placement: Placement, mllm: MLLM, autoencoder: Autoencoder, model: Step1XEdit, device: torch.device) -> Waiting:
    """Keep a loaded model, whose parts are stored, in that way, for good; returns what waits in main memory."""
    autoencoder.use_strips(STRIP_ROWS if placement.strips else None)
    model.split = placement.split or (device.type == "cpu" and model.config.hidden_size >= LARGE)
    mllm.device = device
    waiting = Waiting(device)
    for part in (mllm.model, model):
        if placement.offload == "none":
            part.to(device)
        else:
            waiting.add(part, placement.offload == "blocks")
    return waiting


@dataclass(frozen=True)
class Need:
    """What an edit needs with some settings, in bytes.

    Attributes:
        placement: these.
        stages: most that is on the device at once, for each stage of an edit.
        main: main memory in which weights wait instead, pinned as CUDA has them.
    """

    placement: Placement
    stages: dict[str, int]
    main: int

    @property
    def device(self) -> int:
        """Most that is on the device at once."""
        return max(self.stages.values())

    def fits(self, device_bytes: float, main_bytes: float = math.inf) -> bool:
        """Whether a device and a main memory of those sizes hold it, with what driver and system take."""
        return self.device <= (1 - RESERVE) * device_bytes and self.main <= (1 - MAIN_RESERVE) * main_bytes


@dataclass(frozen=True)
class Part:
    """Bytes of a model: of all its weights, of those outside its blocks, of its largest block, and of its largest matrix when widened.

    `pinned` is what all of them take in pinned memory, where PyTorch gives each tensor the next power of two.
    """

    whole: int
    outside: int
    block: int
    matrix: int
    pinned: int

    @classmethod
    def of(cls, module: nn.Module, weights: WeightsType) -> Part:
        """Count a model, whose weights are to lie in that type."""
        blocks = blocks_of(module)
        within = {layer for block in blocks for layer in block.modules()}  # of lists within lists each layer once
        inside = [size for layer in within for size in _sizes(layer, weights)]
        outside = [size for layer in module.modules() if layer not in within for size in _sizes(layer, "full")]
        linears = [] if weights == "full" else [m for block in blocks for m in block.modules() if isinstance(m, nn.Linear)]
        widened = max((_stored(m, weights).widened for m in linears), default=0)
        largest = max((sum(size for layer in block.modules() for size in _sizes(layer, weights)) for block in blocks), default=0)
        pinned = sum(1 << (size - 1).bit_length() for size in inside + outside)
        return cls(sum(inside + outside), sum(outside), largest, widened, pinned)

    def resident(self, placement: Placement) -> int:
        """Bytes on the device while it works: with blocks that are fetched, the one at work and the next."""
        return self.matrix + (self.outside + 2 * self.block if placement.offload == "blocks" else self.whole)


class Plan:
    """Counts once what does not depend on the settings, then answers for any of them."""

    def __init__(
        self,
        preset: Preset,
        size: int,
        dtype: torch.dtype = torch.bfloat16,
        references: int = 1,
        guidance: bool = True,
        mllm_config: Any = None,
        cached: bool = False,
        previews: bool = False,
    ) -> None:
        """Run an edit on the meta device.

        Args:
            preset: the version.
            size: side in pixels of the square whose area the model works at.
            dtype: type that is computed in.
            references: pictures in a request.
            guidance: whether two rows are compared.
            mllm_config: transformers configuration of the MLLM; None for the released one's sizes.
            cached: whether steps are taken over from others, for which both sides of guidance are computed at once.
            previews: whether pictures are decoded between the steps, beside the DiT.
        """
        self.preset, self.size, self.dtype = preset, size, dtype
        self._previews = previews
        self._splits = (False,) if cached else (False, True)
        self.tokens = tokens_for(preset, size, references)
        self.rows = 2 if guidance else 1
        self._model, self._autoencoder = build_transformer(preset, dtype), build_autoencoder(preset, dtype)
        self._mllm = build_mllm(mllm_config).to(dtype)
        self._parts = {kind: (Part.of(self._mllm, kind), Part.of(self._model, kind)) for kind in get_args(WeightsType)}
        costs = {rows: count_transformer(preset, self.tokens, rows, dtype) for rows in {1, self.rows}}
        self.flops = costs[self.rows].flops
        self._steps = {rows: cost.peak for rows, cost in costs.items()}
        self._pictures = {rows: count_pictures(preset, size, size, dtype, rows).peak for rows in (None, STRIP_ROWS)}

    @property
    def parameters(self) -> dict[str, int]:
        """Number of weights of each part."""
        parts = {"mllm": self._mllm, "autoencoder": self._autoencoder, "connector and dit": self._model}
        return {name: count_parameters(part) for name, part in parts.items()}

    def need(self, placement: Placement) -> Need:
        """What an edit needs with these settings."""
        (mllm, model), autoencoder = self._parts[placement.weights], Part.of(self._autoencoder, "full").whole
        at_work = {
            "reading": mllm.resident(placement) + _reading(self._mllm.config, self.tokens.text, self.rows, self.dtype),
            "pictures": self._pictures[STRIP_ROWS if placement.strips else None],
            "sampling": model.resident(placement) + self._steps[1 if placement.split else self.rows],
        }
        idle = {"reading": model.whole, "pictures": mllm.whole + model.whole, "sampling": mllm.whole}
        if placement.offload != "none":
            if self._previews:
                at_work["pictures"] += model.resident(placement)
            return Need(placement, {stage: autoencoder + size for stage, size in at_work.items()}, mllm.pinned + model.pinned)
        return Need(placement, {stage: autoencoder + size + idle[stage] for stage, size in at_work.items()}, 0)

    def each(self, device_bytes: float | None = None) -> Iterator[Need]:
        """All ways of keeping the model, each with the least of `strips` and `split` that fits the device, or with both where none does."""
        for weights in get_args(WeightsType):
            for place in get_args(Offload):
                yield self._slimmest(weights, place, device_bytes)

    def fitting(self, device_bytes: float, offloads: Sequence[Offload] = OFFLOADS, main_bytes: float = math.inf) -> Iterator[Need]:
        """The settings that fit a device and a main memory of those sizes, of those ways to have weights wait, best first."""
        for weights, place in ORDER:
            need = self._slimmest(weights, place, device_bytes)
            if place in offloads and need.fits(device_bytes, main_bytes):
                yield need

    def _slimmest(self, weights: WeightsType, place: Offload, device_bytes: float | None) -> Need:
        options = [self.need(Placement(weights, place, strips, split)) for split in self._splits for strips in (False, True)]
        if device_bytes is None:
            return options[0]
        return next((need for need in options if need.fits(device_bytes)), options[-1])

    def best(self, device_bytes: float, offloads: Sequence[Offload] = OFFLOADS, main_bytes: float = math.inf) -> Need:
        """The first settings that fit.

        Raises:
            UsageError: none do.
        """
        found = next(self.fitting(device_bytes, offloads, main_bytes), None)
        if found is not None:
            return found
        name = f"{self.preset.name} at size {self.size}"
        if (waiting := min((need.main for need in self.fitting(device_bytes, offloads)), default=None)) is not None:
            raise UsageError(
                f"{name} fits into {device_bytes / GIB:g} GiB only with {waiting / (1 - MAIN_RESERVE) / GIB:.1f} GiB of main memory, "
                f"where weights wait, and this machine has {main_bytes / GIB:.1f}; choose a smaller size."
            )
        least = self.need(Placement("int4", offloads[-1], True, self._splits[-1])).device / (1 - RESERVE)
        raise UsageError(
            f"{name} needs at least {least / GIB:.1f} GiB of memory, not {device_bytes / GIB:g}; "
            f"choose a smaller size{'' if len(offloads) > 1 else ' or a device that can be offloaded'}."
        )


def _sizes(layer: nn.Module, weights: WeightsType) -> list[int]:
    """Bytes of each of a layer's own tensors, of a narrow matrix those of its weight and scales."""
    if weights == "full" or not isinstance(layer, nn.Linear):
        return [p.nbytes for p in layer.parameters(recurse=False)]
    stored = _stored(layer, weights)
    return [stored.weight, stored.scale, *(p.nbytes for p in layer.parameters(recurse=False) if p is not layer.weight)]


@dataclass(frozen=True)
class _Stored:
    """Bytes of the weight and of the scales of a narrow matrix, and what it takes while it is widened."""

    weight: int
    scale: int
    widened: int


def _stored(layer: nn.Linear, weights: str) -> _Stored:
    return _store_shape(layer.in_features, layer.out_features, layer.weight.dtype, weights)


@cache
def _store_shape(inputs: int, outputs: int, dtype: torch.dtype, weights: str) -> _Stored:
    wide = nn.Linear(inputs, outputs, bias=False, device="meta", dtype=dtype)
    layer = narrow_linear(wide, weights)
    widened = wide.weight.nbytes + math.ceil(layer.beside * wide.weight.numel())
    return _Stored(layer.weight.nbytes, layer.scale.nbytes, widened)


def _reading(config: Any, text: int, rows: int, dtype: torch.dtype) -> int:
    """Bytes of what the MLLM computes: hidden states, queries, keys and values, and the three inner tensors of a feed-forward.

    Choice: counted by this formula, since its masks depend on contents, which the meta device has not.
    """
    sizes = config.text_config
    length = text + PROMPT
    return rows * length * (6 * sizes.hidden_size + 3 * sizes.intermediate_size) * dtype.itemsize
