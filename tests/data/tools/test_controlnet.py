"""ControlNet through a twin of its pipeline: the region follows prompt and control map, and around it the original is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from step1x_edit.data.tools import controlnet
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.controlnet import ControlNet
from step1x_edit.data.tools.diffusion import lay_over
from step1x_edit.data.tools.protocols import CONTROLS, Look
from step1x_edit.data.triplet import Floats, Mask, Pixels
from step1x_edit.errors import WeightsError

Twin = Callable[[str], Path]
RED = Look("colour", "red", "a red cup")
PENCIL = Look("style", "pencil", "a pencil drawing")


@pytest.fixture(scope="module")
def tool(twin: Twin) -> ControlNet:
    opened = ControlNet.open(choose(twin("controlnet")))
    opened.smallest = 32
    return opened


def choose(folder: Path, **parts: str) -> ToolChoice:
    return ToolChoice(
        "controlnet", str(folder / "base"), device="cpu", parts={"depth": str(folder / "depth"), "edges": str(folder / "edges"), **parts}
    )


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlnet, "_STEPS", 3)


@pytest.fixture
def picture(photo: Callable[[str, int], Pixels]) -> Pixels:
    return np.ascontiguousarray(photo("coffee", 64)[:48])


@pytest.fixture
def ramp() -> Floats:
    return np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)


@pytest.fixture
def region() -> Mask:
    mask = np.zeros((48, 64), np.bool_)
    mask[12:36, 20:44] = True
    return mask


@pytest.mark.parametrize(("look", "kind"), [(RED, "depth"), (PENCIL, "edges")])
def test_the_whole_picture_is_what_the_pipeline_draws(tool: ControlNet, picture: Pixels, ramp: Floats, look: Look, kind: str) -> None:
    everywhere = np.ones((48, 64), np.bool_)
    control = torch.from_numpy(ramp)[None, None].repeat(1, 3, 1, 1)
    torch.manual_seed(4)
    drawn = tool.pipelines[CONTROLS[look.kind]](
        prompt=look.prompt,
        negative_prompt="blurry, distorted, low quality, text, watermark",
        control_image=control * 2 - 1 if kind == "depth" else control * 127.5 + 0.5,
        height=48,
        width=64,
        num_inference_steps=3,
        guidance_scale=4.5,
        generator=torch.Generator().manual_seed(4),
        output_type="np",
    ).images[0]
    assert CONTROLS[look.kind] == kind
    assert np.array_equal(tool.generate(picture, everywhere, ramp, look, seed=4), lay_over(picture, everywhere, drawn))


def test_the_region_alone_changes_and_follows_all_that_it_is_given(tool: ControlNet, picture: Pixels, ramp: Floats, region: Mask) -> None:
    made = tool.generate(picture, region, ramp, RED, seed=1)
    assert np.array_equal(made[~region], picture[~region])
    assert np.array_equal(tool.generate(picture, region, ramp, RED, seed=1), made)
    blue = Look("colour", "blue", "an entirely blue thing")
    for other in (
        tool.generate(picture, region, ramp, RED, seed=2),
        tool.generate(picture, region, 1 - ramp, RED, seed=1),
        tool.generate(picture, region, ramp, blue, seed=1),
        tool.generate(255 - picture, region, ramp, RED, seed=1),
    ):
        assert not np.array_equal(other[region], made[region])
    assert np.array_equal(tool.generate(picture, np.zeros_like(region), ramp, RED), picture)


def test_what_surrounds_a_region_is_the_original_at_the_last_step(tool: ControlNet, picture: Pixels, ramp: Floats, region: Mask) -> None:
    """Without noise left, the latents outside are those of the picture itself."""
    pipeline = tool.pipelines["depth"]
    keep = controlnet._keep_outside(pipeline, picture, region, 3)
    pipeline.scheduler.set_timesteps(3)
    latents = torch.full((1, 4, 24, 32), 7.0)
    blended = keep(pipeline, 2, None, {"latents": latents})["latents"]
    pixels = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        clean = (pipeline.vae.encode(pixels).latent_dist.mode() - 0.1) * 0.5
    assert (blended[0, :, 8:16, 12:20] == 7).all()
    assert torch.allclose(blended[0, :, :4], clean[0, :, :4], atol=1e-5)
    assert not torch.allclose(keep(pipeline, 0, None, {"latents": latents})["latents"][0, :, :4], clean[0, :, :4], atol=0.1)


def test_all_three_models_are_written_down(tool: ControlNet, twin: Twin) -> None:
    parameters = tool.card.parameters
    digests = {parameters["sha256"], parameters["depth"]["sha256"], parameters["edges"]["sha256"]}
    assert len(digests) == 3
    assert parameters["edges"]["model"] == str(twin("controlnet") / "edges")


def test_a_part_that_is_something_else_is_refused(twin: Twin) -> None:
    with pytest.raises(WeightsError, match="as the tool controlnet"):
        ControlNet.open(choose(twin("controlnet"), edges=str(twin("sam2"))))
