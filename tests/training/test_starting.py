"""What the editor's weights are when training begins."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d

from gguf_writing import Kind, write_gguf
from step1x_edit.errors import UsageError, WeightsError
from step1x_edit.flow.packing import pack
from step1x_edit.model.presets import PREFIX_FILE, PRESETS
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import read_tensors, write_tensors
from step1x_edit.training.encoding import Encoders
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.starting import build_editor, fill_editor
from step1x_edit.training.tasks import build_task
from step1x_edit.training.tasks.edit import copy_mllm

CPU = torch.device("cpu")
MINI = PRESETS["mini"]


def start(recipe: Recipe) -> dict[str, torch.Tensor]:
    editor = build_editor(recipe, MINI, recipe.dtype(CPU)).to_empty(device=CPU)
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


def test_a_start_that_is_missing_is_said_before_anything_is_done(edit_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        build_task(of(edit_recipe(), tmp_path / "nowhere"), CPU, tmp_path)


def test_no_adapter_is_trained_beside_weights_from_chance(edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    parts = {"flux": "connector.", "shallow": f"single_blocks.{MINI.dit.depth_single_blocks - 1}."}
    for name, left_out in parts.items():
        write_tensors(tmp_path / f"{name}.safetensors", {key: value for key, value in given.items() if not key.startswith(left_out)})
    with pytest.raises(UsageError, match=r"flux\.safetensors has no connector"):
        build_task(of(edit_recipe(adapter={"rank": 2}), tmp_path / "flux.safetensors"), CPU, tmp_path)
    with pytest.raises(WeightsError, match="missing"):
        start(of(edit_recipe(adapter={"rank": 2}), tmp_path / "shallow.safetensors"))


def test_a_start_whose_names_another_program_has_prefixed_keeps_its_connector(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path
) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    write_tensors(tmp_path / "wrapped.safetensors", {f"model.diffusion_model.{name}": value for name, value in given.items()})
    weights = start(of(edit_recipe(), tmp_path / "wrapped.safetensors"))
    assert all(torch.equal(value, given[name].float()) for name, value in weights.items())


def test_a_start_with_numbers_that_are_not_finite_is_refused(edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    given["img_in.weight"][0, 0] = torch.nan
    write_tensors(tmp_path / "bad.safetensors", given)
    with pytest.raises(WeightsError, match=r"img_in\.weight holds values"):
        start(of(edit_recipe(), tmp_path / "bad.safetensors"))


def test_a_deeper_dit_begins_as_the_shallower_one(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shallow(kind: str, count: int, name: str) -> bool:
        return not name.startswith(f"{kind}.") or int(name.split(".")[1]) < count

    given = read_tensors(random_mini / "model.safetensors")
    kept = {name: value for name, value in given.items() if shallow("double_blocks", 1, name) and shallow("single_blocks", 2, name)}
    write_tensors(tmp_path / "shallow.safetensors", kept)
    deeper = Step1XEdit(MINI)
    deeper.load_state_dict(start(of(edit_recipe(), tmp_path / "shallow.safetensors")))
    assert "1 double blocks and" in capsys.readouterr().err

    shallower = Step1XEdit(replace(MINI, dit=replace(MINI.dit, depth=1, depth_single_blocks=2)))
    shallower.load_state_dict({name: value.float() for name, value in kept.items()})
    generator, grid = torch.Generator().manual_seed(1), Grid(2, 3)
    noisy, reference = (torch.randn(1, 6, MINI.dit.in_channels, generator=generator) for _ in range(2))
    embedding = Embedding(torch.randn(1, 5, MINI.connector.in_channels, generator=generator), torch.ones(1, 5, dtype=torch.bool))
    drawn = [editor(noisy, reference, embedding, torch.tensor([0.7]), grid) for editor in (shallower, deeper)]
    assert torch.allclose(*drawn, atol=1e-4)
    drawn[1].sum().backward()  # and can learn to change something
    assert all(deeper.get_parameter(f"single_blocks.{n}.modulation.lin.weight").grad.any() for n in range(2, 4))


def test_of_a_start_with_larger_patches_each_is_divided(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given, larger = read_tensors(random_mini / "model.safetensors"), Step1XEdit(MINI.with_patch(2 * MINI.patch))
    larger.initialise(3)
    torch.nn.init.normal_(larger.final_layer.linear.weight, generator=torch.Generator().manual_seed(1))
    layers = {name: value for name, value in larger.state_dict().items() if name.startswith(("img_in.", "final_layer.linear."))}
    write_tensors(tmp_path / "larger.safetensors", given | layers)
    finer = Step1XEdit(MINI)
    finer.load_state_dict(start(of(edit_recipe(), tmp_path / "larger.safetensors")))
    assert "larger patches" in capsys.readouterr().err

    channels, side = MINI.autoencoder.z_channels, MINI.patch
    latent = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(2))
    enlarged = latent.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    assert torch.allclose(finer.img_in(pack(latent, side)), larger.img_in(pack(enlarged, 2 * side)), atol=1e-5)
    hidden = torch.randn(1, 1, MINI.dit.hidden_size, generator=torch.Generator().manual_seed(4))
    whole = larger.final_layer.linear(hidden).unflatten(-1, (channels + 1, 2 * side, 2 * side))[0]
    parts = finer.final_layer.linear(hidden).unflatten(-1, (channels + 1, side, side))[0]
    assert torch.allclose(parts, avg_pool2d(whole, 2), atol=1e-5)


def test_patches_that_do_not_divide_those_of_the_start_or_lack_a_layer_are_refused(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path
) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    given["img_in.weight"] = torch.zeros(MINI.dit.hidden_size, MINI.autoencoder.z_channels * (MINI.patch + 1) ** 2)
    write_tensors(tmp_path / "odd.safetensors", given)
    with pytest.raises(WeightsError, match=r"img_in\.weight"):
        start(of(edit_recipe(), tmp_path / "odd.safetensors"))
    given["img_in.weight"] = torch.zeros(MINI.dit.hidden_size, MINI.autoencoder.z_channels * (2 * MINI.patch) ** 2)
    del given["final_layer.linear.weight"]
    write_tensors(tmp_path / "lacking.safetensors", given)
    with pytest.raises(WeightsError, match=r"final_layer\.linear\.weight"):
        start(of(edit_recipe(), tmp_path / "lacking.safetensors"))


def test_a_start_that_lacks_all_blocks_of_a_kind_is_refused(edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    write_tensors(tmp_path / "bad.safetensors", {name: value for name, value in given.items() if not name.startswith("single_blocks.")})
    with pytest.raises(WeightsError, match="single_blocks"):
        start(of(edit_recipe(), tmp_path / "bad.safetensors"))


def test_a_start_in_gguf_is_read_as_others_are(edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path) -> None:
    given = read_tensors(random_mini / "model.safetensors")
    weights = start(of(edit_recipe(), write_gguf(tmp_path / "mini.gguf", given, Kind.F32)))
    assert all(torch.equal(weights[name], tensor.float()) for name, tensor in given.items())


def test_a_trained_model_has_the_prefix_text_that_is_read_where_the_folder_above_has_another(
    edit_recipe: Callable[..., Recipe], random_mini: Path, tmp_path: Path
) -> None:
    shutil.copytree(random_mini, tmp_path / "model")
    (tmp_path / "model" / PREFIX_FILE).write_text("above")
    (tmp_path / "model" / "mllm" / PREFIX_FILE).write_text("beside")
    recipe = edit_recipe()
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"mllm": tmp_path / "model"})})
    copy_mllm(Encoders(recipe, MINI, CPU), tmp_path / "saved")
    assert (tmp_path / "saved" / PREFIX_FILE).read_text() == "beside"
