"""Read the pictures that a command names, or is given on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import ImageError, UsageError

if TYPE_CHECKING:
    from step1x_edit.image_modes import Picture

STREAM = Path("-")
"""Standard input where a picture is read, standard output where one is written."""

LONGEST_STREAM = 2**30
"""Bytes that are read from standard input at most."""


def read(path: Path) -> Picture:
    """See `image_io.read_image`.

    Raises:
        UsageError: standard input is a terminal, or closed.
        ImageError: it cannot be read as a picture.
    """
    from step1x_edit.image_io import read_image

    source = _read_stream() if path == STREAM else path
    with _quiet_decoders():
        return read_image(source, own=True)


def _read_stream() -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("There is no picture on standard input; pipe one in, or name a file.")
    data = sys.stdin.buffer.read(LONGEST_STREAM + 1)
    if len(data) > LONGEST_STREAM:
        raise ImageError("There is more than 1 GiB on standard input, which is not read; name the file instead.")
    return data


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
