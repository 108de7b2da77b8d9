"""The one loss of the editor: how far the predicted velocity is from the straight line between noise and picture.

Shape suffixes: B batch, N tokens, D token size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

LEAST_CHANGE = 0.02
"""Added to the mean squared change of latents, so that an edit of next to nothing has no weight without bounds."""


def interpolate(latent_BND: Tensor, noise_BND: Tensor, t_B: Tensor) -> Tensor:
    """The noisy latent at time t: (1 - t) * latent + t * noise."""
    t = t_B.view(-1, 1, 1)
    return (1 - t) * latent_BND + t * noise_BND


def velocity_target(latent_BND: Tensor, noise_BND: Tensor) -> Tensor:
    """What the model should predict at every t: noise - latent.

    Source: paper, section on training; reference facts, "rectified-flow loss only (target noise - latent)".
    """
    return noise_BND - latent_BND


def flow_loss(predicted_BND: Tensor, latent_BND: Tensor, noise_BND: Tensor, weights_B: Tensor | None = None) -> Tensor:
    """Mean squared error of the velocity, in float32; each sample's times its weight, where there are weights."""
    squared_BND = (predicted_BND.float() - velocity_target(latent_BND, noise_BND).float()).square()
    return squared_BND.mean() if weights_B is None else (squared_BND.mean((1, 2)) * weights_B).mean()


def weigh_by_change(latent_BND: Tensor, reference_BND: Tensor) -> Tensor:
    """Weights [B] that let small edits count as much as those of the whole picture: one over the root of the mean squared change.

    Choice: not in the paper. A written word changes a tenth of what another style does, and its error drowned in that of the latter.
    Latents have a variance of about 1; no edit counts for more than seven times of one that changes all of it.
    """
    change_B = (latent_BND.float() - reference_BND.float()).square().mean((1, 2))
    return (change_B + LEAST_CHANGE).rsqrt()


def draw_times(
    count: int,
    *,
    draw: Literal["uniform", "logit-normal"] = "uniform",
    low: float,
    high: float,
    high_share: float,
    shift: float,
    generator: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Draw training times [count] in low..1: a share uniformly in high..1, the rest by `draw` and then moved towards noise.

    Args:
        count: how many.
        draw: how the rest is drawn: "uniform", or "logit-normal", the sigmoid of normal numbers, as the published fine-tuning draws.
        low: smallest time.
        high: start of the range near noise.
        high_share: share of the times drawn from that range.
        shift: factor s of t -> s t / (1 + (s - 1) t); 1 leaves times as they are, 3.1582 is the published fine-tuning's.
        generator: source of all randomness, on `device`.
        device: where the times are wanted.

    Source: reference facts, "the sigmoid of a normal number, shifted by 3.1582".
    """
    u = torch.rand(count, generator=generator, device=device)
    near = torch.rand(count, generator=generator, device=device) < high_share
    rest = torch.randn(count, generator=generator, device=device).sigmoid() if draw == "logit-normal" else u
    shifted = shift * rest / (1 + (shift - 1) * rest)
    return torch.where(near, high + (1 - high) * u, low + (1 - low) * shifted)
