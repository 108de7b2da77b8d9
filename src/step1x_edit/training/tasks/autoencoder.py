"""Train the autoencoder: give back the picture, with a latent that stays near the unit Gaussian.

Both pictures of a triplet are used, so that it also learns what edits make: drawings, mosaics, letters, plain backgrounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from step1x_edit.model.autoencoder import Autoencoder
from step1x_edit.model.presets import PRESETS
from step1x_edit.model.weights import save_autoencoder
from step1x_edit.training.batches import streams_of, to_range, to_tensor
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Recipe
from step1x_edit.training.trainer import Task

DIVERGENCE = 1e-5
"""Weight of the latent's divergence from the unit Gaussian. Choice: small, since the editor uses the mean alone."""


def reconstruction_loss(image: Tensor, decoded: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """Absolute plus squared error, and a trace of Kullback-Leibler divergence from the unit Gaussian.

    Args:
        image, decoded: [B, 3, H, W] in -1..1.
        mean, logvar: moments of the latent, [B, Z, h, w].
    """
    error = decoded - image
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    return error.abs().mean() + 10.0 * error.square().mean() + DIVERGENCE * kl


class AutoencoderTask(Task):
    """See `trainer.Task`."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.autoencoder = Autoencoder(PRESETS[recipe.model.preset].autoencoder)
        for name, p in self.autoencoder.named_parameters():
            if name.endswith(("conv2.weight", "conv2.bias", "proj_out.weight", "proj_out.bias")):
                nn.init.zeros_(p)  # every block starts as the identity, so that learning starts from a linear map
        self.model: nn.Module = self.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.streams = streams_of(recipe)

    def batch(self, portion: Portion) -> Tensor:
        """uint8 [2 B, 3, H, W]: sources, then targets."""
        triplets = self.streams.triplets(portion.stage, portion.samples)
        return to_tensor([t.source for t in triplets] + [t.target for t in triplets])

    def loss(self, batch: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
        """See `reconstruction_loss`; the latent is drawn from its distribution, as the released autoencoder was trained."""
        image = to_range(batch).contiguous(memory_format=torch.channels_last)
        mean, logvar = self.autoencoder.moments(image).chunk(2, dim=1)
        logvar = logvar.clamp(-20, 10)
        pair = (2, *mean.shape[1:])  # of each sample, source and target
        noise = torch.stack([torch.randn(pair, generator=g, device=mean.device, dtype=mean.dtype) for g in draws], dim=1).flatten(0, 1)
        decoded = self.autoencoder.decoder(mean + (0.5 * logvar).exp() * noise)
        return reconstruction_loss(image, decoded, mean, logvar)

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write `autoencoder.safetensors`."""
        save_autoencoder(folder, weights)
