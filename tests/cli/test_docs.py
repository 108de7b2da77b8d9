"""docs/cli.md is what `make docs` writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_of_the_command_is_up_to_date(tmp_path: Path) -> None:
    typer = Path(sys.executable).with_name("typer")
    written = tmp_path / "cli.md"
    options = ["--name", "step1x", "--title", "The command step1x", "--output", str(written)]
    subprocess.run([typer, "step1x_edit.cli.main", "utils", "docs", *options], check=True, capture_output=True, timeout=200)
    assert written.read_text() == PAGE.read_text(), "the command has changed: run make docs"
