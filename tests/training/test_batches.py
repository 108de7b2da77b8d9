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


def test_of_a_few_triplets_that_are_learned_by_heart_no_others_are_evaluated() -> None:
    stage = Stage(until=1, size=32, batch=1)
    data = Data(photos=[ROOT / "examples/photos"], cutouts=[ROOT / "examples/cutouts"], heldout=ROOT / "recipes/tiny_heldout.toml", limit=3)
    streams = Streams(data, [stage])
    learned, evaluated = streams.triplets(stage, range(3)), streams.evaluated(stage, 5, kept_out=False)
    assert [np.array_equal(one.target, other.target) for one, other in zip(learned, evaluated, strict=True)] == [True] * 3
    assert len(streams.evaluated(stage, 5, kept_out=True)) == 5
