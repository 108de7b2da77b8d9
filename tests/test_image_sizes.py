"""Which size a picture is brought to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.image_sizes import FURTHEST, fit_form, fit_size, fit_within


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((1024, 1024), 1024, (1024, 1024)),
        ((1000, 500), 128, (176, 80)),
        ((500, 1000), 128, (80, 176)),
        ((1, 1), 128, (128, 128)),
        ((1920, 1080), 1024, (1360, 768)),  # these three as the published code has them
        ((1920, 1200), 1024, (1296, 800)),
        ((3000, 4000), 512, (432, 592)),
    ],
)
def test_fitted_sizes(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    assert fit_size(*size, side, 16) == expected
    assert fit_form(*size, side, 16, squares=True).size == (side, side)


@given(width=st.integers(1, 20_000), height=st.integers(1, 20_000), side=st.sampled_from([64, 128, 1024]))
def test_fitted_sizes_are_multiples_with_bounded_area(width: int, height: int, side: int) -> None:
    fitted = fit_size(width, height, side, 16)
    assert fit_form(width, height, side, 16, squares=False).size == fitted
    bounded = min(max(width / height, 1 / FURTHEST), FURTHEST)
    assert fit_form(width, height, side, 16, squares=True).aspect == pytest.approx(bounded, rel=0.05)
    assert all(length >= 16 and length % 16 == 0 for length in fitted)
    assert (max(fitted) - 1) * (min(fitted) - 2) <= side * side  # rounded up by as much at most
    if max(width, height) < 2 * min(width, height):
        assert fitted[0] * fitted[1] > (side - 16) * (side - 16) / 2
        assert abs(fitted[0] / fitted[1] / (width / height) - 1) < 32 / min(fitted)


def test_sizes_within_a_longest_side() -> None:
    assert fit_within((3000, 1500), 1024) == (1024, 512) and fit_within((30, 20), 1024) == (30, 20)
    assert fit_within((5000, 1), 1024) == (1024, 1)
