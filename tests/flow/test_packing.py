import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.flow.packing import pack, unpack


def naive_pack(latent: torch.Tensor, p: int) -> torch.Tensor:
    batch, channels, height, width = latent.shape
    tokens = [
        [
            torch.stack([latent[b, c, i * p + y, j * p + x] for c in range(channels) for y in range(p) for x in range(p)])
            for i in range(height // p)
            for j in range(width // p)
        ]
        for b in range(batch)
    ]
    return torch.stack([torch.stack(row) for row in tokens])


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.sampled_from([1, 2, 4]))
def test_agrees_with_a_naive_packing_and_comes_back(batch: int, channels: int, rows: int, columns: int, patch: int) -> None:
    latent = torch.randn(batch, channels, rows * patch, columns * patch)
    tokens = pack(latent, patch)
    assert torch.equal(tokens, naive_pack(latent, patch))
    assert torch.equal(unpack(tokens, rows, columns, patch), latent)


def test_refuses_a_latent_that_does_not_divide() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        pack(torch.zeros(1, 1, 3, 4), 2)
