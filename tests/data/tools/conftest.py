"""Photographs of the repository as squares, read once for all tests of the tools."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from step1x_edit.data.triplet import Pixels

PHOTOS = Path(__file__).parents[3] / "examples" / "photos"


@cache
def read_square(name: str, side: int) -> Pixels:
    pixels = cv2.cvtColor(cv2.imread(str(PHOTOS / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = pixels[top : top + short, left : left + short]
    scaled = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)
    scaled.setflags(write=False)
    return scaled


@pytest.fixture(scope="session")
def photo() -> Callable[[str, int], Pixels]:
    """Read the middle square of an example photograph at a size; the array is read-only."""
    return read_square
