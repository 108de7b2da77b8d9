"""The installed command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
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
