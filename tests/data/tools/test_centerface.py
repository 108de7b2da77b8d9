"""CenterFace finds the one face of a photograph at every size and turn that people take, and none in a landscape."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from step1x_edit.data.tools.centerface import WEIGHTS, CenterFace
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import WeightsError


@pytest.fixture(scope="module")
def tool() -> CenterFace:
    return CenterFace()


@pytest.mark.parametrize("side", [96, 333, 512])
def test_the_face_is_found_at_any_size(tool: CenterFace, photo: Callable[[str, int], Pixels], side: int) -> None:
    (face,) = tool.find_faces(photo("astronaut", side))
    assert np.abs(np.array(face.box) / side - (0.33, 0.14, 0.52, 0.39)).max() < 0.05
    eyes, mouth = face.landmarks[:2], face.landmarks[3:]
    assert eyes[0][0] < face.landmarks[2][0] < eyes[1][0]
    assert max(eye[1] for eye in eyes) < face.landmarks[2][1] < min(corner[1] for corner in mouth)
    assert face.score > 0.5


def test_a_small_face_in_a_large_picture_is_found_where_it_is(tool: CenterFace, photo: Callable[[str, int], Pixels]) -> None:
    canvas = cv2.resize(photo("lake-sherburne", 512), (1400, 900)).astype(np.uint8)
    canvas[500:740, 1000:1240] = photo("astronaut", 240)
    (face,) = tool.find_faces(canvas)
    assert np.abs(np.array(face.box) - (1080, 534, 1125, 594)).max() < 14


@pytest.mark.parametrize("name", ["lake-sherburne", "tea-gardens", "rocket", "coffee", "blue-periwinkle"])
def test_no_face_where_there_is_none(tool: CenterFace, photo: Callable[[str, int], Pixels], name: str) -> None:
    assert tool.find_faces(photo(name, 384)) == ()


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (70, 9)])
def test_odd_shapes_are_taken(tool: CenterFace, shape: tuple[int, int]) -> None:
    assert tool.find_faces(np.full((*shape, 3), 120, np.uint8)) == ()


def test_the_weights_are_those_that_their_card_names() -> None:
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() in (WEIGHTS.parent / "README.md").read_text(encoding="utf-8")


def test_damaged_weights_are_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(WEIGHTS.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="install the package again"):
        CenterFace(tmp_path / "broken.onnx")
