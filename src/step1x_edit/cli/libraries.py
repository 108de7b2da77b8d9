"""What the libraries are told before they are loaded."""

from __future__ import annotations

import os


def prepare_libraries() -> None:
    """No progress bars but ours; and threads that wait asleep, which on a busy machine halves the time."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
