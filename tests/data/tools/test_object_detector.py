"""Detectors through a twin: boxes are the library's own; of one kind of thing where a label is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.object_detector import LabelDetector, ObjectDetector
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import UsageError

Photo = Callable[[str, int], Pixels]
Twin = Callable[[str], Path]


def test_what_is_found_is_what_the_library_finds(twin: Twin, photo: Photo) -> None:
    tool = ObjectDetector.open(ToolChoice("detr", str(twin("detector")), device="cpu"))
    picture = np.ascontiguousarray(photo("astronaut", 90)[:64])
    with torch.inference_mode():
        found = tool.model(**tool.processor(images=Image.fromarray(picture), return_tensors="pt"))
    (read,) = tool.processor.post_process_object_detection(found, threshold=0.4, target_sizes=[(64, 90)])
    detections = tool.detect(picture)
    assert detections
    assert [item.score for item in detections] == sorted((round(score, 4) for score in read["scores"].tolist()), reverse=True)
    for item in detections:
        assert 0 <= item.box.left < item.box.right <= 90
        assert 0 <= item.box.top < item.box.bottom <= 64
        assert item.label in ("face", "license-plate", "lamp")


def test_faces_and_plates_are_what_bears_the_label(twin: Twin, photo: Photo) -> None:
    model, picture = str(twin("detector")), photo("astronaut", 64)
    everything = ObjectDetector.open(ToolChoice("detr", model, device="cpu")).detect(picture)
    faces = LabelDetector.open(ToolChoice("detr", model, device="cpu", label="Face")).find_faces(picture)
    finder = LabelDetector.open(ToolChoice("detr", model, device="cpu", label="face"))
    wide = sorted(face.box.width for face in faces)[-1]
    assert finder.find_faces(picture, wide / 64) == tuple(face for face in faces if face.box.width == wide)
    plates = LabelDetector.open(ToolChoice("detr", model, device="cpu", label="license-plate")).find_plates(picture)
    assert {face.box for face in faces} == {item.box for item in everything if item.label == "face"} != set()
    assert [face.box.area for face in faces] == sorted((face.box.area for face in faces), reverse=True)
    assert [plate.box for plate in plates] == [item.box for item in everything if item.label == "license-plate"] != []


def test_a_missing_or_unknown_label_is_refused_with_those_that_there_are(twin: Twin) -> None:
    with pytest.raises(UsageError, match=r"needs a label; choose one that .* knows: face, lamp, license-plate"):
        LabelDetector.open(ToolChoice("detr", str(twin("detector")), device="cpu"))
    with pytest.raises(UsageError, match="knows no 'nose'; choose one of face, lamp, license-plate"):
        LabelDetector.open(ToolChoice("detr", str(twin("detector")), device="cpu", label="nose"))
    with pytest.raises(UsageError, match="detr needs a model"):
        LabelDetector.open(ToolChoice("detr"))
