"""Standard output that refuses what is written to it, and a standard error stream that is closed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator

from step1x_edit.errors import Step1XError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a disk says that takes nothing any more."""

_ERRORS = 2
"""Number of the error stream."""


@contextlib.contextmanager
def writing_output() -> Iterator[None]:
    """While something is written to standard output, all of which has gone there afterwards.

    Raises:
        BrokenPipeError: whoever read it has gone.
        Step1XError: it refuses for another reason, such as a full disk.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        leave_output()
        raise Step1XError(f"Standard output could not be written ({error.strerror or error}).") from error


def leave_output() -> None:
    """Let what is left in the buffer of standard output go nowhere: Python would try it again at its end, and complain."""
    with contextlib.suppress(io.UnsupportedOperation):  # no file stands behind it
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def replace_closed_errors() -> None:
    """Where the error stream is closed, let what is said there go nowhere: it would stop the work, or go into another file."""
    if sys.stderr is None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        while nowhere < _ERRORS:  # the first number that is free; it is to be the stream's own, which libraries write to
            nowhere = os.open(os.devnull, os.O_WRONLY)
        sys.stderr = os.fdopen(nowhere, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
