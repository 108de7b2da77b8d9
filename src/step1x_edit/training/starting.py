"""The editor at the start of a run: its shape first, without contents, so that it can be sharded; then its weights, one at a time.

They come from a model of ours or of a release, from a text-to-image model of FLUX layout, or, where there is no start, from chance.
"""

from __future__ import annotations

import math
import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from step1x_edit.errors import UsageError
from step1x_edit.model.connector import Connector
from step1x_edit.model.dit import DiT
from step1x_edit.model.flux import TextToImage, find_start, is_text_to_image
from step1x_edit.model.layouts import TRANSFORMER
from step1x_edit.model.narrow import NarrowLinear
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.weights import check_names, check_tensor, load_preset, open_tensors
from step1x_edit.training import adapters
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.sharding import local, part_like

P = TypeVar("P", bound=nn.Module)


def choose_preset(recipe: Recipe) -> Preset:
    """The recipe's, or of an adapter that of the model folder it is for; raises as `load_preset` does."""
    preset, start = recipe.model.sizes(), recipe.model.start
    return load_preset(start, preset) if recipe.adapter is not None and start is not None and start.is_dir() else preset


def check_start(recipe: Recipe, preset: Preset) -> None:
    """Look whether the start is there, before hours go into a cache, and whether it is all of an editor where an adapter is trained for it.

    Raises:
        UsageError: an adapter is to be trained beside weights from chance, which nobody else would have.
        WeightsError: the start is missing, or its table of contents is damaged.
    """
    if recipe.model.start is None:
        return
    file = find_start(recipe.model.start, preset)
    if recipe.adapter is not None and is_text_to_image(file):
        raise UsageError(f"{file} has no connector, and an adapter needs a whole editor to be for; let model.start name one.")


def build_editor(recipe: Recipe, preset: Preset, frozen: torch.dtype) -> Step1XEdit:
    """Connector and DiT on the meta device, in float32; with adapters, all but them frozen, and of that type."""
    with torch.device("meta"):
        editor = Step1XEdit(preset)
        if recipe.adapter is not None:
            adapters.attach(editor, recipe.adapter, frozen)
    return editor


@torch.no_grad()
def fill_editor(editor: Step1XEdit, recipe: Recipe, preset: Preset) -> None:
    """Give an editor, sharded or whole, its weights.

    Raises:
        WeightsError: the start lacks weights, is damaged, or is of other sizes.
    """
    with torch.device("meta"):
        expected = Step1XEdit(preset).state_dict()
    source = _source(recipe, preset, expected)
    narrow = {f"{name}.weight": layer for name, layer in editor.named_modules() if isinstance(layer, NarrowLinear)}
    for name, place in editor.named_parameters():
        if (original := adapters.original_name(name)) not in expected:
            continue
        if (layer := narrow.get(name)) is not None:
            layer.fill(source[original])
        else:
            local(place).copy_(part_like(source[original].to(place.device, place.dtype), place))
    if recipe.adapter is not None:
        adapters.initialise(editor, recipe.seed)


def _source(recipe: Recipe, preset: Preset, expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    if recipe.model.start is None:
        return _draw(preset, recipe.seed)
    file = find_start(recipe.model.start, preset)
    if is_text_to_image(file):
        start = TextToImage(file, expected)
        left_out = f" {len(start.left_out)} weights have no place ({', '.join(start.left_out[:2])}, ...)." if start.left_out else ""
        print(f"{file} has no connector: its {len(start.new)} weights are new.{left_out}", file=sys.stderr)
        return ChainMap(_draw(preset, recipe.seed, connector_alone=True), _Checked(start, expected, file))  # type: ignore[arg-type]
    tensors: Mapping[str, Tensor] = open_tensors(file, TRANSFORMER)
    whole = recipe.adapter is not None  # an adapter is for what the start holds, and not for what would be new beside it
    if not whole and (divided := divide_patches(tensors, preset)):
        print(f"{file} has larger patches: each is divided, and begins with what the whole one said.", file=sys.stderr)
        tensors = ChainMap(divided, tensors)  # type: ignore[arg-type]
    further = {} if whole else _further_blocks(tensors, preset)
    if not further:
        check_names(tensors, expected, file)
        return _Checked(tensors, expected, file)
    new = _draw_blocks(preset, further, recipe.seed)
    counts = " and ".join(f"{len(numbers)} {kind.replace('_', ' ')}" for kind, numbers in further.items())
    print(f"{file} has fewer blocks: {counts} are new, and begin by changing nothing.", file=sys.stderr)
    known = {name: value for name, value in expected.items() if name not in new}
    check_names(tensors, known, file)
    return ChainMap(new, _Checked(tensors, known, file))  # type: ignore[arg-type]


def _draw(preset: Preset, seed: int, connector_alone: bool = False) -> dict[str, Tensor]:
    """Weights from chance, in main memory."""
    if not connector_alone:
        editor = Step1XEdit(preset)
        editor.initialise(seed)
        return editor.state_dict()
    connector = _fill(Connector(preset.connector, preset.dit.vec_in_dim), preset, seed)
    return {f"connector.{name}": value for name, value in connector.state_dict().items()}


def _fill(part: P, preset: Preset, seed: int) -> P:
    """Give a part of the editor weights from chance, as the editor does for all of it."""
    with torch.device("meta"):
        editor = Step1XEdit(preset)
    editor.initialise(seed, part)
    return part


def divide_patches(tensors: Mapping[str, Tensor], preset: Preset) -> dict[str, Tensor]:
    """The first and the last layer for patches of a half or a third of the side, and so on, of those that a file has; {} for the same ones.

    A part is read as a patch whose pixels are those of the part, each several times, and says the mean of what is said of them there: the
    model goes on with the picture enlarged, with rope ids that count as before (`Preset.with_patch`).
    """
    weight, channels, side = tensors.get("img_in.weight"), preset.autoencoder.z_channels, preset.patch
    if weight is None or weight.ndim != 2:
        return {}
    held = math.isqrt(weight.shape[1] // channels)
    if held <= side or held % side or weight.shape[1] != channels * held**2:
        return {}
    parts = (side, held // side, side, held // side)
    divided = {"img_in.weight": weight.float().unflatten(1, (channels, *parts)).sum((3, 5)).flatten(1)}
    for name in ("final_layer.linear.weight", "final_layer.linear.bias"):
        if (whole := tensors.get(name)) is not None and whole.ndim and len(whole) % held**2 == 0:
            divided[name] = whole.float().unflatten(0, (-1, *parts)).mean((2, 4)).flatten(0, 2)
    return divided


def _further_blocks(tensors: Mapping[str, Tensor], preset: Preset) -> dict[str, range]:
    """Numbers of the blocks that a file of a shallower DiT lacks at the end of each kind; a kind that it lacks all of is no such."""
    further = {}
    for kind, wanted in (("double_blocks", preset.dit.depth), ("single_blocks", preset.dit.depth_single_blocks)):
        held = len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})
        if 0 < held < wanted:
            further[kind] = range(held, wanted)
    return further


def _draw_blocks(preset: Preset, further: Mapping[str, range], seed: int) -> dict[str, Tensor]:
    """Weights from chance of these blocks alone, in main memory; their gates are closed."""
    doubles, singles = (len(further.get(kind, range(1))) for kind in ("double_blocks", "single_blocks"))
    drawn = _fill(DiT(replace(preset.dit, depth=doubles, depth_single_blocks=singles)), preset, seed)
    weights: dict[str, Tensor] = {}
    for kind, numbers in further.items():
        for block, number in zip(getattr(drawn, kind), numbers, strict=True):
            weights |= {f"{kind}.{number}.{name}": value for name, value in block.state_dict().items()}
    return weights


class _Checked(Mapping[str, Tensor]):
    """Tensors that are looked at when they are asked for; see `check_tensor`."""

    def __init__(self, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], file: Path) -> None:
        self._tensors, self._expected, self._file = tensors, expected, file

    def __getitem__(self, name: str) -> Tensor:
        return check_tensor(self._tensors[name], name, self._expected[name].shape, self._file, torch.float32)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
