"""The installed command in a process of its own, and file systems on which writing fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

STEP1X = Path(sys.executable).with_name("step1x")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def step1x() -> Run:
    """Run `step1x` with arguments, as a user would."""
    if not STEP1X.exists():
        pytest.fail(f"{STEP1X} is missing: install the package first")

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}  # type: ignore[dict-item]
        return subprocess.run([STEP1X, *arguments], capture_output=True, text=True, timeout=240, env=environment, **options)  # type: ignore[call-overload]

    return run


@pytest.fixture
def photo(tmp_path: Path, scene: Image.Image) -> Path:
    """A picture in a folder of its own."""
    path = tmp_path / "photo.png"
    scene.save(path)
    return path


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 16 KiB."""
    yield from _mount(tmp_path / "full", "size=16k")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to."""
    if os.geteuid() == 0:
        yield from _mount(tmp_path / "read_only", "ro,size=16k")  # root may write to any folder whose disk lets it
    else:
        folder = tmp_path / "read_only"
        folder.mkdir(mode=0o555)
        yield folder


def _mount(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs more rights than this user has")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
