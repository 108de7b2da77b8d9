"""Does this implementation agree with the published ones, number for number?

A reference folder holds small weights and, beside them, what a published implementation made of given inputs. Sizes, grids and schedules
are read from the folder, so that folders of other sizes are checked as well. Two layouts are known:

    single file: config.json, dit.safetensors, dit_io.safetensors, autoencoder.safetensors, autoencoder_io.safetensors;
        it may also hold official_keys.json, and folders of the second kind
    diffusers: transformer.safetensors, transformer_config.json, transformer_io.safetensors

Source: reference facts; the tolerance there is 2e-4 of the tensor's standard deviation, float32 on CPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from step1x_edit.errors import UsageError
from step1x_edit.flow.sampler import sample
from step1x_edit.flow.schedule import schedule, shift_for
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.layouts import read_transformer_config
from step1x_edit.model.presets import PRESETS, Preset, read_sizes
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import TensorFiles, read_json, read_tensors
from step1x_edit.model.weights import load_autoencoder, load_step1x_edit

TOLERANCE = 2e-4

_SINGLE_FILE = ("config.json", "dit.safetensors", "dit_io.safetensors", "autoencoder.safetensors", "autoencoder_io.safetensors")
_DIFFUSERS = ("transformer_config.json", "transformer.safetensors", "transformer_io.safetensors")
_KEYS = "official_keys.json"


@dataclass(frozen=True)
class Agreement:
    """How far one tensor of ours is from the reference.

    Attributes:
        name: the tensor's name in its file, after the folder's where that is a part of the one asked for.
        difference: largest absolute difference over the reference's standard deviation; infinite where shapes differ, nan where ours is
            not a number.
    """

    name: str
    difference: float

    def within(self, tolerance: float = TOLERANCE) -> bool:
        """Whether the difference is at most this; never for nan."""
        return self.difference <= tolerance


@torch.inference_mode()
def verify(folder: Path, device: torch.device | str = "cpu") -> Iterator[Agreement]:
    """Compare every tensor of a reference folder, one after the other.

    Args:
        folder: in one of the two layouts.
        device: where to compute, in float32.

    Raises:
        UsageError: the folder is in neither layout.
        WeightsError: its weights are damaged, or do not have the sizes that its configuration gives.
    """
    if _holds(folder, _SINGLE_FILE):
        yield from _verify_single_file(folder, device)
        for part in sorted(child for child in folder.iterdir() if child.is_dir() and _holds(child, _DIFFUSERS)):
            yield from (replace(each, name=f"{part.name}: {each.name}") for each in _verify_diffusers(part, device))
        if (folder / _KEYS).is_file():
            yield from _verify_keys(folder / _KEYS)
    elif _holds(folder, _DIFFUSERS):
        yield from _verify_diffusers(folder, device)
    else:
        raise UsageError(f"{folder} is no reference folder: it must hold {', '.join(_SINGLE_FILE)}, or {', '.join(_DIFFUSERS)}.")


def _holds(folder: Path, files: tuple[str, ...]) -> bool:
    return all((folder / name).is_file() for name in files)


def _verify_single_file(folder: Path, device: torch.device | str) -> Iterator[Agreement]:
    config = _Contents.of_json(folder / "config.json")
    preset = _read_preset(config, "connector.scale_factor" in TensorFiles(folder / "dit.safetensors"))
    grid = _read_grid(config)
    model = load_step1x_edit(folder / "dit.safetensors", preset, device=device)
    io = _Contents.of_tensors(folder / "dit_io.safetensors", device)
    for case in sorted(name.removesuffix(".prediction") for name in io.values if name.endswith(".prediction")):
        yield from _verify_forward(model, grid, io, case)
    yield from _verify_loop(model, grid, io, config)
    schedules = config.table("schedules") if "schedules" in config.values else {}
    for name, times in schedules.items():
        steps, _, tokens = name.partition("x")
        if not (steps.isdecimal() and tokens.isdecimal() and isinstance(times, list)):
            raise UsageError(f"{config.path} is no part of a reference folder: schedules must map STEPSxTOKENS to times.")
        yield _compare(f"schedules.{name}", torch.tensor(schedule(int(steps), shift_for(int(tokens)))), torch.tensor(times))

    autoencoder = load_autoencoder(folder / "autoencoder.safetensors", preset, device=device)
    io = _Contents.of_tensors(folder / "autoencoder_io.safetensors", device)
    image = io.tensor("image", -1, preset.autoencoder.in_channels, -1, -1)
    latent = io.tensor("latent_mean", -1, preset.autoencoder.z_channels, -1, -1)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # which PyTorch allows in convolutions: ten bits of a number
        moments, encoded, decoded = autoencoder.moments(image), autoencoder.encode(image), autoencoder.decode(latent)
    yield _compare("moments", moments, io["moments"])
    yield _compare("latent_mean", encoded, latent)
    yield _compare("decoded", decoded, io["decoded"])


def _verify_forward(model: Step1XEdit, grid: Grid, io: _Contents, case: str) -> Iterator[Agreement]:
    """One forward pass: connector, noise half, reference half."""
    sizes = grid.tokens, model.config.in_channels
    noisy = io.tensor(f"{case}.noisy", -1, *sizes)
    reference = io.tensor(f"{case}.reference", len(noisy), *sizes)
    t = io.tensor(f"{case}.t", len(noisy))
    embedding = _read_embedding(model, io, f"{case}.", len(noisy))
    context = model.connector(embedding, t)
    yield _compare(f"{case}.connector_tokens", context.tokens_BLD, io[f"{case}.connector_tokens"])
    yield _compare(f"{case}.connector_vector", context.vector_BV, io[f"{case}.connector_vector"])
    yield _compare(f"{case}.prediction", model(noisy, reference, embedding, t, grid), io[f"{case}.prediction"])
    both = model.decode(noisy, reference, context, t, model.ids(embedding, grid, grid), model.hidden_padding(embedding))
    yield _compare(f"{case}.prediction_reference_half", both[:, grid.tokens :], io[f"{case}.prediction_reference_half"])


def _verify_loop(model: Step1XEdit, grid: Grid, io: _Contents, config: _Contents) -> Iterator[Agreement]:
    """The whole sampling loop, with ordinary and with limited guidance."""
    sizes = grid.tokens, model.config.in_channels
    noise, reference = io.tensor("denoise.noise", 1, *sizes), io.tensor("denoise.reference", 1, *sizes)
    embedding = _read_embedding(model, io, "denoise.", 2)

    def velocity(noisy: Tensor, t: Tensor) -> Tensor:
        return model(noisy, reference.expand(len(noisy), -1, -1), embedding, t, grid)

    times = schedule(int(config.number("steps")), shift_for(grid.tokens))
    yield _compare("denoise.timesteps", torch.tensor(times), io["denoise.timesteps"])
    for name, limit in (("plain", None), ("normed", config.number("normed_truncate"))):
        latent = sample(velocity, noise, times, guidance=config.number("guidance"), limit_above=limit)
        yield _compare(f"denoise.{name}.latent", latent, io[f"denoise.{name}.latent"])


def _verify_diffusers(folder: Path, device: torch.device | str) -> Iterator[Agreement]:
    """One forward pass whose inputs are all given, ids included; the pictures come as one sequence."""
    config = _Contents.of_json(folder / "transformer_config.json")
    mapped = config.values.get("enable_text_token_mapping") is True
    preset = read_transformer_config(config.values, PRESETS["v1.2" if mapped else "v1.1"], str(config.path))
    model = load_step1x_edit(folder / "transformer.safetensors", preset, device=device)
    io = _Contents.of_tensors(folder / "transformer_io.safetensors", device)
    pictures = io.tensor("hidden_states", -1, -1, model.config.in_channels)
    t = io.tensor("t", len(pictures))
    embedding = _read_embedding(model, io, "", len(pictures))
    sizes = embedding.tokens_BLC.shape
    if mapped:
        quoted, quoted_mask = io.tensor("text_embeddings", *sizes), io.tensor("text_mask", *sizes[:2])
        embedding = replace(embedding, quoted_BLC=quoted, quoted_mask_BL=quoted_mask.bool())
    axes = len(model.config.axes_dim)
    ids = torch.cat([io.tensor("txt_ids", sizes[1], axes), io.tensor("img_ids", pictures.shape[1], axes)]).unsqueeze(0)
    yield _compare("output", model.decode(pictures, None, model.connector(embedding, t), t, ids), io["output"])


def _verify_keys(path: Path) -> Iterator[Agreement]:
    """Names and shapes of the released files, against our modules at full size (which take no memory on the meta device)."""
    preset, released = PRESETS["v1.0"], _Contents.of_json(path)
    assert preset.released_file is not None
    with torch.device("meta"):
        modules = {preset.released_file: Step1XEdit(preset), "vae.safetensors": Autoencoder(preset.autoencoder)}
    for name, module in modules.items():
        ours = {key: list(tensor.shape) for key, tensor in module.state_dict().items()}
        yield Agreement(f"{path.name}: {name}", 0.0 if ours == released[name] else float("inf"))


@dataclass(frozen=True)
class _Contents:
    """What a file of the folder holds, by name; what it lacks, or holds in another shape, is the folder's fault."""

    path: Path
    values: dict[str, Any]

    @classmethod
    def of_json(cls, path: Path) -> _Contents:
        values = read_json(path)
        if not isinstance(values, dict):
            raise UsageError(f"{path} is no part of a reference folder: it is not a table of names and values.")
        return cls(path, values)

    @classmethod
    def of_tensors(cls, path: Path, device: torch.device | str) -> _Contents:
        return cls(path, {name: tensor.to(device) for name, tensor in read_tensors(path).items()})

    def __getitem__(self, name: str) -> Any:
        if name not in self.values:
            raise self._fault(f"it lacks {name}")
        return self.values[name]

    def tensor(self, name: str, *shape: int) -> Tensor:
        """The tensor of that name and shape; -1 stands for any size."""
        tensor: Tensor = self[name]
        if tensor.ndim != len(shape) or any(size not in (-1, there) for size, there in zip(shape, tensor.shape, strict=True)):
            raise self._fault(f"{name} has the shape {list(tensor.shape)} where {list(shape)} is expected (-1: any)")
        return tensor

    def number(self, name: str) -> float:
        """The number of that name."""
        value = self[name]
        if not isinstance(value, int | float) or value <= 0:
            raise self._fault(f"{name} must be a number above 0, not {value!r}")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """The table of that name."""
        value = self[name]
        if not isinstance(value, dict):
            raise self._fault(f"{name} must be a table, not {value!r}")
        return value

    def _fault(self, what: str) -> UsageError:
        return UsageError(f"{self.path} is no part of a reference folder: {what}.")


def _read_embedding(model: Step1XEdit, io: _Contents, prefix: str, batch: int) -> Embedding:
    tokens = io.tensor(f"{prefix}llm_embedding", batch, -1, model.preset.connector.in_channels)
    return Embedding(tokens, io.tensor(f"{prefix}mask", batch, tokens.shape[1]).bool())


def _read_preset(config: _Contents, scale_factor: bool) -> Preset:
    """The sizes of config.json, with the behaviours of the version whose connector has such a scale."""
    return read_sizes(
        PRESETS["v1.0" if scale_factor else "v1.1"],
        str(config.path),
        dit=config.table("dit"),
        connector={**config.table("connector"), "scale_factor": scale_factor},
        autoencoder=config.table("autoencoder"),
    )


def _read_grid(config: _Contents) -> Grid:
    match config["grid"]:
        case [int(rows), int(columns)] if rows > 0 and columns > 0:
            return Grid(rows, columns)
        case other:
            raise UsageError(f"{config.path} is no part of a reference folder: grid must be [rows, columns], not {other!r}.")


def _compare(name: str, ours: Tensor, reference: Tensor) -> Agreement:
    """The difference over the standard deviation, in float64."""
    if ours.shape != reference.shape:
        return Agreement(name, float("inf"))
    ours, reference = ours.cpu().double(), reference.cpu().double()  # not all devices have float64
    difference = float((ours - reference).abs().max())
    return Agreement(name, difference / float(reference.std()) if difference else 0.0)
