"""Depth through twins: nearness is 1 for the nearest, whether the model answers with distances or with their inverse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.depth_model import DepthModel
from step1x_edit.data.triplet import Floats, Pixels

Photo = Callable[[str, int], Pixels]
NAMES = ("depth-anything", "zoedepth")


@pytest.fixture(scope="module")
def tools(twin: Callable[[str], Path]) -> dict[str, DepthModel]:
    return {name: DepthModel.open(ToolChoice(name, str(twin(name)), device="cpu")) for name in NAMES}


def ask_library(tool: DepthModel, picture: Pixels) -> Floats:
    """The model's own answer at its own size."""
    with torch.inference_mode():
        prepared = tool.processor(images=Image.fromarray(picture), return_tensors="pt")
        return tool.model(**prepared).predicted_depth[0].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_nearness_has_the_pictures_shape_and_spans_all(tools: dict[str, DepthModel], photo: Photo, name: str) -> None:
    picture = np.ascontiguousarray(photo("tea-gardens", 96)[:72])
    nearness = tools[name].estimate(picture)
    assert nearness.shape == (72, 96)
    assert nearness.dtype == np.float32
    assert (nearness.min(), nearness.max()) == (0, pytest.approx(1))
    assert np.array_equal(tools[name].estimate(picture), nearness)


def test_inverse_depth_is_stretched_as_the_library_scales_it(tools: dict[str, DepthModel], photo: Photo) -> None:
    tool, picture = tools["depth-anything"], photo("tea-gardens", 80)
    with torch.inference_mode():
        found = tool.model(**tool.processor(images=Image.fromarray(picture), return_tensors="pt"))
    (scaled,) = tool.processor.post_process_depth_estimation(found, target_sizes=[(80, 80)])
    wanted = scaled["predicted_depth"].numpy()
    assert tool.estimate(picture) == pytest.approx((wanted - wanted.min()) / np.ptp(wanted), abs=1e-5)


def test_metres_are_turned_round_and_the_margin_is_taken_off(tools: dict[str, DepthModel], photo: Photo) -> None:
    tool, picture = tools["zoedepth"], photo("tea-gardens", 64)
    metres, nearness = ask_library(tool, picture), tool.estimate(picture)
    margin = int(np.sqrt(64 / 2) * 3)
    share = margin / (64 + 2 * margin)
    height, width = metres.shape
    inner = metres[round(share * height) : round((1 - share) * height), round(share * width) : round((1 - share) * width)]
    near = np.unravel_index(inner.argmin(), inner.shape)
    place = [int((index + 0.5) * 64 / side) for index, side in zip(near, inner.shape, strict=True)]
    assert nearness[place[0], place[1]] > 0.8


def test_other_models_that_answer_with_metres_are_known(twin: Callable[[str], Path], photo: Photo) -> None:
    tool, picture = DepthModel.open(ToolChoice("depth-anything", str(twin("glpn")), device="cpu")), photo("tea-gardens", 64)
    metres, nearness = ask_library(tool, picture), tool.estimate(picture)
    assert nearness[np.unravel_index(metres.argmin(), metres.shape)] == 1
    assert nearness[np.unravel_index(metres.argmax(), metres.shape)] == 0
