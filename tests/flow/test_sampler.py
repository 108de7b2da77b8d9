import pytest
import torch
from torch import Tensor

from step1x_edit.flow.sampler import sample
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


def test_the_pair_as_one_batch_equals_two_runs() -> None:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        weight = torch.tensor([2.0] * (len(x) // 2) + [0.5] * (len(x) // 2)).view(-1, 1, 1)
        return x * weight

    noise, times = torch.randn(2, 4, 3), schedule(5, 0.5)
    together = sample(velocity, noise, times, guidance=3.0, limit_above=0.5)
    apart = sample(lambda x, t: 2 * x, noise, times, unconditional=lambda x, t: 0.5 * x, guidance=3.0, limit_above=0.5)
    torch.testing.assert_close(together, apart)


def test_guidance_is_limited_only_above_the_given_time() -> None:
    noise = 5 * torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1))
    with_text, without = (lambda x, t: x), (lambda x, t: -x)
    free = sample(with_text, noise, [1.0, 0.5, 0.0], unconditional=without, guidance=2.0)
    never = sample(with_text, noise, [1.0, 0.5, 0.0], unconditional=without, guidance=2.0, limit_above=1.0)
    first = sample(with_text, noise, [1.0, 0.5, 0.0], unconditional=without, guidance=2.0, limit_above=0.5)
    always = sample(with_text, noise, [1.0, 0.5, 0.0], unconditional=without, guidance=2.0, limit_above=0.0)
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
