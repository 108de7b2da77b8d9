"""The editor at the start of a run: its shape first, without contents, so that it can be sharded; then its weights, one at a time.

They come from a model of ours or of a release, from a text-to-image model of FLUX layout, or, where there is no start, from chance.
"""

from __future__ import annotations

import sys
from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from step1x_edit.model.connector import Connector
from step1x_edit.model.flux import TextToImage, find_start, is_text_to_image
from step1x_edit.model.layouts import TRANSFORMER, FromDiffusers, is_diffusers
from step1x_edit.model.presets import Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import TensorFiles
from step1x_edit.model.weights import check_names, check_tensor
from step1x_edit.training import adapters
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.sharding import local, part_like


def build_editor(recipe: Recipe, preset: Preset, device: torch.device) -> Step1XEdit:
    """Connector and DiT on the meta device; with adapters, all but them frozen, in the type that the device computes in."""
    with torch.device("meta"):
        editor = Step1XEdit(preset)
        if recipe.adapter is not None:
            adapters.attach(editor, recipe.adapter, recipe.dtype(device))
    return editor


def blocks_of(editor: Step1XEdit) -> list[nn.Module]:
    """Its equal parts."""
    return [*editor.connector.S.individual_token_refiner.blocks, *editor.double_blocks, *editor.single_blocks]


@torch.no_grad()
def fill_editor(editor: Step1XEdit, recipe: Recipe, preset: Preset) -> None:
    """Give an editor, sharded or whole, its weights.

    Raises:
        WeightsError: the start lacks weights, is damaged, or is of other sizes.
    """
    with torch.device("meta"):
        expected = Step1XEdit(preset).state_dict()
    source = _source(recipe, preset, expected)
    for name, place in editor.named_parameters():
        if (original := adapters.original_name(name)) in expected:
            tensor = source[original].to(place.device, place.dtype)
            local(place).copy_(part_like(tensor, place))
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
    tensors: Mapping[str, Tensor] = TensorFiles(file)
    if is_diffusers(tensors):
        tensors = FromDiffusers(tensors, TRANSFORMER)
    check_names(tensors, expected, file)
    return _Checked(tensors, expected, file)


def _draw(preset: Preset, seed: int, connector_alone: bool = False) -> dict[str, Tensor]:
    """Weights from chance, in main memory."""
    if not connector_alone:
        editor = Step1XEdit(preset)
        editor.initialise(seed)
        return editor.state_dict()
    with torch.device("meta"):
        editor = Step1XEdit(preset)
    connector = Connector(preset.connector, preset.dit.vec_in_dim)
    editor.initialise(seed, connector)
    return {f"connector.{name}": value for name, value in connector.state_dict().items()}


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
