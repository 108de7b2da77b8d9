"""The person's browser, where there is a screen for one."""

from __future__ import annotations

import os
import sys

import typer


def open_page(target: str) -> None:
    """Open an address or a file in the browser; on a machine without a screen, nothing is opened, and nothing complained of."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    typer.launch(target)
