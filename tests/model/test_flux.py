"""A text-to-image model of FLUX layout as a start, in both of its layouts; the twin's names come from diffusers itself."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from step1x_edit.errors import WeightsError
from step1x_edit.model.dit import DiT
from step1x_edit.model.flux import TextToImage, find_start, is_text_to_image
from step1x_edit.model.layers import MLPEmbedder
from step1x_edit.model.presets import PRESETS, DiTConfig, Preset
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import write_tensors

SIZES = DiTConfig(
    in_channels=16, out_channels=16, vec_in_dim=12, context_in_dim=24, hidden_size=32, num_heads=2, depth=1, depth_single_blocks=2,
    axes_dim=(4, 6, 6),
)  # fmt: skip


@pytest.fixture
def preset() -> Preset:
    return replace(PRESETS["v1.1"], dit=SIZES, connector=replace(PRESETS["v1.1"].connector, in_channels=20, hidden_size=24, heads_num=3))


@pytest.fixture
def expected(preset: Preset) -> dict[str, Tensor]:
    with torch.device("meta"):
        return Step1XEdit(preset).state_dict()


def original() -> dict[str, Tensor]:
    """Weights as the original single file has them, distilled guidance included."""
    torch.manual_seed(0)
    model = DiT(SIZES)
    model.guidance_in = MLPEmbedder(256, SIZES.hidden_size)
    return {name: torch.randn_like(value) for name, value in model.state_dict().items()}


def build_theirs() -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """The same sizes as diffusers builds them, with random weights."""
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(1)
    theirs = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=24,
        pooled_projection_dim=12, guidance_embeds=False, axes_dims_rope=(4, 6, 6),
    )  # fmt: skip
    for p in theirs.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return theirs, theirs.state_dict()


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_the_original_file_has_our_names(tmp_path: Path, expected: dict[str, Tensor], prefix: str) -> None:
    weights, file = original(), tmp_path / "flux1-dev.safetensors"
    write_tensors(file, {prefix + name: value for name, value in weights.items()})
    start = TextToImage(file, expected)
    assert start.new == sorted(name for name in expected if name.startswith("connector."))
    assert start.left_out == sorted(name for name in weights if name.startswith("guidance_in."))
    assert set(start) == set(weights) - set(start.left_out) == set(expected) - set(start.new)
    assert all(torch.equal(start[name], weights[name]) for name in start)


def test_the_folder_of_diffusers_computes_the_same_in_ours(tmp_path: Path, preset: Preset, expected: dict[str, Tensor]) -> None:
    from step1x_edit.model.records import Context

    theirs, weights = build_theirs()
    write_tensors(tmp_path / "transformer/diffusion_pytorch_model.safetensors", weights)
    file = find_start(tmp_path, preset)
    assert is_text_to_image(file)
    start = TextToImage(file, expected)
    ours = DiT(SIZES)
    ours.load_state_dict(dict(start))
    noisy, context, vector = torch.randn(1, 4, 16), torch.randn(1, 3, 24), torch.randn(1, 12)
    t = torch.tensor([0.3])
    ids = torch.tensor([[0, r, c] for r in range(2) for c in range(2)]).float()
    with torch.no_grad():
        wanted = theirs(noisy, context, vector, t, img_ids=ids, txt_ids=torch.zeros(3, 3), return_dict=False)[0]
        got = ours.decode(noisy, None, Context(context, vector), t, torch.cat([torch.zeros(3, 3), ids])[None])
    assert torch.allclose(got, wanted, atol=1e-4)


def test_a_model_that_is_no_start_is_named(tmp_path: Path, expected: dict[str, Tensor]) -> None:
    weights, file = original(), tmp_path / "flux1-dev.safetensors"
    del weights["img_in.weight"]
    write_tensors(file, weights)
    with pytest.raises(WeightsError, match=re.escape("1 weights are missing and 0 are unknown (img_in.weight)")):
        TextToImage(file, expected)
