"""Train the editor as the paper does: connector and DiT together, by the velocity loss alone; MLLM and autoencoder stay as they are."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from step1x_edit.flow.objective import draw_times, flow_loss, interpolate
from step1x_edit.flow.packing import pack
from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.mllm import MLLM
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.records import Grid
from step1x_edit.model.step1x_edit import Step1XEdit
from step1x_edit.model.tensors import write_whole
from step1x_edit.model.weights import AUTOENCODER_FILE, MLLM_FOLDER, load_autoencoder, load_step1x_edit, save_folder, save_model
from step1x_edit.training.batches import draw_shape, streams_of, to_range, to_tensor
from step1x_edit.training.recipe import Recipe, Stage
from step1x_edit.training.tasks.mllm import instruction_of


class EditTask:
    """See `trainer.Task`."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        preset = PRESETS[recipe.model.preset]
        self.recipe, self.preset, self.device = recipe, preset, device
        self.streams = streams_of(recipe)
        assert recipe.model.mllm is not None and recipe.model.autoencoder is not None  # the recipe has seen to it
        self.mllm_folder = recipe.model.mllm / MLLM_FOLDER
        self.autoencoder_file = recipe.model.autoencoder / AUTOENCODER_FILE
        self.mllm = MLLM.open(self.mllm_folder, preset, device)
        autoencoder = load_autoencoder(self.autoencoder_file, preset, device=device)
        self.autoencoder: Autoencoder = autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.editor = Step1XEdit(preset)
        self.editor.initialise(recipe.seed)
        if recipe.model.start is not None:
            self.editor.load_state_dict(load_step1x_edit(recipe.model.start, preset).state_dict())
        self.model: nn.Module = self.editor

    def batch(self, stage: Stage, first: int) -> dict[str, Any]:
        """uint8 pictures [B, 3, H, W] and the MLLM's inputs; the share `dropout` of the instructions is empty."""
        triplets = self.streams.triplets(stage, first, draw_shape(stage, self.recipe.seed, first, self.preset.cell))
        instructions = [instruction_of(t, first + i) for i, t in enumerate(triplets)]
        dropped = np.random.default_rng((self.recipe.seed, first)).random(len(triplets)) < self.recipe.dropout
        instructions = ["" if drop else text for drop, text in zip(dropped, instructions, strict=True)]
        return {
            "source": to_tensor([t.source for t in triplets]),
            "target": to_tensor([t.target for t in triplets]),
            "message": self.mllm.prepare([Image.fromarray(t.source) for t in triplets], instructions),
        }

    def loss(self, batch: dict[str, Any], generator: torch.Generator) -> Tensor:
        """Velocity loss at random times; see `flow.objective`."""
        embedding = self.mllm.embed(batch["message"])
        with torch.no_grad():
            pictures = to_range(torch.cat([batch["source"], batch["target"]])).contiguous(memory_format=torch.channels_last)
            latents = self.autoencoder.encode(pictures).float()
            rows, columns = (side // self.preset.patch for side in latents.shape[-2:])
            reference, latent = pack(latents, self.preset.patch).chunk(2)
        times = self.recipe.timesteps
        t = draw_times(
            len(latent),
            low=times.low,
            high=times.high,
            high_share=times.high_share,
            shift=times.shift,
            generator=generator,
            device=latent.device,
        )
        noise = torch.randn(latent.shape, generator=generator, device=latent.device)
        predicted = self.editor(interpolate(latent, noise, t), reference, embedding, t, Grid(rows, columns))
        return flow_loss(predicted, latent, noise)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write `model.safetensors`, and copy the frozen parts beside it once: the folder is a whole model."""
        save_model(folder, self.preset, weights)
        if not (folder / AUTOENCODER_FILE).exists():
            write_whole(folder / AUTOENCODER_FILE, partial(shutil.copyfile, self.autoencoder_file))
        if not (folder / MLLM_FOLDER).exists():
            save_folder(folder / MLLM_FOLDER, partial(shutil.copytree, self.mllm_folder, dirs_exist_ok=True))
