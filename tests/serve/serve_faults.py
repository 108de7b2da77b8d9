"""A content filter that refuses, and that breaks the model's process when it is told to, as a bad driver or too large a picture would."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from PIL.Image import Image


class Faults:
    """What is asked for in the instruction happens."""

    def __init__(self) -> None:
        self._limits = resource.getrlimit(resource.RLIMIT_AS)
        self._shy = False

    def check_request(self, instruction: str, negative: str, pictures: Sequence[Image]) -> str | None:
        """Refuse, die, hang, dawdle, or leave the process too little memory for a large picture."""
        resource.setrlimit(resource.RLIMIT_AS, self._limits)
        self._shy = "shy" in instruction
        if "die" in instruction:
            os.abort()
        if "hang" in instruction:
            time.sleep(3600)
        if "dawdle" in instruction:
            time.sleep(3)
        if "starve" in instruction:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 80_000_000, self._limits[1]))
        return "Blood is not drawn here." if "blood" in instruction else None

    def check_result(self, picture: Image) -> str | None:
        """Refuse what is wholly black, or was asked for shyly."""
        if self._shy:
            return "The result is shy."
        return "The result is black." if picture.getextrema() == ((0, 0), (0, 0), (0, 0)) else None
