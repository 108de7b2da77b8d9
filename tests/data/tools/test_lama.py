"""LaMa through a twin: only the hole is filled, with what the network draws, and what it hides is not shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.lama import Lama
from step1x_edit.data.triplet import Pixels

Photo = Callable[[str, int], Pixels]


@pytest.fixture(scope="module")
def tool(twin: Callable[[str], Path]) -> Lama:
    return Lama.open(ToolChoice("lama", str(twin("lama.onnx"))))


@pytest.mark.parametrize("side", [32, 90])
def test_the_hole_alone_is_filled(tool: Lama, photo: Photo, side: int) -> None:
    picture, hole = photo("coffee", side), np.zeros((side, side), np.bool_)
    hole[side // 3 : side // 2, side // 4 : side // 2] = True
    filled = tool.inpaint(picture, hole)
    assert filled.dtype == np.uint8
    assert np.array_equal(filled[~hole], picture[~hole])
    assert (filled[hole] == 90).mean() > 0.9
    hidden = np.where(hole[..., None], np.uint8(255), picture)
    assert np.array_equal(tool.inpaint(hidden, hole), filled)
    assert not tool.reads_prompts


def test_without_a_hole_nothing_happens_and_all_may_be_one(tool: Lama, photo: Photo) -> None:
    picture = photo("coffee", 40)
    assert np.array_equal(tool.inpaint(picture, np.zeros((40, 40), np.bool_)), picture)
    assert (tool.inpaint(picture, np.ones((40, 40), np.bool_)) == 90).all()
