"""docs/cli.md is what `make docs` writes, and the pages say how the package is installed from a clone, which is the only way."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cli.md"


def test_the_page_of_the_command_is_up_to_date(tmp_path: Path) -> None:
    typer = Path(sys.executable).with_name("typer")
    written = tmp_path / "cli.md"
    options = ["--name", "step1x", "--title", "The command step1x", "--output", str(written)]
    subprocess.run([typer, "step1x_edit.cli.main", "utils", "docs", *options], check=True, capture_output=True, timeout=200)
    assert written.read_text() == PAGE.read_text(), "the command has changed: run make docs"


def test_the_pages_install_from_the_clone_and_name_extras_that_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    named: set[str] = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text("utf-8")
        assert not re.search(r"pip install ['\"]?step1x-edit", text), f"{page.name}: the package is on no index"
        for names in re.findall(r"pip install ['\"]?\.\[([^]]+)\]", text):
            named |= set(names.split(","))
    assert named
    assert named <= extras
