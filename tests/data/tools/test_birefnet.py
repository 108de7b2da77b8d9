"""BiRefNet through a twin: its logits become opacity, of the whole picture or around a box."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from model_twins import draw_kernel

from step1x_edit.data.tools.birefnet import BiRefNet
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.triplet import Pixels

Photo = Callable[[str, int], Pixels]


@pytest.fixture(scope="module")
def tool(twin: Callable[[str], Path]) -> BiRefNet:
    return BiRefNet.open(ToolChoice("birefnet", str(twin("birefnet.onnx"))))


def test_a_picture_of_the_networks_size_gets_its_own_answer(tool: BiRefNet, photo: Photo) -> None:
    picture = photo("chelsea", 48)
    values = (torch.from_numpy(picture.copy()) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    wanted = torch.nn.functional.conv2d(values.permute(2, 0, 1)[None], torch.from_numpy(draw_kernel(1, 3) * 3), padding=1).sigmoid()
    matte = tool.matte(picture)
    assert matte.dtype == np.float32
    assert matte == pytest.approx(wanted[0, 0].numpy(), abs=1e-5)


def test_a_box_is_looked_at_with_some_room_and_nothing_else_is_foreground(tool: BiRefNet, photo: Photo) -> None:
    picture = photo("chelsea", 120)
    matte = tool.matte(picture, Box(40, 40, 80, 80))
    assert matte.shape == (120, 120)
    assert matte[30:90, 30:90].min() > 0
    matte[30:90, 30:90] = 0
    assert not matte.any()
    assert not tool.matte(picture, Box(40, 40, 40, 80)).any()
