"""A shifted drawing is put back, an edit is not mistaken for a shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from step1x_edit.alignment import find_shift, realign

Draw = Callable[..., Image.Image]


def colours(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(("down", "right"), [(3, -2), (0, 5), (-8, 0), (1, 1)])
def test_a_shift_is_undone(draw_scene: Draw, down: int, right: int) -> None:
    wide = colours(draw_scene(168, 136))
    baseline = wide[:, 20:116, 20:148]
    drawn = wide[:, 20 - down : 116 - down, 20 - right : 148 - right].clone()
    drawn[:, 40:60, 40:60] = 1.0  # and an edit
    assert find_shift(drawn, baseline) == (down, right)
    moved = realign(drawn, baseline)
    outside = torch.ones(96, 128, dtype=torch.bool)
    outside[30:72, 30:72] = False
    torch.testing.assert_close(moved[:, outside], baseline[:, outside])


def test_what_is_in_place_stays(draw_scene: Draw) -> None:
    baseline = colours(draw_scene(128, 96))
    for drawn in (
        baseline,
        baseline * 0.5,
        1 - baseline,
        baseline.flip(2),
        torch.rand(3, 96, 128, generator=torch.Generator().manual_seed(0)),
    ):
        assert realign(drawn, baseline) is drawn


def test_small_and_even_pictures() -> None:
    for shape in ((3, 1, 1), (3, 2, 5), (3, 16, 16)):
        assert torch.equal(realign(torch.zeros(shape), torch.zeros(shape)), torch.zeros(shape))
