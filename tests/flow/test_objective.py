from typing import Any

import pytest
import torch

from step1x_edit.flow.objective import draw_times, flow_loss, interpolate, velocity_target, weigh_by_change
from step1x_edit.flow.sampler import sample


def test_the_noisy_latent_runs_from_picture_to_noise() -> None:
    picture, noise = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    noisy = interpolate(picture, noise, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(noisy[0], picture[0])
    torch.testing.assert_close(noisy[1], 0.75 * picture[1] + 0.25 * noise[1])
    torch.testing.assert_close(noisy[2], noise[2])


def test_a_perfect_velocity_has_no_loss_and_samples_the_picture() -> None:
    picture, noise = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    target = velocity_target(picture, noise)
    assert flow_loss(target, picture, noise) == 0
    torch.testing.assert_close(sample(lambda x, t: target, noise, [1.0, 0.6, 0.0]), picture)


def test_the_loss_is_the_mean_square() -> None:
    picture, noise = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 3.0]]])
    assert flow_loss(torch.zeros(1, 1, 2), picture, noise) == pytest.approx(5.0)


def test_small_edits_weigh_more() -> None:
    reference = torch.zeros(3, 4, 8)
    latent = reference.clone()
    latent[1, 0] = 1.0  # a quarter of it by 1
    latent[2] = 1.0
    weights = weigh_by_change(latent, reference)
    torch.testing.assert_close(weights, torch.tensor([0.02, 0.27, 1.02]) ** -0.5)
    predicted = torch.stack([torch.full((4, 8), float(i)) for i in range(3)])
    noise = latent.clone()  # so that the velocity to be predicted is zero
    assert float(flow_loss(predicted, latent, noise, weights)) == pytest.approx(float((weights[1] + 4 * weights[2]) / 3))


def test_times_follow_their_settings() -> None:
    def draw(**settings: Any) -> torch.Tensor:
        values: dict[str, Any] = {"low": 0.2, "high": 0.9, "high_share": 0.0, "shift": 1.0} | settings
        return draw_times(20_000, **values, generator=torch.Generator().manual_seed(0), device=torch.device("cpu"))

    plain, near, shifted = draw(), draw(high_share=1.0), draw(shift=3.1582)
    assert plain.min() >= 0.2 and plain.max() <= 1
    assert float(plain.mean()) == pytest.approx(0.6, abs=0.01)
    assert near.min() >= 0.9
    # the median of the uniform numbers, 1/2, moves to s / (s + 1)
    assert float(shifted.median()) == pytest.approx(0.2 + 0.8 * 3.1582 / 4.1582, abs=0.01)
    normal = draw(low=0.0, draw="logit-normal", shift=3.1582)
    assert float(normal.median()) == pytest.approx(3.1582 / 4.1582, abs=0.01)
    # before the shift: three of four normal numbers are below 0.6745
    assert float((normal / (3.1582 - 2.1582 * normal)).quantile(0.75)) == pytest.approx(torch.tensor(0.6745).sigmoid().item(), abs=0.01)
    assert draw(draw="logit-normal", high_share=1.0).equal(near)
    assert float((draw(high_share=0.5) >= 0.9).float().mean()) == pytest.approx(0.5 + 0.5 * 0.125, abs=0.02)
