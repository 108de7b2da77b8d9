"""What a machine is taken to have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from step1x_edit import devices


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="not told by this system")
def test_a_container_has_less_main_memory_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    monkeypatch.setattr(devices, "_CONTAINER_LIMITS", limits)
    assert devices.main_memory() == machine
    limits[0].write_text("max\n")
    assert devices.main_memory() == machine
    limits[1].write_text(f"{2**63 - 4096}\n")  # how the first version says that there is none
    assert devices.main_memory() == machine
    limits[0].write_text(f"{2**30}\n")
    assert devices.main_memory() == 2**30
