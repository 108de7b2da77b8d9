"""What the editor's weights are when training begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import read_tensors, write_tensors
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.starting import build_editor, fill_editor

CPU = torch.device("cpu")
MINI = PRESETS["mini"]


def start(recipe: Recipe) -> dict[str, torch.Tensor]:
    editor = build_editor(recipe, MINI, CPU).to_empty(device=CPU)
    fill_editor(editor, recipe, MINI)
    return {name: value.detach() for name, value in editor.named_parameters()}


def of(recipe: Recipe, path: Path | None) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"start": path})})


def test_without_a_start_weights_come_from_the_seed(edit_recipe: Callable[..., Recipe]) -> None:
    editor = Step1XEdit(MINI)
    editor.initialise(0)
    assert all(torch.equal(value, editor.state_dict()[name]) for name, value in start(of(edit_recipe(), None)).items())


def test_from_a_text_to_image_model_the_connector_is_new(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    write_tensors(tmp_path / "flux.safetensors", {name: value for name, value in given.items() if not name.startswith("connector.")})
    weights = start(of(edit_recipe(), tmp_path / "flux.safetensors"))
    assert "has no connector" in capsys.readouterr().err
    for name, value in weights.items():
        assert torch.equal(value, given[name].float()) != name.startswith("connector.") or not value.any() or bool((value == 1).all()), name
    assert weights["connector.S.input_embedder.weight"].std() > 0


def test_a_start_with_numbers_that_are_not_finite_is_refused(edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    given["img_in.weight"][0, 0] = torch.nan
    write_tensors(tmp_path / "bad.safetensors", given)
    with pytest.raises(WeightsError, match=r"img_in\.weight holds values"):
        start(of(edit_recipe(), tmp_path / "bad.safetensors"))
