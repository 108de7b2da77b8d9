"""Streams over the repository's own example pictures, decoded once for all tests of the data pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def split() -> Split:
    return Split.read(ROOT / "recipes" / "mini_heldout.toml")


@pytest.fixture(scope="session")
def stream(split: Split) -> TripletStream:
    return TripletStream([ROOT / "examples" / "photos"], [ROOT / "examples" / "cutouts"], split=split, part="heldout", size=96, seed=7)
