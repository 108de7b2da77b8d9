"""Video clips: what OpenCV's own decoders read, looked at a few times a second, and read again at full size where a frame is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.licences import Credit, Credits
from step1x_edit.data.storage import check_name, walk
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.tools.weights import digest_file
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import ImageError, UsageError

ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")

SIDE = 320
"""Longer side in pixels at which frames are compared."""

RATE = 4.0
"""Frames a second that are looked at."""

LONGEST = 240
"""Frames of one clip that are looked at: its first minute."""

_LATE = 1.5 / RATE
"""Seconds after which a frame is looked at in any case: more than between two of a clip whose rate is steady, and is what it says.

Those of browsers and telephones, whose frames come when they come, may say 1000 a second.
"""


@dataclass(frozen=True)
class Sample:
    """A frame as it is compared: its number in the clip, its time in seconds, and uint8 [h, w, 3] of at most `SIDE` pixels."""

    number: int
    seconds: float
    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """A clip: its name below its folder, where it lies, and what is known of its licence."""

    name: str
    path: Path
    credit: Credit = field(default_factory=Credit)

    def provenance(self) -> dict[str, Any]:
        """What a triplet keeps of it. The checksum is read here: hours of clips are not read by every process that starts."""
        return {"file": self.name, "sha256": digest_file(self.path), **asdict(self.credit)}


def list_clips(folders: Sequence[Path]) -> list[Clip]:
    """The clips in some folders, in an order that does not depend on the file system.

    Raises:
        UsageError: a folder is missing, none holds a clip, or a clip's name is not UTF-8.
    """
    credits = Credits(folders)
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"The folder {folder} does not exist; give an existing folder of clips.")
        for path in sorted(path for path in walk(folder) if path.suffix.lower() in ENDINGS):
            name = path.relative_to(folder).as_posix()
            check_name(name, f"The clip {str(path)!r}")
            found.append(Clip(name, path, credits.find(path)))
    if not found:
        raise UsageError(f"There is no clip in {', '.join(map(str, folders))}; clips end in {', '.join(ENDINGS)}.")
    return found


def read_samples(path: Path) -> Iterator[Sample]:
    """Some frames of a clip, about `RATE` a second, one after the other.

    Raises:
        ImageError: it cannot be decoded.
    """
    capture = _open(path)
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        step = max(1, round((rate if 1 <= rate <= 1000 else 25) / RATE))
        number, taken, due, last = 0, 0, 0, 0.0
        while taken < LONGEST and capture.grab():
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if number >= due or seconds > last + _LATE:
                taken, due, last = taken + 1, number + step, seconds
                done, frame = capture.retrieve()
                if done and frame is not None:
                    pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8)
                    yield Sample(number, round(seconds, 3), shrink(pixels, SIDE))
            number += 1
    finally:
        capture.release()


def read_frames(path: Path, numbers: Sequence[int]) -> list[Pixels]:
    """Frames of a clip by their numbers, at full size: uint8 [H, W, 3] each; decoded in order, since seeking is not exact.

    Raises:
        ImageError: it cannot be decoded, or ends before.
    """
    capture, found = _open(path), {}
    try:
        for number in range(max(numbers) + 1):
            if not capture.grab():
                break
            if number in numbers:
                done, frame = capture.retrieve()
                if done and frame is not None:
                    found[number] = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB).astype(np.uint8)
    finally:
        capture.release()
    if missing := set(numbers) - set(found):
        raise ImageError(f"{path} has no frame {min(missing)}; give the clip as it was.")
    return [found[number] for number in numbers]


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise ImageError(f"{path} is no clip that can be decoded; leave it out, or convert it to MP4.")
    return capture
