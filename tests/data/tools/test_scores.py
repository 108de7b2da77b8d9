"""Scores rank pictures as people do."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from step1x_edit.data.tools.scores import (
    LayoutSimilarity,
    PhotographicScorer,
    measure_exposure,
    measure_sharpness,
)
from step1x_edit.data.triplet import Pixels

NAMES = ("chelsea", "coffee", "rocket", "astronaut", "lake-sherburne", "tea-gardens", "roman-colosseum", "perched-osprey")


def variants(picture: Pixels) -> list[Pixels]:
    """What counts as the same picture: scaled, saved as a poor JPEG, a little brighter."""
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return [
        cv2.resize(picture, (97, 131), interpolation=cv2.INTER_AREA).astype(np.uint8),
        cv2.imdecode(data, cv2.IMREAD_COLOR).astype(np.uint8),
        cv2.convertScaleAbs(picture, alpha=1.08, beta=6).astype(np.uint8),
    ]


def test_likeness_ranks_variants_before_other_pictures(photo: Callable[[str, int], Pixels]) -> None:
    scorer = LayoutSimilarity()
    vectors = {name: scorer.embed(photo(name, 256)) for name in NAMES}
    for name, own in vectors.items():
        assert abs(float(own @ own) - 1) < 1e-5
        alike = min(float(own @ scorer.embed(v)) for v in variants(photo(name, 256)))
        assert alike > max(float(own @ other) for key, other in vectors.items() if key != name)


def test_blur_lowers_sharpness_and_looks(photo: Callable[[str, int], Pixels]) -> None:
    for name in NAMES:
        crisp = photo(name, 512)
        soft = cv2.GaussianBlur(crisp, (0, 0), 6).astype(np.uint8)
        assert measure_sharpness(soft) < 0.6 * measure_sharpness(crisp)
        assert PhotographicScorer().score(soft) < PhotographicScorer().score(crisp)


def test_exposure_is_measured() -> None:
    half = np.zeros((10, 10, 3), np.uint8)
    half[5:] = 255
    exposure = measure_exposure(half)
    assert (exposure.mean, exposure.black, exposure.white, exposure.contrast) == (0.5, 0.5, 0.5, 1.0)
    assert measure_exposure(np.full((4, 4, 3), 51, np.uint8)).mean == 0.2
    assert PhotographicScorer().score(half) < 0.6
