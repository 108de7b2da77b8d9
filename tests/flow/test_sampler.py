import pytest
import torch
from torch import Tensor

from step1x_edit.flow.sampler import Velocity, sample
from step1x_edit.flow.schedule import schedule


def test_one_step_lands_where_the_velocity_points() -> None:
    picture, noise = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    result = sample(lambda x, t: noise - picture, noise, [1.0, 0.0])
    torch.testing.assert_close(result, picture)


def test_a_straight_flow_is_exact_with_any_number_of_steps() -> None:
    picture, noise = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    times = schedule(7, 0.8)
    torch.testing.assert_close(sample(lambda x, t: (x - picture) / t.view(-1, 1, 1), noise, times), picture)


def test_more_steps_come_closer_to_a_curved_flow() -> None:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return x  # dx/dt = x, so x(0) = x(1) / e

    noise = torch.ones(1, 1, 1)
    errors = [abs(float(sample(velocity, noise, schedule(n, 0.0))) - 1 / torch.e) for n in (4, 16, 64)]
    assert errors[0] > errors[1] > errors[2]


def pair(conditional: float, unconditional: float) -> Velocity:
    """A flow whose two halves go their own ways."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        with_text, without = x.chunk(2)
        return torch.cat([conditional * with_text, unconditional * without])

    return velocity


def test_guidance_goes_from_the_second_half_beyond_the_first() -> None:
    noise, times = torch.randn(2, 4, 3), schedule(5, 0.5)
    guided = sample(pair(2.0, 0.5), noise, times, guidance=3.0)
    torch.testing.assert_close(guided, sample(lambda x, t: 5 * x, noise, times))  # 0.5 + 3 (2 - 0.5)


def test_guidance_is_limited_only_above_the_given_time() -> None:
    noise = 5 * torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))
    free, never, first, always = (
        sample(pair(1.0, -1.0), noise, [1.0, 0.5, 0.0], guidance=2.0, limit_above=limit) for limit in (None, 1.0, 0.5, 0.0)
    )
    torch.testing.assert_close(free, never)
    assert not torch.allclose(first, never) and not torch.allclose(first, always)


def test_every_step_is_observed_with_the_clean_latent_that_it_points_to() -> None:
    latent, noise = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    seen: list[tuple[int, int, torch.Tensor]] = []
    result = sample(lambda x, t: noise - latent, noise, schedule(3, 0.0), observe=lambda *told: seen.append(told))
    assert [(done, steps) for done, steps, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    for _, _, estimate in seen:  # along a straight line the first guess is right already
        torch.testing.assert_close(estimate, latent)
    torch.testing.assert_close(result, latent)


def test_a_latent_that_is_not_finite_is_reported() -> None:
    with pytest.raises(FloatingPointError):
        sample(lambda x, t: x * torch.inf, torch.ones(1, 1, 1), [1.0, 0.0])


def test_guidance_acts_between_two_times() -> None:
    sizes: list[int] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        sizes.append(len(x))
        return torch.cat([torch.ones(1, 2, 3), torch.zeros(len(x) - 1, 2, 3)])

    end = sample(velocity, torch.zeros(1, 2, 3), [1.0, 0.75, 0.5, 0.25, 0.0], guidance=3.0, guided=(0.5, 0.75))
    assert sizes == [1, 2, 2, 1]
    torch.testing.assert_close(end, torch.full((1, 2, 3), -0.25 * (1 + 3 + 3 + 1)))
