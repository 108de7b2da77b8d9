"""The installed command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # what several tests of this folder share

from forking import run_forked

STEP1X = Path(sys.executable).with_name("step1x")

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def step1x() -> Run:
    """Run `step1x` with arguments, as a user would; with options of `subprocess.run` or variables of its own, it is started anew."""
    if not STEP1X.exists():
        pytest.fail(f"{STEP1X} is missing: install the package first")

    def run(*arguments: str | Path, cwd: Path | None = None, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if not options:
            return run_forked([str(each) for each in arguments], cwd or Path.cwd(), environment, 240)
        environment |= options.pop("env", {})  # type: ignore[call-overload]
        return subprocess.run([STEP1X, *arguments], capture_output=True, text=True, timeout=240, env=environment, cwd=cwd, **options)  # type: ignore[call-overload]

    return run


@pytest.fixture
def photo(tmp_path: Path, scene: Image.Image) -> Path:
    """A picture in a folder of its own."""
    path = tmp_path / "photo.png"
    scene.save(path)
    return path
