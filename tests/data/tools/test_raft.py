"""RAFT through a twin: the field comes back at the size of the frames, in their pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from model_twins import draw_kernel

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.raft import Raft
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import WeightsError

Photo = Callable[[str, int], Pixels]
Twin = Callable[[str], Path]


def test_the_fine_field_is_scaled_to_the_frames(twin: Twin, photo: Photo) -> None:
    frame = photo("rocket", 96)
    flow = Raft.open(ToolChoice("raft", str(twin("raft.onnx")))).flow(frame, frame)
    assert flow.dtype == np.float32
    assert flow == pytest.approx(np.broadcast_to(np.array([1.5 * 96 / 32, -3.0 * 96 / 24], np.float32), (96, 96, 2)))


def test_frames_of_the_networks_size_are_given_to_it_as_they_are(twin: Twin, photo: Photo) -> None:
    first, second = (np.ascontiguousarray(photo(name, 32)[:24]) for name in ("rocket", "coffee"))
    difference = torch.from_numpy(second.astype(np.float32) - first).permute(2, 0, 1)[None]
    wanted = torch.nn.functional.conv2d(difference, torch.from_numpy(draw_kernel(2, 3)), torch.tensor([1.5, -3.0]), padding=1)
    flow = Raft.open(ToolChoice("raft", str(twin("raft.onnx")))).flow(first, second)
    assert flow == pytest.approx(wanted[0].permute(1, 2, 0).numpy(), abs=1e-3)


def test_a_network_without_a_field_is_refused(twin: Twin, photo: Photo) -> None:
    with pytest.raises(WeightsError):
        Raft.open(ToolChoice("raft", str(twin("lama.onnx")))).flow(photo("rocket", 32), photo("coffee", 32))
