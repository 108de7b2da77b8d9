"""The triplets of a stage, made on the way."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from step1x_edit.training.batches import Streams
from step1x_edit.training.recipe import Data, Stage

ROOT = Path(__file__).parents[2]


def test_other_light_is_for_training_and_not_for_evaluation() -> None:
    stage = Stage(until=1, size=32, batch=1)
    photos, cutouts = [ROOT / "examples/photos"], [ROOT / "examples/cutouts"]
    own, lit = (
        Streams(Data(photos=photos, cutouts=cutouts, heldout=ROOT / "recipes/tiny_heldout.toml", relit=relit), [stage]) for relit in (0, 1)
    )
    for kept_out in (False, True):
        pairs = zip(own.evaluated(stage, 4, kept_out), lit.evaluated(stage, 4, kept_out), strict=True)
        assert [np.array_equal(one.source, other.source) for one, other in pairs] == [kept_out] * 4
