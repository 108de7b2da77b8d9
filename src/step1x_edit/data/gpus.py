"""Which GPUs the workers of a machine see: CUDA is told by the environment alone, and before anything asks for a GPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_DEVICES = Path("/dev")
"""Where Linux has a file for each, nvidia0 and so on; asking PyTorch would make every worker load it."""


def list_gpus() -> list[str]:
    """The GPUs that this process may use, as the environment names them."""
    given = os.environ.get(_VISIBLE)
    if given is not None:
        return [name for name in given.split(",") if name]
    return [str(index) for index, _ in enumerate(_DEVICES.glob("nvidia[0-9]*"))]


def take_gpu(gpus: Sequence[str], number: int) -> None:
    """Let this process see one of several GPUs: that of its number, from the first again after the last."""
    if len(gpus) > 1:
        os.environ[_VISIBLE] = gpus[number % len(gpus)]
