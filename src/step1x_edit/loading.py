"""Loading large libraries and models quickly."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """No search for garbage while libraries and weights are loaded, which make hundreds of thousands of objects and hardly any garbage.

    Nor are these objects looked through ever again: neither by later searches, nor when the process ends.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
