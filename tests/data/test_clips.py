"""Clips are read at a few frames a second, and their frames again by number; what is no clip is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from moving_scenes import draw_frames, write_clip, write_matroska

from step1x_edit.data.clips import list_clips, read_frames, read_samples
from step1x_edit.errors import ImageError, UsageError


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v")])
def test_frames_come_in_order_with_their_times(tmp_path: Path, name: str, codec: str) -> None:
    frames = draw_frames(lambda i: [(20 + 8 * i, 60, 60)], 9)
    path = write_clip(tmp_path / name, frames, 8.0, codec)
    samples = list(read_samples(path))
    assert [sample.number for sample in samples] == [0, 2, 4, 6, 8]
    assert np.diff([sample.seconds for sample in samples]) == pytest.approx(0.25, abs=0.01)
    for sample, again in zip(samples, read_frames(path, [0, 2, 4, 6, 8]), strict=True):
        assert np.array_equal(sample.pixels, again)
        differences = [np.abs(again.astype(int) - frame).mean() for frame in frames]
        assert int(np.argmin(differences)) == sample.number


@pytest.mark.parametrize(
    "times", [[33 * i + 7 * (i % 3) for i in range(60)], [10 * i for i in range(30)] + [300 + 500 * i for i in range(30)]]
)
def test_clips_of_a_variable_rate_are_looked_at_by_time(tmp_path: Path, times: list[int]) -> None:
    path = write_matroska(tmp_path / "a.mkv", draw_frames(lambda i: [], 60), times)
    samples = list(read_samples(path))
    assert [sample.seconds for sample in samples] == [pytest.approx(times[sample.number] / 1000, abs=0.002) for sample in samples]
    steps = np.diff([sample.seconds for sample in samples])
    assert steps.min() > 0.2
    assert steps.max() < 0.56
    assert samples[-1].seconds > times[-1] / 1000 - 0.56


def test_large_frames_are_compared_small_and_taken_large(tmp_path: Path) -> None:
    large = [np.repeat(np.repeat(frame, 2, 0), 2, 1) for frame in draw_frames(lambda i: [], 2)]
    path = write_clip(tmp_path / "large.avi", large)
    assert next(iter(read_samples(path))).pixels.shape == (200, 320, 3)
    assert read_frames(path, [1])[0].shape == (400, 640, 3)


def test_clips_are_listed_with_checksum_and_licence(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "sub" / "walk.avi", draw_frames(lambda i: [], 2))
    (tmp_path / "sub" / "ATTRIBUTION.csv").write_text("file,licence,author\nwalk.avi,CC0,Someone\n")
    (tmp_path / "notes.txt").write_text("no clip")
    (clip,) = list_clips([tmp_path])
    assert clip.provenance() == {
        "file": "sub/walk.avi",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "CC0",
        "attribution": "Someone",
        "source": "",
    }


@pytest.mark.parametrize("place", [b"caf\xe9.avi", b"caf\xe9/walk.avi"])
def test_a_clip_whose_name_is_not_utf_8_is_explained(tmp_path: Path, place: bytes) -> None:
    path = tmp_path / os.fsdecode(place)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a clip")
    with pytest.raises(UsageError, match=r"The clip '.*/caf\\udce9.*avi' has a name that is not UTF-8; rename it") as caught:
        list_clips([tmp_path])
    assert str(caught.value).encode()


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; give an existing folder of clips"):
        list_clips([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match="There is no clip in"):
        list_clips([tmp_path])
    (tmp_path / "broken.mp4").write_bytes(b"no film at all")
    with pytest.raises(ImageError, match="is no clip that can be decoded"):
        list(read_samples(tmp_path / "broken.mp4"))
    path = write_clip(tmp_path / "short.avi", draw_frames(lambda i: [], 3))
    with pytest.raises(ImageError, match="has no frame 7"):
        read_frames(path, [1, 7])
