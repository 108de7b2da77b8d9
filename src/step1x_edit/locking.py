"""One at a time: a lock on a file, which the system gives back when its holder ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from step1x_edit.errors import UsageError


@contextmanager
def hold(path: Path, busy: str, seconds: float = 0) -> Iterator[None]:
    """Hold the lock on `path`, which is made and may stay.

    Args:
        path: of the lock, in a folder that is made where it is missing.
        busy: the sentence for whoever comes second.
        seconds: to wait for a holder that is about to end: children that it forked hold the lock until they notice.

    Raises:
        UsageError: another process holds it, or the file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=seconds)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UsageError(busy) from error
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be written to ({error.strerror}); choose another folder.") from error
    try:
        yield
    finally:
        lock.release()
