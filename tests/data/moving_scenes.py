"""Short films of the repository's pictures: a cut-out that moves, grows or stays before a photograph, with a camera's noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from step1x_edit.data.triplet import Floats, Pixels

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH, HEIGHT = 320, 200

Places = Callable[[int], Sequence[tuple[float, float, float]]]
"""Frame number -> left, top and height in pixels of each cut-out."""


@cache
def read_background(name: str) -> Floats:
    pixels = cv2.cvtColor(cv2.imread(str(EXAMPLES / "photos" / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    return cv2.resize(pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)


@cache
def read_cutout(name: str) -> Floats:
    return cv2.cvtColor(cv2.imread(str(EXAMPLES / "cutouts" / f"{name}.png"), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA).astype(np.float32)


def draw_frames(places: Places, count: int, *, background: str = "lake-sherburne", cutout: str = "dog", pan: int = 0) -> list[Pixels]:
    """Frames uint8 [200, 320, 3]; `pan` moves everything by so many pixels a frame."""
    generator = np.random.default_rng(0)
    frames = []
    for number in range(count):
        frame = read_background(background).copy()
        for left, top, height in places(number):
            picture = read_cutout(cutout)
            factor = height / picture.shape[0]
            move = np.array([[factor, 0, left], [0, factor, top]], np.float32)
            moved = cv2.warpAffine(picture, move, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
            frame += moved[..., 3:] / 255 * (moved[..., :3] - frame)
        frame = np.roll(frame, pan * number, 1) + generator.normal(0, 1.5, frame.shape).astype(np.float32)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return frames


def write_clip(path: Path, frames: Sequence[Pixels], rate: float = 8.0, codec: str = "MJPG") -> Path:
    """Write a clip; its ending says the container."""
    height, width = frames[0].shape[:2]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def write_matroska(path: Path, frames: Sequence[Pixels], times: Sequence[int]) -> Path:
    """Write a clip of a variable rate, by the milliseconds at which its frames come."""

    def element(name: str, content: bytes | int) -> bytes:
        data = content.to_bytes(4, "big") if isinstance(content, int) else content
        return bytes.fromhex(name) + (1 << 56 | len(data)).to_bytes(8, "big") + data

    height, width = frames[0].shape[:2]
    head = element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    picture = element("B0", width) + element("BA", height)
    track = element("D7", 1) + element("73C5", 1) + element("83", 1) + element("86", b"V_MJPEG") + element("E0", picture)
    parts = element("1549A966", element("2AD7B1", 1_000_000)) + element("1654AE6B", element("AE", track))
    for frame, time in zip(frames, times, strict=True):
        data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))[1].tobytes()
        parts += element("1F43B675", element("E7", time) + element("A3", b"\x81\0\0\x80" + data))
    path.write_bytes(element("1A45DFA3", head) + element("18538067", parts))
    return path
