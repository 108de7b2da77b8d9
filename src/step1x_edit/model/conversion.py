"""The same weights in the other layout, bit for bit: released single files <-> diffusers folder.

Nothing is computed and no type changes. Tensors are read and written one at a time, so that memory does not grow with the model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from step1x_edit.errors import Step1XError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.folder_configs import model_index, scheduler_config, transformer_config, vae_config
from step1x_edit.model.layouts import TRANSFORMER, Rule, ToDiffusers, autoencoder_rules
from step1x_edit.model.mllm import find_prefix
from step1x_edit.model.presets import PREFIX_FILE, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import write_json, write_shards, write_tensors
from step1x_edit.model.weights import (
    DIFFUSERS_FILES,
    MLLM_FOLDERS,
    check_names,
    check_shape,
    find_autoencoder,
    find_mllm,
    find_model,
    open_tensors,
    save_folder,
    save_preset,
)

Layout = Literal["single", "diffusers"]
Progress = Callable[[str, int, int], None]
"""(what is written, bytes done, bytes in all)."""

SHARD_BYTES = 9_900_000_000
WEIGHTS_ENDINGS = (".safetensors", ".safetensors.index.json")


def convert(
    source: Path, target: Path, preset: Preset, layout: Layout, progress: Progress | None = None, shard_bytes: int = SHARD_BYTES
) -> None:
    """Write the model folder `source` once more in another layout, as `target`.

    Args:
        source: a folder in either layout, or in ours.
        target: the new folder, which must not exist yet; a conversion that was cut off is begun again.
        preset: the version, with the sizes of the source.
        layout: "single" for the released single files, "diffusers" for a folder with transformer/ and vae/.
        progress: told how far it is.
        shard_bytes: most bytes of a file of transformer/.

    Raises:
        WeightsError: the source is incomplete, or is not of that version.
        Step1XError: the target exists, or cannot be written.
    """
    if target.exists():
        raise Step1XError(f"{target} exists already; choose another name.")
    with torch.device("meta"):
        ours, autoencoder = Step1XEdit(preset).state_dict(), Autoencoder(preset.autoencoder).state_dict()
    vae_rules = autoencoder_rules(len(preset.autoencoder.ch_mult))
    model = _read(find_model(source, preset), TRANSFORMER, ours)
    vae = _read(find_autoencoder(source), vae_rules, autoencoder)

    def told(what: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(what, done, total) if progress else None

    def write(folder: Path) -> None:
        if layout == "diffusers":
            write_shards(folder / "transformer" / DIFFUSERS_FILES[0], ToDiffusers(model, TRANSFORMER), shard_bytes, told("transformer"))
            write_tensors(folder / "vae" / DIFFUSERS_FILES[0], ToDiffusers(vae, vae_rules), progress=told("vae"))
            write_diffusers_configs(folder, preset)
        else:
            write_tensors(folder / (preset.released_file or "model.safetensors"), model, progress=told("model"))
            write_tensors(folder / "vae.safetensors", vae, progress=told("vae"))
        save_preset(folder, preset)
        _copy_mllm(source, folder, layout)

    save_folder(target, write)


def write_diffusers_configs(folder: Path, preset: Preset) -> None:
    """The configuration files of a diffusers folder; raises as `write_json` does."""
    write_json(folder / "transformer" / "config.json", transformer_config(preset))
    write_json(folder / "vae" / "config.json", vae_config(preset))
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config(preset))
    write_json(folder / "model_index.json", model_index(preset))


def _read(file: Path, rules: tuple[Rule, ...], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors under our names, of which none is missing, none too many, and none of another shape."""
    tensors = open_tensors(file, rules)
    check_names(tensors, expected, file)
    for name, place in expected.items():
        check_shape(tensors[name], name, place.shape, file)
    return tensors


def _copy_mllm(source: Path, target: Path, layout: Layout) -> None:
    """The MLLM's files, which are the same in both layouts but for where they lie; a source may have none. `processor/` has no weights."""
    found = find_mllm(source)
    if found is None:
        return
    weights, processor = found
    folders = ("text_encoder", "processor") if layout == "diffusers" else (MLLM_FOLDERS[0],) * 2
    try:
        for folder, name in {(weights, folders[0]), (processor, folders[1])}:
            (target / name).mkdir(exist_ok=True)
            for file in sorted(folder.iterdir()):
                if file.is_file() and not (name == "processor" and file.name.endswith(WEIGHTS_ENDINGS)):
                    shutil.copyfile(file, target / name / file.name)
        if (prefix := find_prefix(weights)) is not None:
            shutil.copyfile(prefix, target / PREFIX_FILE)
    except OSError as error:
        raise Step1XError(f"The MLLM could not be copied to {target} ({error.strerror or error}).") from error
