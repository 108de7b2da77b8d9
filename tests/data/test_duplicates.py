"""Perceptual hashes know alike from unlike, and the search finds what a plain comparison finds."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.duplicates import Neighbours, hash_pair, hash_picture
from step1x_edit.data.stream import TripletStream


@given(
    values=st.lists(st.integers(0, 2**128 - 1), min_size=1, max_size=12),
    flips=st.lists(st.integers(0, 127), max_size=9),
    distance=st.integers(0, 31),
)
def test_the_search_agrees_with_comparing_everything(values: list[int], flips: list[int], distance: int) -> None:
    neighbours = Neighbours(distance)
    for i, value in enumerate(values):
        neighbours.take(value, str(i))
    asked = values[-1]
    for flip in flips:
        asked ^= 1 << flip
    near = {str(i) for i, value in enumerate(values) if (asked ^ value).bit_count() <= distance}
    found = neighbours.find(asked)
    assert (found is not None) == bool(near)
    if found is not None:
        assert found[0] in near
        assert found[1] == (asked ^ values[int(found[0])]).bit_count()


def test_what_looks_alike_is_near_and_what_does_not_is_far(stream: TripletStream) -> None:
    pictures = [stream.sample(i).source for i in range(20)]
    hashes = [hash_picture(picture) for picture in pictures]
    for picture, value in zip(pictures, hashes, strict=True):
        encoded = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
        assert (hash_picture(encoded.astype(np.uint8)) ^ value).bit_count() <= 6
    apart = [(a ^ b).bit_count() for i, a in enumerate(hashes) for b in hashes[:i]]
    assert np.median(apart) > 20


def test_pairs_are_told_apart_by_both_pictures(stream: TripletStream) -> None:
    a, b = stream.sample(0), stream.sample(1)
    assert hash_pair(a.source, a.target) != hash_pair(a.source, b.target)
    assert hash_pair(a.source, a.target) >> 64 == hash_picture(a.source)
