"""The pictures of a question, as the judge sees them.

A result is shown as published: in plain RGB, at the size of the source that it is compared with, however large its system made it. One that
is so already goes out as the file that it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from step1x_edit.image_io import read_image
from step1x_edit.image_modes import flatten

_SERVED = (b"\x89PNG", b"\xff\xd8", b"RIFF")
"""How files of PNG, JPEG and WebP begin, which every service takes."""


@dataclass(frozen=True)
class Shown:
    """A picture's file, and the width and height that it is brought to; None leaves it as it is."""

    path: Path
    size: tuple[int, int] | None = None

    def read(self) -> bytes:
        """The bytes of a picture file of a kind that services take; raises ImageError where it is no whole picture."""
        picture, data = read_image(self.path).image, BytesIO()
        if self.size is None and (content := self.path.read_bytes()).startswith(_SERVED):
            return content
        picture = flatten(picture)
        picture.resize(self.size or picture.size, Image.Resampling.BICUBIC).save(data, "PNG", compress_level=4)
        return data.getvalue()


def show_result(result: Path, source: Path) -> Shown:
    """A result beside the source that it is compared with. What cannot be read is found out when it is asked about."""
    try:
        with Image.open(result) as edited, Image.open(source) as before:
            return Shown(result, None if (edited.size, edited.mode) == (before.size, "RGB") else before.size)
    except (OSError, Image.DecompressionBombError):
        return Shown(result)
