"""ControlNet on Stable Diffusion 3.5 through diffusers: a region drawn anew from words, in its own shape. The paper's generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.diffusion import draw, fit, lay_over, scale
from step1x_edit.data.tools.protocols import CONTROLS, Control, Look, ToolCard
from step1x_edit.data.tools.weights import (
    PIPELINE_FILES,
    check_whole,
    choose_place,
    explain,
    find_weights,
    import_diffusers,
    lean,
    load_pipeline,
    name_place,
    name_versions,
)
from step1x_edit.data.triplet import Floats, Mask, Pixels

if TYPE_CHECKING:
    import torch

MODEL = "stabilityai/stable-diffusion-3.5-large"
PARTS: dict[Control, str] = {
    "depth": "stabilityai/stable-diffusion-3.5-large-controlnet-depth",
    "edges": "stabilityai/stable-diffusion-3.5-large-controlnet-canny",
}
"""Control map -> the ControlNet that reads it; a recipe's `parts` may name others."""

_STEPS, _GUIDANCE, _SMALLEST = 28, 4.5, 512
_NEGATIVE = "blurry, distorted, low quality, text, watermark"


class ControlNet:
    """Draws the whole picture, held to the control map, and where only a region is asked for, to the original around it at every step.

    Source: Zhang, Rao, Agrawala, ControlNet, 2023; around a region: Avrahami, Fried, Lischinski, Blended Latent Diffusion, 2022.
    """

    def __init__(self, pipelines: Mapping[Control, Any], card: ToolCard, smallest: int = _SMALLEST) -> None:
        self.pipelines = pipelines
        self.card = card
        self.smallest = smallest

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        choice.check_settings("model", "revision", "device", "dtype", "parts")
        diffusers = import_diffusers(choice.name)
        device, dtype = choose_place(choice)
        facts: dict[str, Any] = {}
        networks = {}
        for control, model in PARTS.items():
            found = find_weights(choice, model, ("config.json", "*.safetensors"), part=control)
            facts[control] = found.facts
            with explain(found, choice.name):
                network, report = diffusers.SD3ControlNetModel.from_pretrained(
                    found.path, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True, **lean()
                )
            check_whole(report["missing_keys"], found, choice.name)
            networks[control] = network.to(device)
        weights = find_weights(choice, MODEL, PIPELINE_FILES)
        base = load_pipeline("StableDiffusion3ControlNetPipeline", "SD3Transformer2DModel", weights, choice, controlnet=networks["depth"])
        edges = diffusers.StableDiffusion3ControlNetPipeline(**{**base.components, "controlnet": networks["edges"]})
        edges.set_progress_bar_config(disable=True)
        facts = {**weights.facts, **name_place(base), **facts, "steps": _STEPS, "guidance": _GUIDANCE}
        return cls({"depth": base, "edges": edges}, ToolCard(choice.name, name_versions("diffusers", "transformers", "torch"), facts))

    def generate(self, picture: Pixels, region: Mask, control: Floats, look: Look, seed: int = 0) -> Pixels:
        """Give the region the look that its prompt says."""
        if not region.any():
            return picture.copy()
        pipeline = self.pipelines[CONTROLS[look.kind]]
        height, width = fit(region.shape, 2 * pipeline.vae_scale_factor, self.smallest)
        arguments: dict[str, Any] = {}
        if not region.all():
            arguments["callback_on_step_end"] = _keep_outside(pipeline, scale(picture, height, width), region, seed)
        drawn = draw(
            pipeline,
            seed,
            prompt=look.prompt,
            negative_prompt=_NEGATIVE,
            control_image=_prepare(pipeline, scale(control.astype(np.float32), height, width), CONTROLS[look.kind]),
            height=height,
            width=width,
            num_inference_steps=_STEPS,
            guidance_scale=_GUIDANCE,
            **arguments,
        )
        return lay_over(picture, region, drawn)


def _prepare(pipeline: Any, control: Floats, kind: Control) -> torch.Tensor:
    """A control map as the network was trained on it: float32 [1, 3, h, w].

    Depth lies in -1..1. The published network for edges, which is told by taking no words, was trained with edges of 0.5 and 128, and
    its card asks for the same.
    """
    import torch

    values = torch.from_numpy(np.clip(control, 0, 1).astype(np.float32))[None, None].repeat(1, 3, 1, 1)
    if kind == "edges" and pipeline.controlnet.config.joint_attention_dim is None:
        return values * 255 * 0.5 + 0.5
    return values * 2 - 1


def _keep_outside(pipeline: Any, picture: Pixels, region: Mask, seed: int) -> Callable[..., dict[str, Any]]:
    """After each step, what is outside the region becomes the original with the noise that is left at that step."""
    import torch

    vae, place = pipeline.vae, {"device": pipeline.device, "dtype": pipeline.vae.dtype}
    pixels = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        clean = (vae.encode(pixels.to(**place)).latent_dist.mode() - vae.config.shift_factor) * vae.config.scaling_factor
    inside = torch.from_numpy(scale(region.astype(np.float32), *clean.shape[-2:]) > 0)[None, None].to(clean.device)
    noise = torch.randn(clean.shape, generator=torch.Generator("cpu").manual_seed(seed)).to(clean)

    def blend(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        left = pipeline.scheduler.sigmas[step + 1].to(clean)
        outside = (1 - left) * clean + left * noise
        return {**values, "latents": torch.where(inside, values["latents"], outside.to(values["latents"].dtype))}

    return blend
