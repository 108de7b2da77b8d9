"""The rows, and reading them from files."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from step1x_edit.errors import WeightsError
from step1x_edit.model.presets import PRESETS, AutoencoderConfig, ConnectorConfig, DiTConfig, Preset, read_preset, read_record


@pytest.mark.parametrize("name", PRESETS)
def test_rows_fit_together(name: str) -> None:
    preset = PRESETS[name]
    assert preset.name == name
    assert preset.autoencoder.z_channels * preset.patch**2 == preset.dit.in_channels
    assert preset.connector.hidden_size == preset.dit.context_in_dim
    assert preset.size % preset.cell == 0
    assert preset.text_padding <= preset.text_limit


def test_released_rows_have_the_published_sizes() -> None:
    assert [PRESETS[name].cell for name in ("v1.0", "v1.1", "v1.2")] == [16, 16, 16]
    assert [PRESETS[name].steps for name in ("v1.0", "v1.1", "v1.2")] == [28, 28, 50]
    assert PRESETS["v1.0"].dit == PRESETS["v1.1"].dit == PRESETS["v1.2"].dit == DiTConfig()
    assert [PRESETS[name].connector.scale_factor for name in ("v1.0", "v1.1", "v1.2")] == [True, False, False]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_file(name: str) -> None:
    preset = PRESETS[name]
    assert read_preset(json.loads(json.dumps(asdict(preset))), "preset.json") == preset
    assert read_preset({"name": name}, "preset.json") is preset


def test_a_folder_of_before_squares_keeps_the_proportions_of_pictures() -> None:
    values = asdict(PRESETS["mini"])
    assert values.pop("squares")
    assert not read_preset(values, "preset.json").squares


def test_a_folder_of_before_finer_tokens_counts_tokens_in_its_rope_ids() -> None:
    values = asdict(PRESETS["mini"].with_patch(2))
    assert values.pop("rope_unit") == 4
    assert read_preset(values, "preset.json").rope_unit is None


def test_patches_of_another_side_take_as_many_numbers_as_they_hold() -> None:
    finer = PRESETS["mini"].with_patch(2)
    assert (finer.cell, finer.rope_unit, finer.dit.in_channels, finer.dit.out_channels) == (8, 4, 96, 100)
    assert PRESETS["v1.1"].with_patch(4).dit.out_channels == 256


def _changed(**changes: Any) -> dict[str, Any]:
    return {**asdict(PRESETS["mini"]), **changes}


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "mini",
        {},
        {"name": "v9"},
        {"name": ["mini"]},
        {"name": "mini", "steps": 3},
        _changed(unknown=1),
        _changed(steps="many"),
        _changed(prediction="noise"),
        _changed(patch=3),
        _changed(dit={"hidden_size": 100}),
        _changed(dit={**asdict(DiTConfig()), "depth": -1}),
        _changed(connector={**asdict(ConnectorConfig()), "heads_num": 3}),
        _changed(autoencoder={**asdict(AutoencoderConfig()), "groups": 5}),
    ],
)
def test_files_that_describe_no_model_are_one_sentence(values: Any) -> None:
    with pytest.raises(WeightsError, match=r"^the file .*\.$") as raised:
        read_preset(values, "the file")
    assert "\n" not in str(raised.value)


def test_a_key_that_no_field_has_is_named() -> None:
    with pytest.raises(WeightsError, match="guidance_scale"):
        read_record(Preset, _changed(guidance_scale=3), "preset.json")
