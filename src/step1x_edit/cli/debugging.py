"""The option --debug, which every verb may take: it keeps the traceback of an error that is otherwise one line."""

from __future__ import annotations

from typing import Annotated

import typer

_chosen = {"debug": False}


def wanted() -> bool:
    """Whether the user asked for tracebacks."""
    return _chosen["debug"]


def _choose(value: bool) -> None:
    _chosen["debug"] |= value


Debug = Annotated[
    bool,
    typer.Option("--debug", envvar="STEP1X_DEBUG", callback=_choose, is_eager=True, help="Show the traceback of an error."),
]
