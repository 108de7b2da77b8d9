"""Of frames, those are paired in which one thing moves before a still camera; every other pair has its reason."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from moving_scenes import Places, draw_frames

from step1x_edit.data.clips import Sample
from step1x_edit.data.frame_pairs import Motion, compare, find_pairs
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.tools.dis_flow import DisFlow
from step1x_edit.data.tools.protocols import Box, ToolCard
from step1x_edit.data.triplet import Floats, Pixels

FLOW = DisFlow()


def two(places: Places, **options: object) -> tuple[Pixels, Pixels]:
    first, second = draw_frames(places, 2, **options)  # type: ignore[arg-type]
    return first, second


def take_samples(frames: Sequence[Pixels]) -> list[Sample]:
    return [Sample(2 * i, i / 4, frame) for i, frame in enumerate(frames)]


@pytest.mark.parametrize(("right", "down"), [(22, 0), (-20, 0), (0, 15), (14, -12)])
def test_a_moving_thing_is_found_with_its_step(right: int, down: int) -> None:
    motion = compare(*two(lambda i: [(140 + right * i, 80 + down * i, 60)]), FLOW)
    assert isinstance(motion, Motion)
    assert (motion.right * 320, motion.down * 320) == pytest.approx((right, down), abs=1.5)
    assert motion.growth == pytest.approx(1, abs=0.03)
    where = np.zeros((200, 320), np.bool_)
    where[80:140, 140:200] = True
    assert (motion.before & where).sum() > 0.9 * motion.before.sum()
    assert not (motion.before & ~motion.touched).any()
    assert not (motion.after & ~motion.touched).any()


def test_what_comes_nearer_grows() -> None:
    motion = compare(*two(lambda i: [(140 - 8 * i, 80 - 8 * i, 64 + 16 * i)], cutout="bear", background="tea-gardens"), FLOW)
    assert isinstance(motion, Motion)
    assert motion.growth == pytest.approx(1.25, abs=0.06)
    assert motion.step < 0.02


@pytest.mark.parametrize(
    ("places", "options", "reason"),
    [
        (lambda i: [(140, 80, 60)], {}, "nothing moves"),
        (lambda i: [(140, 80, 60)], {"pan": 6}, "the camera moves"),
        (lambda i: [(60 + 20 * i, 100, 60), (230 - 20 * i, 20, 60)], {}, "several things move"),
        (lambda i: [(140 + 14 * i, 80, 20)], {}, "what moves is too small, or cannot be followed"),
        (lambda i: [(140 + 6 * i, 80, 60)], {}, "it moves too little to speak of"),
        (lambda i: [(-20 + 18 * i, 80, 60)], {}, "what moves is cut off by the frame"),
    ],
)
def test_other_pairs_say_why_they_are_refused(places: Places, options: dict[str, object], reason: str) -> None:
    refused = compare(*two(places, **options), FLOW)
    assert isinstance(refused, Unsuited)
    assert refused.reason == reason


def test_blur_cuts_and_changes_of_light_are_refused() -> None:
    first, second = two(lambda i: [(140 + 20 * i, 80, 60)])
    other = draw_frames(lambda i: [], 1, background="sunset-by-the-pier")[0]
    darker = np.clip(second * 0.9 - 4, 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(second, (0, 0), 4).astype(np.uint8)
    reasons = [refused.reason for frame in (blurred, other, darker) if isinstance(refused := compare(first, frame, FLOW), Unsuited)]
    assert reasons == ["a frame is blurred", "there is a cut between the frames", "the background or its light changes"]


class Foreground:
    """A matting tool that says that everything, or nothing, is foreground."""

    card = ToolCard("foreground", "1")

    def __init__(self, opacity: float) -> None:
        self.opacity = opacity

    def matte(self, picture: Pixels, box: Box | None = None) -> Floats:
        return np.full(picture.shape[:2], self.opacity, np.float32)


def test_what_moves_must_be_the_foreground_where_a_model_says_what_that_is() -> None:
    frames = two(lambda i: [(140 + 20 * i, 80, 60)])
    assert isinstance(compare(*frames, FLOW, Foreground(1.0)), Motion)
    refused = compare(*frames, FLOW, Foreground(0.0))
    assert isinstance(refused, Unsuited)
    assert refused.reason == "what moves is not the foreground"


def test_pairs_do_not_overlap_and_the_larger_motion_is_taken() -> None:
    search = find_pairs(take_samples(draw_frames(lambda i: [(40 + 9 * i, 80, 60)], 12)), FLOW)
    assert search.pairs
    assert all(one.numbers[1] <= other.numbers[0] for one, other in zip(search.pairs, search.pairs[1:], strict=False))
    assert max(pair.amount for pair in search.pairs) > 0.05
    assert search.refused["it overlaps with a better pair"] > 0


def test_no_pair_spans_a_cut() -> None:
    before = draw_frames(lambda i: [(40 + 15 * i, 80, 60)], 4)
    after = draw_frames(lambda i: [(200 - 15 * i, 40, 60)], 4, background="sunset-by-the-pier")
    search = find_pairs(take_samples([*before, *after]), FLOW)
    assert search.pairs
    assert not [pair for pair in search.pairs if pair.numbers[0] < 8 <= pair.numbers[1]]
    assert search.refused["there is a cut between the frames"] == 1
