"""Read the pictures that a command names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from step1x_edit.image_modes import Picture


def read(path: Path) -> Picture:
    """See `image_io.read_image`."""
    from step1x_edit.image_io import read_image

    with _quiet_decoders():
        return read_image(path)


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """The TIFF library writes what it thinks of a damaged file straight to the error stream; we say it in one sentence of our own."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
