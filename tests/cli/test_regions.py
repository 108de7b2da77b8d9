"""Masks and boxes as the command is told of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.cli.regions import read_region
from step1x_edit.errors import UsageError


def test_paint_on_a_transparent_layer_is_a_mask(tmp_path: Path) -> None:
    layer = Image.new("RGBA", (4, 2), (255, 255, 255, 0))
    layer.putpixel((1, 1), (255, 255, 255, 255))
    layer.putpixel((2, 0), (255, 255, 255, 100))
    layer.save(tmp_path / "mask.png")
    region = read_region(tmp_path / "mask.png", None, (4, 2))
    assert region is not None
    assert np.asarray(region).tolist() == [[0, 0, 100, 0], [0, 255, 0, 0]]


def test_an_opaque_mask_is_its_brightness(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 255]], np.uint8)).save(tmp_path / "mask.png")
    region = read_region(tmp_path / "mask.png", None, (3, 1))
    assert region is not None and np.asarray(region).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(("box", "inside"), [("0,0,99999999999,1", (0, 0, 4, 1)), ("1,-5,2,99999999999", (1, 0, 3, 2))])
def test_a_box_ends_where_the_picture_does(box: str, inside: tuple[int, int, int, int]) -> None:
    region = read_region(None, box, (4, 2))
    assert region is not None and region.getbbox() == inside


def test_a_box_elsewhere_is_refused() -> None:
    with pytest.raises(UsageError, match="lies outside the picture"):
        read_region(None, "99999999999,0,10,10", (4, 2))


def test_a_mask_without_white_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 2), (255, 255, 255, 0)).save(tmp_path / "mask.png")
    with pytest.raises(UsageError, match="Nothing of the mask"):
        read_region(tmp_path / "mask.png", None, (4, 2))
