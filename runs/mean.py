"""The mean of two models of one kind, weight by weight: `python runs/mean.py out/mini_square out/mini_natural --out out/mini_mean`.

The patches of the first may be larger: then they are divided before, as where training goes on from it.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path

from step1x_edit.model.presets import PRESETS
from step1x_edit.model.tensors import read_tensors
from step1x_edit.model.weights import MODEL_FILE, load_preset, save_model
from step1x_edit.training.starting import divide_patches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="folder of a model")
    parser.add_argument("second", type=Path, help="folder of another one, whose autoencoder and MLLM the mean takes over")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; its model.safetensors comes last")
    arguments = parser.parse_args()
    preset = load_preset(arguments.second, PRESETS["mini"])
    first, second = (read_tensors(folder / MODEL_FILE) for folder in (arguments.first, arguments.second))
    first |= divide_patches(first, preset)
    if {name: each.shape for name, each in first.items()} != {name: each.shape for name, each in second.items()}:
        parser.error("The two models have not the same sizes.")
    own = {MODEL_FILE, "state", "samples", "metrics.jsonl", ".lock"}  # at the top; a folder of the MLLM keeps all
    arguments.out.mkdir(parents=True, exist_ok=True)
    for part in arguments.second.iterdir():
        if part.name not in own:
            copy = partial(shutil.copytree, dirs_exist_ok=True) if part.is_dir() else shutil.copy
            copy(part, arguments.out / part.name)
    mean = {name: (first[name].float() + second[name].float()) / 2 for name in second}
    save_model(arguments.out, preset, mean)
    print(arguments.out)


if __name__ == "__main__":
    main()
