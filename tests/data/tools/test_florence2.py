"""Florence-2 through twins: one that always says where a cat is, and a random one whose words are the library's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.florence2 import Florence2, read_boxes
from step1x_edit.data.tools.protocols import Box, Detection
from step1x_edit.data.triplet import Pixels

Photo = Callable[[str, int], Pixels]
Twin = Callable[[str], Path]


@pytest.fixture(scope="module")
def knowing(twin: Twin) -> Florence2:
    return Florence2.open(ToolChoice("florence2", str(twin("florence2-cat")), device="cpu"))


def test_places_in_words_become_boxes_in_pixels(knowing: Florence2, photo: Photo) -> None:
    picture = np.ascontiguousarray(photo("chelsea", 200)[:100])
    assert knowing.detect(picture) == (Detection(Box(20, 20, 100, 70), "cat", 1.0),)


def test_a_caption_is_what_the_library_itself_generates(twin: Twin, photo: Photo) -> None:
    tool, picture = Florence2.open(ToolChoice("florence2", str(twin("florence2")), device="cpu")), photo("chelsea", 64)
    prepared = tool.processor(text="<CAPTION>", images=Image.fromarray(picture), return_tensors="pt")
    with torch.inference_mode():
        tokens = tool.model.generate(**prepared, max_new_tokens=128, num_beams=3, do_sample=False)
    said = tool.processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert said
    assert tool.caption(picture) == said.rstrip(".")
    assert tool.caption(picture) == tool.caption(picture.copy())


def test_boxes_outside_and_empty_ones_are_left_out_and_none_comes_twice() -> None:
    answer = {"bboxes": [[-3, 2, 9, 7], [-3, 2, 9, 7], [5, 5, 5, 8], [8, 8, 99, 99]], "labels": ["Cat.", "cat", "dog", "tree"]}
    assert read_boxes(answer, 10, 12) == (Detection(Box(0, 2, 9, 7), "cat", 1.0), Detection(Box(8, 8, 10, 12), "tree", 1.0))
