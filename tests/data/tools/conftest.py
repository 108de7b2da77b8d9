"""Photographs of the repository as squares, read once for all tests of the tools."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from step1x_edit.data.triplet import Pixels

sys.path.insert(0, str(Path(__file__).parent))  # what several tests of this folder share

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


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder or file of a tiny twin of a model, written when first asked for: a name as in `model_twins.TWINS`. Not to be written into."""
    root = tmp_path_factory.mktemp("twins")

    @cache
    def make(name: str) -> Path:
        from model_twins import TWINS

        TWINS[name](root / name)
        return root / name

    return make
