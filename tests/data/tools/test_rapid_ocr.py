"""Text is read with its place, and small pictures give the same places as large ones."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from step1x_edit.data.tools.rapid_ocr import RapidTextReader
from step1x_edit.data.triplet import Pixels


@pytest.fixture(scope="module")
def tool() -> RapidTextReader:
    return RapidTextReader()


@pytest.fixture(scope="module")
def sign(photo: Callable[[str, int], Pixels]) -> Pixels:
    image = Image.fromarray(photo("lake-sherburne", 400))
    draw = ImageDraw.Draw(image)
    draw.rectangle((60, 60, 340, 200), fill=(240, 240, 230))
    draw.text((80, 70), "HARBOUR", font=ImageFont.load_default(40), fill=(20, 30, 90))
    draw.text((80, 140), "open daily", font=ImageFont.load_default(32), fill=(120, 20, 20))
    return np.asarray(image)


@pytest.mark.parametrize("side", [400, 250])
def test_lines_come_from_top_to_bottom_with_their_places(tool: RapidTextReader, sign: Pixels, side: int) -> None:
    lines = tool.read(cv2.resize(sign, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8))
    assert [line.text.lower() for line in lines] == ["harbour", "open daily"]
    factor = side / 400
    for line, (left, top) in zip(lines, ((80, 75), (80, 145)), strict=True):
        assert abs(line.box.left - left * factor) < 12
        assert abs(line.box.top - top * factor) < 14
        assert line.confidence > 0.8
        assert len(line.corners) == 4


def test_a_photograph_without_text_has_none(tool: RapidTextReader, photo: Callable[[str, int], Pixels]) -> None:
    assert tool.read(photo("lake-sherburne", 320)) == ()
