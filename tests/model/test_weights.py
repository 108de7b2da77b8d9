"""Loading is strict in every layout, and whatever is wrong is one sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from step1x_edit.errors import Step1XError, UsageError, WeightsError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.layouts import TRANSFORMER, ToDiffusers, autoencoder_rules
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import write_json, write_tensors
from step1x_edit.model.weights import (
    DIFFUSERS_FILES,
    load_autoencoder,
    load_preset,
    load_step1x_edit,
    save_autoencoder,
    save_folder,
    save_model,
)

Model = Callable[..., Step1XEdit]
F32 = torch.float32


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    expected = other.state_dict()
    assert one.state_dict().keys() == expected.keys()
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("name", PRESETS)
def test_a_folder_of_ours(tmp_path: Path, tiny_model: Model, name: str) -> None:
    model = tiny_model(name)
    save_model(tmp_path, model.preset, model.state_dict(), F32)
    assert load_preset(tmp_path, PRESETS["v1.0"]) == model.preset
    loaded = load_step1x_edit(tmp_path, model.preset)
    assert_same(loaded, model)
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert_same(load_step1x_edit(tmp_path / "model.safetensors", model.preset), model)


@pytest.mark.parametrize("name", ["v1.0", "v1.1"])
def test_the_released_single_file(tmp_path: Path, tiny_model: Model, name: str) -> None:
    model = tiny_model(name)
    for row in ("v1.0", "v1.1"):  # both may lie in one folder
        file = PRESETS[row].released_file
        assert file is not None
        save_file(tiny_model(row).state_dict(), tmp_path / file)
    assert_same(load_step1x_edit(tmp_path, model.preset), model)


@pytest.mark.parametrize("name", ["v1.1", "v1.2"])
def test_a_diffusers_folder(tmp_path: Path, tiny_model: Model, name: str) -> None:
    model = tiny_model(name)
    write_tensors(tmp_path / "transformer" / DIFFUSERS_FILES[0], ToDiffusers(model.state_dict(), TRANSFORMER))
    assert_same(load_step1x_edit(tmp_path, model.preset), model)


def test_shards(tmp_path: Path, tiny_model: Model) -> None:
    model = tiny_model("v1.0")
    names = list(model.state_dict())
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in parts.items():
        save_file({name: model.state_dict()[name] for name in part}, tmp_path / file)
    places = {name: file for file, part in parts.items() for name in part}
    write_json(tmp_path / "model.safetensors.index.json", {"weight_map": places})
    assert_same(load_step1x_edit(tmp_path, model.preset), model)
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"b\.safetensors are missing"):
        load_step1x_edit(tmp_path, model.preset)


def test_the_autoencoder_in_each_place(tmp_path: Path, tiny: Callable[[str], Preset]) -> None:
    preset = tiny("v1.0")
    autoencoder = Autoencoder(preset.autoencoder)
    save_autoencoder(tmp_path / "ours", autoencoder.state_dict(), F32)
    (tmp_path / "released").mkdir()
    save_file(autoencoder.state_dict(), tmp_path / "released" / "vae.safetensors")
    (tmp_path / "diffusers" / "vae").mkdir(parents=True)
    theirs = ToDiffusers(autoencoder.state_dict(), autoencoder_rules(2))
    save_file({k: t.contiguous() for k, t in theirs.items()}, tmp_path / "diffusers" / "vae" / "diffusion_pytorch_model.safetensors")
    for folder in ("ours", "released", "diffusers"):
        assert_same(load_autoencoder(tmp_path / folder, preset), autoencoder)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float64])
def test_other_floating_types_are_converted(tmp_path: Path, tiny_model: Model, stored: torch.dtype) -> None:
    model = tiny_model("v1.1")
    save_model(tmp_path, model.preset, model.state_dict(), stored)
    loaded = load_step1x_edit(tmp_path, model.preset, torch.bfloat16)
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, model.state_dict()[name].to(stored).to(torch.bfloat16), rtol=0, atol=0)


@pytest.mark.parametrize("end", ["scale_weight", "weight_scale"])
@pytest.mark.parametrize("folder", ["", "transformer"])
def test_float8_with_scales_is_refused_as_such(tmp_path: Path, tiny_model: Model, end: str, folder: str) -> None:
    """Choosing another version, as for weights of other names, would be in vain."""
    model = tiny_model("v1.1")
    named = ToDiffusers(model.state_dict(), TRANSFORMER) if folder else model.state_dict()
    scales = {name.removesuffix("weight") + end: torch.tensor(0.5) for name, tensor in named.items() if tensor.ndim == 2}
    narrow = {name: tensor.to(torch.float8_e4m3fn) if tensor.ndim == 2 else tensor for name, tensor in named.items()}
    write_tensors(tmp_path / folder / (DIFFUSERS_FILES[0] if folder else "model.safetensors"), {**narrow, **scales})
    with pytest.raises(WeightsError, match=rf"scales beside them \(\S+\.{end}\), which are not read here; take those in bfloat16, in"):
        load_step1x_edit(tmp_path, model.preset)


def _broken(weights: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    weights = dict(weights)
    name = "double_blocks.0.img_attn.qkv.weight"
    match what:
        case "missing":
            del weights[name]
        case "unexpected":
            weights["text_model.weight"] = torch.ones(1)
        case "shape":
            weights[name] = weights[name][:-1].clone()
        case "nan":
            weights[name] = weights[name].clone()
            weights[name][3, 4] = torch.nan
        case "infinite":
            weights[name] = weights[name].clone()
            weights[name][3, 4] = -torch.inf
        case "integer":
            weights[name] = weights[name].to(torch.int32)
        case "boolean":
            weights[name] = weights[name] > 0
        case "other model":
            weights = {"lora_unet.lora_down.weight": torch.ones(2, 2)}
    return weights


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", r"1 missing \(double_blocks.0.img_attn.qkv.weight\), 0 unexpected"),
        ("unexpected", r"0 missing, 1 unexpected \(text_model.weight\)"),
        ("shape", r"double_blocks.0.img_attn.qkv.weight is \[95, 32\] where \[96, 32\] is expected"),
        ("nan", "double_blocks.0.img_attn.qkv.weight holds values that are not finite"),
        ("infinite", "not finite"),
        ("integer", "holds int32 where floating-point"),
        ("boolean", "holds bool where floating-point"),
        ("other model", r"\d+ missing \(.*, \.\.\.\), 1 unexpected"),
    ],
)
def test_weights_that_do_not_fit_are_one_sentence(tmp_path: Path, tiny_model: Model, what: str, message: str) -> None:
    model, path = tiny_model("v1.0"), tmp_path / "model.safetensors"
    save_file(_broken(model.state_dict(), what), path)
    with pytest.raises(WeightsError, match=message) as raised:
        load_step1x_edit(tmp_path, model.preset)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_numbers_too_large_for_the_type_are_reported(tmp_path: Path, tiny_model: Model) -> None:
    model = tiny_model("v1.0")
    weights = {**model.state_dict(), "img_in.bias": torch.full((32,), 1e6)}
    save_file(weights, tmp_path / "model.safetensors")
    load_step1x_edit(tmp_path, model.preset, torch.bfloat16)
    with pytest.raises(WeightsError, match=r"img_in.bias .* float16"):
        load_step1x_edit(tmp_path, model.preset, torch.float16)


def test_weights_of_another_version_are_refused(tmp_path: Path, tiny_model: Model, tiny: Callable[[str], Preset]) -> None:
    model = tiny_model("v1.0")
    save_model(tmp_path, model.preset, model.state_dict())
    with pytest.raises(WeightsError, match=r"1 unexpected \(connector.scale_factor\); choose the version"):
        load_step1x_edit(tmp_path, tiny("v1.1"))


def test_a_folder_without_weights(tmp_path: Path, tiny: Callable[[str], Preset]) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    for path in (tmp_path, tmp_path / "nowhere"):
        for load in (load_step1x_edit, load_autoencoder):
            with pytest.raises(WeightsError, match="holds no weights"):
                load(path, tiny("v1.0"))


def test_a_pickle_under_another_name_is_not_opened(tmp_path: Path, tiny: Callable[[str], Preset]) -> None:
    torch.save({"img_in.bias": torch.ones(3)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_step1x_edit(tmp_path, tiny("v1.0"))


def test_without_a_preset_file_the_default_is_taken(tmp_path: Path, tiny: Callable[[str], Preset]) -> None:
    assert load_preset(tmp_path, PRESETS["mini"]) is PRESETS["mini"]
    write_json(tmp_path / "preset.json", {"name": "v1.1"})
    assert load_preset(tmp_path, PRESETS["mini"]) is PRESETS["v1.1"]


def test_a_model_of_other_sizes_describes_itself(tmp_path: Path, tiny: Callable[[str], Preset]) -> None:
    preset = replace(tiny("mini"), steps=7, name="my own")
    model = Step1XEdit(preset)
    save_model(tmp_path, preset, model.state_dict())
    assert load_step1x_edit(tmp_path, load_preset(tmp_path, PRESETS["mini"])).preset == preset


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "mllm"
    save_folder(folder, lambda partial: (partial / "old").write_text("1"))
    save_folder(folder, lambda partial: (partial / "new").write_text("2"))
    assert [p.name for p in folder.iterdir()] == ["new"] and [p.name for p in tmp_path.iterdir()] == ["mllm"]

    def fail(partial: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(Step1XError, match="No space left"):
        save_folder(folder, fail)
    assert [p.name for p in folder.iterdir()] == ["new"] and [p.name for p in tmp_path.iterdir()] == ["mllm"]


def test_two_who_write_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "mllm"

    def write(partial: Path) -> None:
        (partial / "first").write_text("1")
        with pytest.raises(UsageError, match="is being written by another process"):
            save_folder(folder, lambda second: (second / "second").write_text("2"))
        (partial / "also").write_text("1")

    save_folder(folder, write)
    assert sorted(p.name for p in folder.iterdir()) == ["also", "first"] and [p.name for p in tmp_path.iterdir()] == ["mllm"]


def test_a_folder_that_was_cut_off_is_begun_again(tmp_path: Path) -> None:
    """What a killed process left: its mark, files and folders; or the empty folder alone."""
    partial = tmp_path / "mllm.partial"
    (partial / "vae").mkdir(parents=True)
    for name in (".not-whole", "model.safetensors", "vae/model.safetensors"):
        (partial / name).write_text("half")
    save_folder(tmp_path / "mllm", lambda again: (again / "whole").write_text("1"))
    assert [p.name for p in (tmp_path / "mllm").iterdir()] == ["whole"]
    partial.mkdir()
    save_folder(tmp_path / "mllm", lambda again: (again / "again").write_text("1"))
    assert [p.name for p in (tmp_path / "mllm").iterdir()] == ["again"] and [p.name for p in tmp_path.iterdir()] == ["mllm"]


def test_a_folder_of_others_is_never_removed(tmp_path: Path) -> None:
    for name in ("mllm.partial", "mllm.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("mine")
    with pytest.raises(Step1XError, match="in the way"):
        save_folder(tmp_path / "mllm", lambda partial: None)
    (tmp_path / "mllm.partial").rename(tmp_path / "elsewhere")
    for _ in range(2):
        save_folder(tmp_path / "mllm", lambda partial: None)
    assert (tmp_path / "mllm.old" / "notes.txt").read_text() == (tmp_path / "elsewhere" / "notes.txt").read_text() == "mine"
