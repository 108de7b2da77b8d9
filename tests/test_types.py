"""Requests are checked when they are made; the eleven categories are GEdit-Bench's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from step1x_edit.errors import ImageError, Step1XError, UsageError, WeightsError
from step1x_edit.types import LONGEST_INSTRUCTION, EditCategory, EditRequest

PICTURE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"instruction": " \n"}, "instruction is empty"),
        ({"instruction": "a" * (LONGEST_INSTRUCTION + 1)}, "characters"),
        ({"instruction": "caf\udce9"}, "not valid text"),
        ({"steps": 0}, "Steps"),
        ({"steps": -3}, "Steps"),
        ({"guidance": -0.1}, "Guidance"),
        ({"guidance": math.nan}, "Guidance"),
        ({"guidance": math.inf}, "Guidance"),
        ({"size": 63}, "Size"),
        ({"size": 4097}, "Size"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"image": Image.new("RGB", (0, 5))}, "no pixels"),
        ({"image": "photo.jpg"}, "The picture must be an image of PIL, not str; of a file, read_image"),
        ({"image": np.zeros((8, 8, 3))}, "The picture must be an image of PIL, not ndarray"),
        ({"mask": np.zeros((8, 8))}, "The mask must be an image of PIL"),
        ({"references": ["photo.jpg"]}, "The reference must be an image of PIL"),
        ({"instruction": None}, "instruction must be a text, not NoneType"),
        ({"negative": None}, "negative must be a text"),
        ({"seed": 1.5}, "seed must be a whole number, not float"),
        ({"seed": None}, "seed must be a whole number"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"strength": "0.5"}, "strength must be a number, not str"),
        ({"strength": None}, "strength must be a number"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        EditRequest(**{"image": PICTURE, "instruction": "make it night", **values})
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"instruction": "把背景换成海滩 🏖\nand sharpen"},
        {"steps": 1, "guidance": 0, "size": 64, "seed": 0},
        {"steps": 1000, "guidance": 100.0, "size": 4096, "seed": 2**63 - 1},
    ],
)
def test_values_in_range_are_taken(values: dict[str, object]) -> None:
    request = EditRequest(**{"image": PICTURE, "instruction": "make it night", **values})
    assert all(getattr(request, name) == value for name, value in values.items())


def test_there_are_eleven_categories() -> None:
    names = "background_change color_alter material_alter motion_change ps_human style_change subject-add subject-remove subject-replace"
    assert {str(category) for category in EditCategory} == {*names.split(), "text_change", "tone_transfer"}


def test_errors_know_their_exit_code_and_status() -> None:
    codes = {error: (error.exit_code, error.http_status) for error in (Step1XError, UsageError, ImageError, WeightsError)}
    assert codes == {Step1XError: (1, 500), UsageError: (2, 400), ImageError: (1, 400), WeightsError: (1, 500)}


def test_numbers_of_numpy_are_numbers() -> None:
    numbers = {"seed": np.int64(3), "steps": np.int32(2), "guidance": np.float32(1.5), "strength": np.float64(0.5)}
    assert EditRequest(PICTURE, "make it night", **numbers).seed == 3
