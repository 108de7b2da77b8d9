"""From noise to picture: Euler steps along the velocity that the model predicts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from step1x_edit.flow.guidance import combine

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(noisy tokens [B, N, D], t [B]) -> velocity [B, N, D]."""


def sample(
    velocity: Velocity,
    noise_BND: Tensor,
    times: Sequence[float],
    *,
    guidance: float = 1.0,
    limit_above: float | None = None,
    guided: tuple[float, float] = (0.0, 1.0),
    observe: Callable[[int, int, Tensor], None] | None = None,
) -> Tensor:
    """Integrate dx/dt = velocity from t = times[0] to times[-1]; returns the latent tokens [B, N, D].

    Args:
        velocity: the model under the instruction. With guidance it answers for both sides at once: given noisy tokens twice
            [2 B, N, D], it returns the half under the instruction, then that under the empty one.
        noise_BND: standard normal noise, float32.
        times: from 1 to 0, see `schedule`.
        guidance: weight of the instruction, see `combine`; 1 runs the model once a step.
        limit_above: where t is above this, guidance is limited in length; None never.
        guided: the times, both included, between which guidance acts; outside, the model runs once a step.
        observe: called after each step with (steps done, steps in all, where the velocity now points to: the present estimate of the
            clean latent tokens [B, N, D]). What it raises ends the sampling.

    Raises:
        FloatingPointError: the latent is no longer finite.
    """
    x = noise_BND
    for i, (t, t_next) in enumerate(itertools.pairwise(times)):
        t_B = torch.full((x.shape[0],), t, device=x.device, dtype=x.dtype)
        if guidance == 1.0 or not guided[0] <= t <= guided[1]:
            v = velocity(x, t_B)
        else:
            with_text, without = velocity(torch.cat([x, x]), torch.cat([t_B, t_B])).chunk(2)
            v = combine(with_text, without, guidance, limited=limit_above is not None and t > limit_above)
        if observe is not None:
            observe(i + 1, len(times) - 1, x - t * v.to(x.dtype))
        x = x + (t_next - t) * v.to(x.dtype)
    if not torch.isfinite(x).all():
        raise FloatingPointError("the latent is not finite after sampling")
    return x
