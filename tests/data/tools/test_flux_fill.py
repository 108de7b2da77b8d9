"""FLUX-Fill through a twin of its pipeline: the hole follows picture, prompt and seed, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.data.tools import flux_fill
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.diffusion import lay_over
from step1x_edit.data.tools.flux_fill import FluxFill
from step1x_edit.data.triplet import Mask, Pixels
from step1x_edit.errors import Step1XError, WeightsError

Photo = Callable[[str, int], Pixels]
Twin = Callable[[str], Path]


@pytest.fixture(scope="module")
def tool(twin: Twin) -> FluxFill:
    opened = FluxFill.open(ToolChoice("flux-fill", str(twin("flux-fill")), device="cpu"))
    opened.smallest = 32
    return opened


@pytest.fixture
def hole() -> Mask:
    mask = np.zeros((48, 64), np.bool_)
    mask[12:36, 20:44] = True
    return mask


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flux_fill, "_STEPS", 3)


def test_the_hole_is_what_the_pipeline_draws(tool: FluxFill, photo: Photo, hole: Mask) -> None:
    picture = np.ascontiguousarray(photo("coffee", 64)[:48])
    filled = tool.inpaint(picture, hole, "a red cup", seed=5)
    assert np.array_equal(filled[~hole], picture[~hole])
    torch.manual_seed(5)
    known = np.where(hole[..., None], np.uint8(127), picture)
    drawn = tool.pipeline(
        prompt="a red cup",
        image=Image.fromarray(known),
        mask_image=Image.fromarray(hole.astype(np.uint8) * 255),
        height=48,
        width=64,
        num_inference_steps=3,
        guidance_scale=30.0,
        max_sequence_length=256,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    assert np.array_equal(filled, lay_over(picture, hole, drawn, border=0))


def test_seed_and_prompt_matter_and_what_the_hole_hides_does_not(tool: FluxFill, photo: Photo, hole: Mask) -> None:
    picture = np.ascontiguousarray(photo("coffee", 64)[:48])
    filled = tool.inpaint(picture, hole, "a cat", seed=1)
    assert tool.reads_prompts
    assert np.array_equal(tool.inpaint(np.where(hole[..., None], np.uint8(9), picture), hole, "a cat", seed=1), filled)
    assert not np.array_equal(tool.inpaint(picture, hole, "a cat", seed=2), filled)
    assert not np.array_equal(tool.inpaint(picture, hole, "two very large dogs", seed=1), filled)
    assert np.array_equal(tool.inpaint(picture, np.zeros_like(hole)), picture)


def test_another_pipeline_is_refused(twin: Twin) -> None:
    with pytest.raises(WeightsError, match="cannot be loaded as the tool flux-fill"):
        FluxFill.open(ToolChoice("flux-fill", str(twin("controlnet") / "base"), device="cpu"))
    with pytest.raises(WeightsError, match=r"holds no model_index\.json"):
        FluxFill.open(ToolChoice("flux-fill", str(twin("controlnet") / "depth"), device="cpu"))


def test_a_missing_library_is_named(twin: Twin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(Step1XError, match=r'flux-fill needs the library diffusers; pip install "step1x-edit\[pipeline\]"'):
        FluxFill.open(ToolChoice("flux-fill", str(twin("flux-fill")), device="cpu"))
