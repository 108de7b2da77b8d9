"""Adapters as they are named on the command line."""

from __future__ import annotations

import math
from pathlib import Path

from step1x_edit.errors import UsageError


def read_lora(text: str) -> tuple[Path, float]:
    """FILE or FILE:WEIGHT; raises UsageError where the weight is no number."""
    name, _, weight = text.rpartition(":")
    if not name or Path(text).exists():
        return Path(text), 1.0
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"The weight of the adapter must be a number, as in {name}:0.8, not {weight!r}.")
    return Path(name), number
