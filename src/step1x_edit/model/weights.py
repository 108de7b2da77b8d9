"""Weights on disk: strict loading and saving, through safetensors alone.

A model of ours is a folder: `model.safetensors` (connector and DiT, with the key names of the released single file),
`autoencoder.safetensors`, and `mllm/` in the `save_pretrained` layout. Files are written beside their place and moved there when whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit

MODEL_FILE = "model.safetensors"
AUTOENCODER_FILE = "autoencoder.safetensors"
MLLM_FOLDER = "mllm"

M = TypeVar("M", bound=nn.Module)


def load_step1x_edit(folder: Path, preset: Preset, dtype: torch.dtype = torch.float32) -> Step1XEdit:
    """Connector and DiT from `model.safetensors`, in evaluation mode, without gradients.

    Raises:
        WeightsError: the file is missing, damaged, or belongs to a model of other sizes.
    """
    with torch.device("meta"):
        model = Step1XEdit(preset)
    return _fill(model, read_tensors(folder / MODEL_FILE), folder / MODEL_FILE, dtype)


def load_autoencoder(folder: Path, preset: Preset, dtype: torch.dtype = torch.float32) -> Autoencoder:
    """The autoencoder from `autoencoder.safetensors`; raises as `load_step1x_edit` does."""
    with torch.device("meta"):
        autoencoder = Autoencoder(preset.autoencoder)
    return _fill(autoencoder, read_tensors(folder / AUTOENCODER_FILE), folder / AUTOENCODER_FILE, dtype)


def save_model(folder: Path, preset: Preset, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
    """Write connector and DiT as `model.safetensors`."""
    write_tensors(folder / MODEL_FILE, weights, dtype, {"preset": preset.name})


def save_autoencoder(folder: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the autoencoder as `autoencoder.safetensors`."""
    write_tensors(folder / AUTOENCODER_FILE, weights, dtype)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        WeightsError: the file is missing or is not a whole safetensors file.
    """
    if not path.is_file():
        raise WeightsError(f"The weights {path} are missing.")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, OverflowError) as error:
        raise WeightsError(f"The weights {path} are not a whole safetensors file ({error}).") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        Step1XError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: t.detach().to("cpu", dtype).contiguous() for name, t in tensors.items()}, partial, metadata)
        os.replace(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise Step1XError(f"The weights could not be written to {path} ({error}).") from error


def save_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder, which then takes the place of `folder`."""
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _fill(model: M, tensors: dict[str, Tensor], path: Path, dtype: torch.dtype) -> M:
    expected = model.state_dict()
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if missing or unexpected:
        raise WeightsError(
            f"The weights {path} do not fit the model: {_count(missing, 'missing')}, {_count(unexpected, 'unexpected')}; "
            "choose the version that they belong to."
        )
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise WeightsError(
                f"The weights {path} do not fit the model: {name} is {list(tensor.shape)} where {list(expected[name].shape)} is expected."
            )
        if not torch.isfinite(tensor.float()).all():
            raise WeightsError(f"The weights {path} are damaged: {name} holds values that are not finite numbers.")
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in tensors.items()}, assign=True)
    return model.eval().requires_grad_(False)


def _count(names: list[str], kind: str) -> str:
    shown = f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
    return f"{len(names)} {kind}{shown}"
