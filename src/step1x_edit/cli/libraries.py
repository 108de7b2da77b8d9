"""What the libraries are told before they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from step1x_edit.loading import without_collecting


@contextmanager
def loading() -> Iterator[None]:
    """While models are loaded: no progress bars but ours; and threads that wait asleep, which on a busy machine halves the time."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded
    with without_collecting():
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        yield
