"""IS-Net through a twin: the first of its outputs is the opacity, as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_twins import draw_kernel

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.isnet import IsNet
from step1x_edit.data.triplet import Pixels


def test_the_first_output_is_the_opacity(twin: Callable[[str], Path], photo: Callable[[str, int], Pixels]) -> None:
    picture = photo("chelsea", 48)
    tool = IsNet.open(ToolChoice("isnet", str(twin("isnet.onnx"))))
    values = (torch.from_numpy(picture.copy()) / 255 - 0.5).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.conv2d(values, torch.from_numpy(draw_kernel(1, 3) * 3), padding=1).sigmoid()
    assert tool.matte(picture) == pytest.approx(wanted[0, 0].numpy(), abs=1e-5)
    assert tool.card.name == "isnet"
