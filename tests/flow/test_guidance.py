import torch

from step1x_edit.flow.guidance import combine


def naive_limited(conditional: torch.Tensor, unconditional: torch.Tensor, guidance: float) -> torch.Tensor:
    out = unconditional.clone()
    for b in range(out.shape[0]):
        for n in range(out.shape[1]):
            difference = conditional[b, n] - unconditional[b, n]
            length = float(difference.square().sum().sqrt())
            out[b, n] += guidance * difference / (length**0.4 if length > 1 else 1.0)
    return out


def test_guidance_of_one_gives_the_conditional_velocity() -> None:
    a, b = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    torch.testing.assert_close(combine(a, b, 1.0), a)


def test_guidance_goes_further_along_the_difference() -> None:
    a, b = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    torch.testing.assert_close(combine(a, b, 6.0), b + 6 * (a - b))


def test_the_limit_shortens_long_differences_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    b = torch.randn(2, 6, 8, generator=generator)
    a = b + torch.randn(2, 6, 8, generator=generator) * torch.tensor([0.05, 0.1, 0.5, 1, 3, 10]).view(1, 6, 1)
    lengths = (a - b).norm(dim=-1)
    assert (lengths < 1).any() and (lengths > 1).any()
    torch.testing.assert_close(combine(a, b, 6.0, limited=True), naive_limited(a, b, 6.0))
