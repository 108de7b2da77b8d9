"""Loading large libraries and models quickly."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """No search for garbage while libraries and weights are loaded, which make hundreds of thousands of objects and hardly any garbage.

    Nor are these objects looked through later, not even when the process ends; but whatever is loaded next looks for them first, since the
    model that was loaded before may be garbage by then.
    """
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
