"""Models on disk: where in a folder the parts of a model lie, strict loading into them, and saving.

A model of ours is a folder: `model.safetensors` (connector and DiT, with the key names of the released single file),
`autoencoder.safetensors`, `mllm/` in the `save_pretrained` layout, and `preset.json`. The folders and files in which the models were
released load the same way, those of the diffusers layout through the rules of layouts.py.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.locking import hold
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.folder_configs import read_vae_config
from step1x_edit.model.gguf_files import SUFFIX, GGUFFile
from step1x_edit.model.layouts import (
    TRANSFORMER,
    FromDiffusers,
    Rule,
    autoencoder_rules,
    is_diffusers,
    read_transformer_config,
)
from step1x_edit.model.presets import PRESET_FILE, Preset, read_preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import TensorFiles, read_json, unwrap, write_json, write_tensors

MODEL_FILE = "model.safetensors"
AUTOENCODER_FILE = "autoencoder.safetensors"
MLLM_FOLDER = "mllm"
MLLM_FOLDERS = ("Qwen2.5-VL-7B-Instruct", MLLM_FOLDER, "text_encoder")
"""Names that are looked for in a folder, in this order; the processor of the last one lies in `processor/`."""

MODEL_FILES = (MODEL_FILE, f"{MODEL_FILE}.index.json")
AUTOENCODER_FILES = (AUTOENCODER_FILE, "vae.safetensors")
DIFFUSERS_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.safetensors.index.json")
"""Names that are looked for in a folder, in this order; the last ones in `transformer/` and `vae/`."""

M = TypeVar("M", bound=nn.Module)


def load_step1x_edit(path: Path, preset: Preset, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Step1XEdit:
    """Connector and DiT, in evaluation mode, without gradients.

    Args:
        path: a model folder, or the safetensors file or index itself; single file or diffusers layout.
        preset: the version; sizes must be those of the weights.
        dtype: type to compute in; weights in float8 are widened to it.
        device: where to put it.

    Raises:
        WeightsError: weights are missing, damaged, or belong to a model of other sizes.
    """
    file = find_model(path, preset)
    with torch.device("meta"):
        model = Step1XEdit(preset)
    return _fill(model, file, TRANSFORMER, dtype, device)


def load_autoencoder(path: Path, preset: Preset, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Autoencoder:
    """The autoencoder, from a model folder or from its file; arguments and errors are those of `load_step1x_edit`."""
    file = find_autoencoder(path)
    with torch.device("meta"):
        autoencoder = Autoencoder(preset.autoencoder)
    return _fill(autoencoder, file, autoencoder_rules(len(preset.autoencoder.ch_mult)), dtype, device)


def find_model(path: Path, preset: Preset) -> Path:
    """The file or index that holds connector and DiT, a GGUF file where there is no other; raises as `load_step1x_edit` does."""
    released = (preset.released_file, *preset.other_files) if preset.released_file else preset.other_files
    narrow = sorted(each.name for each in path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    found = _find_file(path, MODEL_FILES + released + tuple(f"transformer/{name}" for name in DIFFUSERS_FILES) + tuple(narrow))
    if found.name in narrow and len(narrow) > 1:
        raise WeightsError(f"{path} holds several models, {narrow[0]} and {narrow[1]} among them; leave one there.")
    return found


def find_autoencoder(path: Path) -> Path:
    """The file or index that holds the autoencoder; raises as `load_autoencoder` does."""
    return _find_file(path, AUTOENCODER_FILES + tuple(f"vae/{name}" for name in DIFFUSERS_FILES))


def find_mllm(folder: Path) -> tuple[Path, Path] | None:
    """The folders of the MLLM's weights and of its processor, often one; None where there is no MLLM."""
    found = next((folder / name for name in MLLM_FOLDERS if (folder / name).is_dir()), None)
    if found is None:
        return None
    return found, folder / "processor" if (folder / "processor").is_dir() else found


def load_preset(folder: Path, default: Preset) -> Preset:
    """What `preset.json` of a model folder says, or else the configuration files of a diffusers folder; `default` where there are none.

    Raises:
        WeightsError: the file does not describe a model.
    """
    path = folder / PRESET_FILE
    if path.exists():
        return read_preset(read_json(path), str(path))
    preset = default
    for name, read in (("transformer", read_transformer_config), ("vae", read_vae_config)):
        config = folder / name / "config.json"
        if config.is_file():
            preset = read(read_json(config), preset, str(config))
    return preset


def save_preset(folder: Path, preset: Preset) -> None:
    """Write `preset.json` with all values of the preset; raises as `save_model` does."""
    write_json(folder / PRESET_FILE, asdict(preset))


def save_model(folder: Path, preset: Preset, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
    """Write connector and DiT as `model.safetensors`, and beside it `preset.json` with all values of the preset.

    Raises:
        Step1XError: the disk is full or the folder cannot be written.
    """
    save_preset(folder, preset)
    write_tensors(folder / MODEL_FILE, weights, dtype, {"preset": preset.name})


def save_autoencoder(folder: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
    """Write the autoencoder as `autoencoder.safetensors`; raises as `save_model` does."""
    write_tensors(folder / AUTOENCODER_FILE, weights, dtype)


_CUT_OFF = ".not-whole"
"""A file in a folder that is being written, by which one that was cut off is known as ours."""


def save_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a new folder, which then takes the place of `folder`; the old one is there until the new one is whole.

    Raises:
        UsageError: another process is writing it.
        Step1XError: the disk is full, the folder cannot be written, or one that is not ours has the name that it bears until it is whole.
    """
    partial, old = folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.old")
    mark, lock = partial / _CUT_OFF, folder.with_name(f"{folder.name}.partial.lock")
    with hold(lock, f"{folder} is being written by another process; wait for its end, or choose another name."):
        try:
            if partial.exists() and not mark.exists() and (not partial.is_dir() or any(partial.iterdir())):
                raise Step1XError(f"{partial} is in the way of writing {folder}; rename it, or choose another name.")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            mark.touch()
            write(partial)
            mark.unlink()
            if folder.exists():
                folder.replace(old)
            partial.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise Step1XError(f"The folder {folder} could not be written ({error.strerror or error}).") from error
        finally:
            if mark.exists():
                shutil.rmtree(partial, ignore_errors=True)
            with suppress(OSError):  # Windows removes it by itself, once it is let go of
                lock.unlink()


def open_tensors(file: Path, rules: tuple[Rule, ...]) -> Mapping[str, Tensor]:
    """The tensors of a file or index under our names: safetensors or GGUF, single file or diffusers layout.

    Args:
        file: its names may all have the prefix that some programs write before them, see `unwrap`.
        rules: how the diffusers layout names and cuts them.

    Raises:
        WeightsError: as for `TensorFiles`, `GGUFFile` and `FromDiffusers`.
    """
    tensors = unwrap(GGUFFile(file) if file.suffix == SUFFIX else TensorFiles(file))
    return FromDiffusers(tensors, rules) if is_diffusers(tensors) else tensors


def _find_file(path: Path, names: tuple[str, ...]) -> Path:
    if path.is_file():
        return path
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise WeightsError(f"{path} holds no weights: there is none of {', '.join(names)}; download them, or choose another folder.")
    return found


def _fill(model: M, file: Path, rules: tuple[Rule, ...], dtype: torch.dtype, device: torch.device | str) -> M:
    """Give the model, built on the meta device, its weights, one tensor at a time."""
    tensors = open_tensors(file, rules)
    expected = model.state_dict()
    check_names(tensors, expected, file)
    weights = {name: check_tensor(tensors[name], name, place.shape, file, dtype).to(device) for name, place in expected.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


_SCALES = (".scale_weight", ".weight_scale", ".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
"""Ends of the names that ComfyUI and others give to what a narrow weight is multiplied with."""


def check_names(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
    """Whether these are exactly the tensors that a model has.

    Raises:
        WeightsError: some are missing or too many; the message names the first of them, or says that the weights have scales beside them.
    """
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    if scale := next((name for name in unexpected if name.endswith(_SCALES)), None):
        raise WeightsError(
            f"The weights {file} are narrow ones with scales beside them ({scale}), which are not read here; "
            "take those in bfloat16, in float8 without scales, or in GGUF."
        )
    if missing or unexpected:
        raise WeightsError(
            f"The weights {file} do not fit the model: {_count(missing, 'missing')}, {_count(unexpected, 'unexpected')}; "
            "choose the version that they belong to."
        )


def check_shape(tensor: Tensor, name: str, shape: torch.Size, file: Path) -> None:
    """Raise a WeightsError if the tensor is not of the shape that the model expects."""
    if tensor.shape != shape:
        raise WeightsError(f"The weights {file} do not fit the model: {name} is {list(tensor.shape)} where {list(shape)} is expected.")


def check_tensor(tensor: Tensor, name: str, shape: torch.Size, file: Path, dtype: torch.dtype) -> Tensor:
    """The tensor in its type, once it is known to be what the model expects.

    Raises:
        WeightsError: it is of another shape, holds no floating-point numbers, or some that are not finite.
    """
    check_shape(tensor, name, shape, file)
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(f"The weights {file} do not fit the model: {name} holds {kind} where floating-point numbers are expected.")
    tensor = tensor.to(dtype)
    low, high = tensor.aminmax()  # both are nan where one value is, and nothing is allocated
    if not torch.isfinite(low) or not torch.isfinite(high):
        raise WeightsError(f"The weights {file} are damaged: {name} holds values that are not finite numbers in {str(dtype)[6:]}.")
    return tensor


def _count(names: list[str], kind: str) -> str:
    shown = f" ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})" if names else ""
    return f"{len(names)} {kind}{shown}"
