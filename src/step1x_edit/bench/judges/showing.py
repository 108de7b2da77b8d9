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


@dataclass(frozen=True)
class Shown:
    """A picture's file, and the width and height that it is brought to; None leaves it as it is."""

    path: Path
    size: tuple[int, int] | None = None

    def read(self) -> bytes:
        """The bytes of a picture file; raises ImageError where it has to be changed and is none."""
        if self.size is None:
            return self.path.read_bytes()
        picture, data = flatten(read_image(self.path).image), BytesIO()
        picture.resize(self.size, Image.Resampling.BICUBIC).save(data, "PNG", compress_level=4)
        return data.getvalue()


def show_result(result: Path, source: Path) -> Shown:
    """A result beside the source that it is compared with. What cannot be read is left to the judge to refuse."""
    try:
        with Image.open(result) as edited, Image.open(source) as before:
            return Shown(result, None if (edited.size, edited.mode) == (before.size, "RGB") else before.size)
    except (OSError, Image.DecompressionBombError):
        return Shown(result)
