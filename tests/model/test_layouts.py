"""The diffusers layout, there and back, bit for bit. That the numbers agree too is checked in tests/reference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from step1x_edit.errors import WeightsError
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.layouts import (
    TRANSFORMER,
    FromDiffusers,
    ToDiffusers,
    autoencoder_rules,
    is_diffusers,
    read_transformer_config,
)
from step1x_edit.model.presets import PRESETS, AutoencoderConfig, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import read_tensors

REFERENCE = Path(__file__).parents[1] / "reference"
Model = Callable[..., Step1XEdit]


def assert_equal(ours: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    assert ours.keys() == others.keys()
    for name, tensor in ours.items():
        assert tensor.dtype == others[name].dtype
        torch.testing.assert_close(tensor, others[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("folder", ["diffusers_v1p1", "diffusers_v1p2"])
def test_a_folder_survives_the_way_to_ours_and_back(folder: str) -> None:
    theirs = read_tensors(REFERENCE / folder / "transformer.safetensors")
    assert is_diffusers(theirs)
    ours = dict(FromDiffusers(theirs, TRANSFORMER))
    assert not is_diffusers(ours)
    assert_equal(ToDiffusers(ours, TRANSFORMER), theirs)


@pytest.mark.parametrize("name", ["v1.1", "v1.2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e4m3fn])
def test_ours_survives_the_way_to_a_folder_and_back(tiny_model: Model, name: str, dtype: torch.dtype) -> None:
    ours = {key: tensor.to(dtype) for key, tensor in tiny_model(name).state_dict().items()}
    back = dict(FromDiffusers(ToDiffusers(ours, TRANSFORMER), TRANSFORMER))
    assert_equal({k: t.float() for k, t in back.items()}, {k: t.float() for k, t in ours.items()})
    assert {tensor.dtype for tensor in back.values()} == {dtype}


@pytest.mark.parametrize("config", [PRESETS["v1.0"].autoencoder, AutoencoderConfig(ch=8, ch_mult=(1, 2), num_res_blocks=1, groups=4)])
def test_the_autoencoder_survives_too(config: AutoencoderConfig) -> None:
    with torch.device("meta"):
        names = Autoencoder(config).state_dict()
    ours = {
        key: torch.arange(float(tensor.shape[0])).view(-1, *[1] * (tensor.ndim - 1)).expand(tensor.shape) for key, tensor in names.items()
    }
    rules = autoencoder_rules(len(config.ch_mult))
    theirs = ToDiffusers(ours, rules)
    assert is_diffusers(theirs) and len(theirs) == len(ours)
    assert theirs["encoder.mid_block.attentions.0.to_q.weight"].ndim == 2
    assert_equal(dict(FromDiffusers(theirs, rules)), ours)


def test_the_decoder_of_a_folder_starts_at_the_lowest_resolution() -> None:
    theirs = {"decoder.up_blocks.0.resnets.1.conv1.bias": torch.ones(2), "encoder.down_blocks.0.resnets.1.conv1.bias": torch.ones(2)}
    assert set(FromDiffusers(theirs, autoencoder_rules(4))) == {"decoder.up.3.block.1.conv1.bias", "encoder.down.0.block.1.conv1.bias"}


def _theirs(tiny_model: Model) -> dict[str, Tensor]:
    return dict(ToDiffusers(tiny_model("v1.2").state_dict(), TRANSFORMER))


def test_a_part_that_is_missing_is_named(tiny_model: Model) -> None:
    theirs = _theirs(tiny_model)
    del theirs["transformer_blocks.1.attn.to_k.bias"]
    with pytest.raises(WeightsError, match=r"transformer_blocks.1.attn.to_k.bias is missing"):
        FromDiffusers(theirs, TRANSFORMER)


@pytest.mark.parametrize("shape", [(), (3,), (40,), (32, 2)])
def test_parts_that_do_not_fit_are_named(tiny_model: Model, shape: tuple[int, ...]) -> None:
    theirs = _theirs(tiny_model)
    theirs["transformer_blocks.1.attn.to_k.bias"] = torch.zeros(shape)
    with pytest.raises(WeightsError, match=r"transformer_blocks.1.attn.to_k.bias.*other sizes"):
        dict(FromDiffusers(theirs, TRANSFORMER))


def test_one_tensor_under_two_names_is_an_error(tiny_model: Model) -> None:
    theirs = _theirs(tiny_model)
    theirs["connector.text_token_mapping.bias"] = theirs["text_token_mapping.bias"]
    with pytest.raises(WeightsError, match="under two names"):
        FromDiffusers(theirs, TRANSFORMER)


def test_names_that_no_rule_knows_are_kept(tiny_model: Model) -> None:
    theirs = {**_theirs(tiny_model), "guidance_embed.weight": torch.ones(1)}
    assert "guidance_embed.weight" in FromDiffusers(theirs, TRANSFORMER)


def _config() -> dict[str, Any]:
    return json.loads((REFERENCE / "diffusers_v1p2" / "transformer_config.json").read_text())


def test_sizes_come_from_the_configuration(tiny: Callable[[str], Preset]) -> None:
    preset = read_transformer_config(_config(), PRESETS["v1.1"], "config.json")
    assert (preset.dit.hidden_size, preset.dit.depth, preset.dit.axes_dim) == (128, 2, (8, 12, 12))
    assert preset.connector.text_token_mapping and preset.connector.in_channels == 48


@pytest.mark.parametrize(
    "values",
    [
        [],
        {},
        {"num_attention_heads": "4"},
        {"num_attention_heads": 4, "attention_head_dim": None},
        {**_config(), "guidance_embeds": True},
        {**_config(), "patch_size": 2},
        {**_config(), "num_layers": "two"},
        {**_config(), "axes_dims_rope": [8, 8, 8]},
    ],
)
def test_another_configuration_is_one_sentence(values: Any) -> None:
    with pytest.raises(WeightsError, match=r"^config.json .*\.$"):
        read_transformer_config(values, PRESETS["v1.1"], "config.json")
