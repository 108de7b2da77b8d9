"""What a recipe would take, before anything is loaded: parameters, memory of each GPU, arithmetic, and the time and cost of an epoch.

Everything is counted from shapes on the meta device; the time supposes a share of the GPU's peak, which a run then measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch

from step1x_edit.errors import UsageError
from step1x_edit.model.blocks import blocks_of
from step1x_edit.model.costs import count_parameters
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.training import adapters
from step1x_edit.training.counting import StepCost, count_step
from step1x_edit.training.optim import is_hidden
from step1x_edit.training.recipe import Recipe, Stage
from step1x_edit.training.sharding import is_sharded
from step1x_edit.training.starting import choose_preset

GIB = 2**30
UTILISATION = 0.4
ROOM = 0.94
"""Share of a GPU's memory that is left when the driver and fragmentation have taken theirs. Choice."""
RELEASED_MLLM = 8_292_166_656
RELEASED_HIDDEN = 3584
"""Weights of Qwen2.5-VL-7B-Instruct, and the size of its hidden states, by which it is known here."""
RELEASED_AUTOENCODER = 83_819_683

PEAKS = {"H200": 989, "H100": 989, "H800": 989, "A100": 312, "A800": 312, "B200": 2250, "L40S": 362, "L40": 181, "4090": 165, "3090": 71}
"""Dense bfloat16 TFLOPS by a part of the GPU's name, from the makers' data sheets."""


def known_peak(device: torch.device) -> float | None:
    """Floating-point operations a second of a GPU by its name; None for others."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((tflops * 1e12 for part, tflops in PEAKS.items() if part in name), None)


@dataclass(frozen=True)
class Hardware:
    """What the plan is for."""

    gpus: int = 1
    gib: float = 80.0
    tflops: float = 989.0


@dataclass(frozen=True)
class StagePlan:
    """One stage: its costs for one portion on one GPU, and bytes of each kind there."""

    stage: Stage
    portion: int
    cost: StepCost
    memory: dict[str, int]

    @property
    def peak(self) -> int:
        """Bytes on each GPU at once, without what the driver and fragmentation take."""
        return sum(self.memory.values())


@dataclass(frozen=True)
class Plan:
    """See `make_plan`."""

    recipe: Recipe
    hardware: Hardware
    parameters: dict[str, int]
    stages: list[StagePlan]

    def seconds(self, stage: StagePlan, samples: int) -> float:
        """Time for so many samples at 40 % of the peak."""
        return samples * stage.cost.flops / stage.portion / (self.hardware.tflops * 1e12 * UTILISATION * self.hardware.gpus)


def make_plan(recipe: Recipe, hardware: Hardware) -> Plan:
    """Count what a recipe for the editor would take.

    Raises:
        UsageError: the recipe is not for the editor, or its batch cannot be shared out.
    """
    if recipe.task != "edit":
        raise UsageError(f"A plan counts the task edit; {recipe.task} trains a part that is small.")
    preset = choose_preset(recipe)
    dtype = _dtype(recipe)
    with torch.device("meta"):
        editor = Step1XEdit(preset).to(dtype)
        connector = count_parameters(editor.connector)
        parameters = {"dit": count_parameters(editor) - connector, "connector": connector}
        if recipe.adapter is not None:
            adapters.attach(editor, recipe.adapter, dtype)
    parameters["trained"] = count_parameters(editor, trained=True)
    fixed = {**_weights(editor, recipe, hardware.gpus), **_frozen(recipe, preset)}
    return Plan(recipe, hardware, parameters, [_plan_stage(editor, recipe, stage, hardware, fixed) for stage in recipe.stages])


def _plan_stage(editor: Step1XEdit, recipe: Recipe, stage: Stage, hardware: Hardware, fixed: dict[str, int]) -> StagePlan:
    if stage.batch % hardware.gpus:
        raise UsageError(f"A batch of {stage.batch} cannot be shared by {hardware.gpus} GPUs; make it a multiple of {hardware.gpus}.")
    portion = min(stage.batch // hardware.gpus, stage.micro_batch or stage.batch)
    cost = count_step(editor, stage.size, portion, dtype=_dtype(recipe))
    activations = cost.recomputed if recipe.activation_checkpointing else cost.kept
    return StagePlan(stage, portion, cost, {**fixed, "activations": activations})


def _dtype(recipe: Recipe) -> torch.dtype:
    """What products are computed in on a GPU."""
    return torch.float32 if recipe.precision == "float32" else torch.bfloat16


def _weights(editor: Step1XEdit, recipe: Recipe, gpus: int) -> dict[str, int]:
    """Bytes of weights and of what belongs to each of them, on each GPU."""
    trained = count_parameters(editor, trained=True)
    frozen = sum(p.nbytes for p in chain(editor.parameters(), editor.buffers()) if not p.requires_grad)
    muon = sum(p.numel() for name, p in editor.named_parameters() if p.requires_grad and is_hidden(name, p, recipe.optim))
    parts = gpus if is_sharded(recipe, editor) else 1
    memory = {
        "weights": frozen + 4 * trained // parts,
        "gradients": 4 * trained // parts,
        "optimizer": (8 * trained - 4 * muon) // parts,
        "average": 4 * trained // parts if recipe.optim.ema else 0,
    }
    if recipe.adapter is None:
        blocks, each = [count_parameters(block) for block in blocks_of(editor)], _dtype(recipe).itemsize
        if parts > 1:
            # the block at work, the one that is fetched meanwhile, and what is in no block; the gradients of one
            memory["weights put together"] = each * (trained - sum(blocks) + 2 * max(blocks))
            memory["gradients to share out"] = (each + 4) * max(blocks)
        elif each < 4:
            memory["bfloat16 copies"] = each * trained
    return memory


def _frozen(recipe: Recipe, preset: Preset) -> dict[str, int]:
    """Bytes of the MLLM, and of the autoencoder in float32, which are there unless what they say is cached."""
    if recipe.data.cache is not None:
        return {}
    if preset.connector.in_channels != RELEASED_HIDDEN:
        return {"MLLM and autoencoder": sum(_size_of(path) for path in (recipe.model.mllm, recipe.model.autoencoder) if path)}
    return {"MLLM and autoencoder": _dtype(recipe).itemsize * RELEASED_MLLM + 4 * RELEASED_AUTOENCODER}


def _size_of(folder: Path) -> int:
    files = [*folder.glob("autoencoder.safetensors"), *folder.glob("mllm/*.safetensors")] if folder.is_dir() else [folder]
    return sum(2 * file.stat().st_size for file in files if file.is_file())


def describe(plan: Plan, samples: int, price: float | None = None) -> Iterator[str]:
    """The plan in lines to print; `samples` make an epoch, and `price` is that of a GPU for an hour."""
    hardware, parameters = plan.hardware, plan.parameters
    yield (
        f"{plan.recipe.model.preset}: DiT {parameters['dit'] / 1e9:.3f} B, connector {parameters['connector'] / 1e9:.3f} B, "
        f"trained {parameters['trained'] / 1e9:.3f} B parameters"
    )
    yield f"{hardware.gpus} x {hardware.gib:g} GiB, {hardware.tflops:g} TFLOPS each; times at {UTILISATION:.0%} of that, which is supposed"
    if _dtype(plan.recipe) is torch.float32:
        yield "in float32, which GPUs compute several times slower than bfloat16: give their peak for it with --peak"
    for planned in plan.stages:
        stage, cost = planned.stage, planned.cost
        yield ""
        yield f"stage until step {stage.until}: {stage.size} px, batch {stage.batch}, {planned.portion} at once on each GPU"
        yield f"  tokens of a sample            {cost.tokens:,}"
        yield f"  TFLOPs of a sample, both ways {cost.flops / planned.portion / 1e12:,.3g}"
        yield f"  GFLOPs of a token             {cost.flops / planned.portion / cost.tokens / 1e9:,.3g}"
        for name, size in planned.memory.items():
            yield f"  {name:<29} {size / GIB:8.2f} GiB"
        other = cost.kept if plan.recipe.activation_checkpointing else cost.recomputed
        way = "without" if plan.recipe.activation_checkpointing else "with"
        verdict = "" if planned.peak < ROOM * hardware.gib * GIB else ": TOO MUCH"
        yield f"  {'in all':<29} {planned.peak / GIB:8.2f} GiB of {hardware.gib:g}{verdict}"
        yield f"  activations {way + ' checkpointing':<18}{other / GIB:8.2f} GiB instead"
        seconds = plan.seconds(planned, stage.batch)
        yield f"  a step {seconds:.3g} s, {stage.batch / seconds:,.3g} samples/s, {stage.batch * cost.tokens / seconds:,.0f} tokens/s"
        hours = plan.seconds(planned, samples) / 3600
        money = f", {hours * hardware.gpus * price:,.0f} at {price:g} an hour" if price else ""
        yield f"  an epoch of {samples:,} samples: {hours:,.3g} h, {hours * hardware.gpus:,.3g} GPU hours{money}"
