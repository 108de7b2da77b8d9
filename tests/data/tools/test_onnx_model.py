"""Networks in ONNX: found in a folder or by their path, and refused in one sentence where they do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.onnx_model import OnnxModel, choose_providers
from step1x_edit.data.tools.raft import Raft
from step1x_edit.errors import UsageError, WeightsError

Twin = Callable[[str], Path]


def test_the_published_name_is_taken_from_a_folder_and_else_the_only_file(twin: Twin, tmp_path: Path) -> None:
    shutil.copy(twin("raft.onnx"), tmp_path / "mine.onnx")
    alone = OnnxModel(ToolChoice("raft", str(tmp_path)), Raft.model, Raft.file)
    assert alone.inputs == {"0": (1, 3, 24, 32), "1": (1, 3, 24, 32)}
    assert alone.size((360, 480)) == (24, 32)
    shutil.copy(twin("birefnet.onnx"), tmp_path / Raft.file)
    assert list(OnnxModel(ToolChoice("raft", str(tmp_path)), Raft.model, Raft.file).inputs) == ["input_image"]
    (tmp_path / Raft.file).rename(tmp_path / "other.onnx")
    with pytest.raises(UsageError, match="holds 2 ONNX files; give the path of one"):
        OnnxModel(ToolChoice("raft", str(tmp_path)), Raft.model, Raft.file)


def test_another_network_and_what_is_none_are_refused(twin: Twin, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="takes 1 inputs, not 2; it is another network than raft"):
        Raft.open(ToolChoice("raft", str(twin("birefnet.onnx"))))
    (tmp_path / "broken.onnx").write_bytes(twin("raft.onnx").read_bytes()[:200])
    with pytest.raises(WeightsError, match="is no network that onnxruntime can run"):
        Raft.open(ToolChoice("raft", str(tmp_path / "broken.onnx")))
    with pytest.raises(WeightsError, match=r"holds no .*raft_2023aug\.onnx or"):
        Raft.open(ToolChoice("raft", str(twin("clip"))))
    with pytest.raises(UsageError, match="takes no dtype"):
        Raft.open(ToolChoice("raft", str(twin("raft.onnx")), dtype="float16"))
    network = OnnxModel(ToolChoice("raft", str(twin("raft.onnx"))), Raft.model, Raft.file)
    with pytest.raises(WeightsError, match="does not take what raft gives it"):
        network.run({"0": np.zeros((1, 3, 8, 8), np.float32), "1": np.zeros((1, 3, 24, 32), np.float32)})


def test_each_gpu_is_taken_by_its_number() -> None:
    cpu, cuda = "CPUExecutionProvider", "CUDAExecutionProvider"
    assert choose_providers(None, [cpu]) == choose_providers("cpu", [cuda, cpu]) == [cpu]
    assert choose_providers("cuda", [cuda, cpu]) == [(cuda, {"device_id": 0}), cpu]
    assert choose_providers("cuda:3", [cuda, cpu]) == [(cuda, {"device_id": 3}), cpu]
    for device, available in (("cuda", [cpu]), ("mps", [cuda, cpu]), ("cuda:x", [cuda, cpu])):
        with pytest.raises(UsageError, match=f"cannot use {device} here"):
            choose_providers(device, available)
