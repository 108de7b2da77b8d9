"""When the sampler looks: times from 1 (noise) to 0 (picture), shifted towards noise for larger pictures."""

from __future__ import annotations

import math

import torch


def shift_for(tokens: int, low: tuple[int, float] = (256, 0.5), high: tuple[int, float] = (4096, 1.15)) -> float:
    """The exponent mu, linear in the number of picture tokens.

    Source: reference facts, "t from 1 to 0 shifted by mu linear in image tokens (256 -> 0.5, 4096 -> 1.15)".
    """
    (x0, y0), (x1, y1) = low, high
    return y0 + (y1 - y0) * (tokens - x0) / (x1 - x0)


def shift_times(times: torch.Tensor, mu: float) -> torch.Tensor:
    """Move times in 0..1 towards 1: e^mu / (e^mu + 1/t - 1); 0 and 1 stay where they are."""
    return times / (times + (1.0 - times) * math.exp(-mu))


def schedule(steps: int, mu: float) -> list[float]:
    """steps + 1 times from 1 to 0; equal steps before the shift."""
    return shift_times(torch.linspace(1, 0, steps + 1, dtype=torch.float64), mu).tolist()
