"""Which device, and which floating-point type, to compute with."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

from step1x_edit.errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells them, in its second and first version of control groups."""


def choose_device(name: str | None = None) -> torch.device:
    """The device of that name; None takes an NVIDIA or AMD GPU (cuda), else Apple's (mps), else the CPU.

    Raises:
        UsageError: there is no device of that name here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"There is no kind of device {name!r}; choose cpu, cuda, cuda:N or mps.") from error
    present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 0)
    if (device.index or 0) >= present:
        raise UsageError(f"This machine has no device {name}; leave the device out to take the best that is here.")
    return device


def choose_devices(names: str | None = None) -> list[torch.device]:
    """One device, or several that work together, with commas between them, as in cuda:0,cuda:1; None takes the best one there is.

    Raises:
        UsageError: there is none of such a name here, one GPU is named twice, or they are of several kinds.
    """
    devices = [choose_device(name.strip()) for name in names.split(",")] if names else [choose_device()]
    if len({device.type for device in devices}) > 1:
        raise UsageError(f"Devices that work together must be of one kind, which {names} are not.")
    if devices[0].type != "cpu" and len({device.index or 0 for device in devices}) < len(devices):
        raise UsageError(f"Of {names}, one device is named twice; name each once.")
    return devices


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The type of that name; None takes bfloat16 on GPUs and on CPUs that compute with it, else float32.

    Raises:
        UsageError: no such type, or float16 on a CPU, where it is slow and overflows.
    """
    if name is None:
        return torch.bfloat16 if device.type != "cpu" or _cpu_has_bfloat16() else torch.float32
    if name not in DTYPES:
        raise UsageError(f"There is no dtype {name!r}; choose one of {', '.join(DTYPES)}.")
    if name == "float16" and device.type == "cpu":
        raise UsageError("float16 is not for CPUs; choose float32 or bfloat16.")
    return DTYPES[name]


def device_memory(device: torch.device) -> float | None:
    """Bytes that are free on a GPU with a memory of its own; None for devices that use main memory."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def main_memory() -> float:
    """Bytes of main memory that this process may use: the machine's, or a container's if that is less; infinite where neither is told."""
    sizes = [math.inf]
    if hasattr(os, "sysconf"):  # not on Windows
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _CONTAINER_LIMITS:
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            sizes.append(int(text))
    return min(sizes)


def _cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices in hardware; emulated, it is several times slower than float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
