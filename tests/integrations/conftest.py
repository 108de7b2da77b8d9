"""An editor with random weights, whose results depend on everything it is given."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from step1x_edit import Editor

sys.path.insert(0, str(Path(__file__).parent))  # for `comfyui_protocol`


@pytest.fixture(scope="session")
def editor(random_mini: Path) -> Editor:
    return Editor.open("mini", device="cpu", dtype="float32", folder=random_mini)
