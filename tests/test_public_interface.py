"""The package's public names, and that they cost nothing before they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import step1x_edit

HEAVY = ["torch", "transformers", "numpy", "cv2", "skimage", "fastapi", "sqlmodel", "pandas"]


def loaded_after(code: str) -> set[str]:
    """Which of the heavy libraries a fresh Python has loaded after `code`."""
    report = f"{code}\nimport sys\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    return set(subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True).stdout.split())


def test_public_names() -> None:
    assert step1x_edit.__all__ == ["EditCategory", "EditRequest", "EditResult", "Editor"]
    for name in step1x_edit.__all__:
        thing = getattr(step1x_edit, name)
        assert thing.__name__ == name
        assert thing is getattr(import_module(thing.__module__), name)
        assert name in dir(step1x_edit)
    with pytest.raises(AttributeError, match="no attribute 'Edit'"):
        _ = step1x_edit.Edit


@pytest.mark.parametrize(
    "code",
    [
        "import step1x_edit",
        "from step1x_edit import EditCategory, EditRequest, EditResult",
        "import step1x_edit.cli.main",
    ],
)
def test_light_imports(code: str) -> None:
    assert loaded_after(code) == set()


def test_the_editor_is_loaded_on_use() -> None:
    assert "torch" in loaded_after("from step1x_edit import Editor")
