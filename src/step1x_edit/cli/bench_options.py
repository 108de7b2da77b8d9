"""What several verbs of `step1x bench` share: options and what they become, and how figures are printed."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from step1x_edit.cli.economy import NOTHING_SAID, Economy
from step1x_edit.cli.folders import need_weights
from step1x_edit.cli.libraries import loading
from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.editor import Editor

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", help="Passed on as it is: name=value; name=null leaves out what is sent otherwise; may be repeated."),
]
Url = Annotated[str | None, typer.Option("--url", help="Address of the service, where it is not the usual one.")]
Concurrency = Annotated[int | None, typer.Option("--concurrency", min=1, help="Calls under way at once.")]
Rate = Annotated[float | None, typer.Option("--rate", help="Calls begun in a minute, at most.")]
Attempts = Annotated[int, typer.Option("--attempts", min=1, help="How often a call is made before it counts as failed.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds without any of an answer after which a call is given up.")]
Budget = Annotated[float | None, typer.Option("--budget", min=0, help="Stop before this many dollars are exceeded, earlier runs included.")]
PriceIn = Annotated[float, typer.Option("--price-in", min=0, help="Dollars for a million tokens in.")]
PriceOut = Annotated[float, typer.Option("--price-out", min=0, help="Dollars for a million tokens out.")]
PricePicture = Annotated[float, typer.Option("--price-picture", min=0, help="Dollars for a picture.")]

KEYS = {
    "openai": "OPENAI_API_KEY",
    "endpoint": "STEP1X_BENCH_KEY",
    "gemini": "GEMINI_API_KEY",
    "seededit": "ARK_API_KEY",
    "search": "STEP1X_SEARCH_KEY",
}
"""Where the key of a service is read from."""


def read_key(name: str) -> str | None:
    """The key of a system or judge, from the environment alone."""
    variable = KEYS.get(name.partition(":")[0])
    return os.environ.get(variable, "").strip() or None if variable else None


def read_options(given: Sequence[str] | None) -> dict[str, Any]:
    """name=value pairs; a value that is JSON is taken as such."""
    options: dict[str, Any] = {}
    for text in given or ():
        name, mark, value = text.partition("=")
        if not mark or not name:
            raise UsageError(f"The option {text!r} is not of the form name=value.")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def own_editor(
    weights: Path | None, device: str | None, way: Economy = NOTHING_SAID, adapters: Sequence[tuple[Path, float]] = ()
) -> Callable[[str], tuple[Editor, Mapping[str, Any]]]:
    """Opens our own editor when it is wanted, kept in memory in that way, with adapters."""

    def open_(model: str) -> tuple[Editor, Mapping[str, Any]]:
        folder = weights or need_weights(model)
        with loading():
            from step1x_edit.editor import WEIGHTS

            editor = way.open(model, device, None, folder)
        if adapters:
            editor.use_adapters(adapters)
        made_with = {name: value for name, value in editor.made_with.items() if name != "weights"}
        facts = {"weights": "embedded" if folder == WEIGHTS / model else str(folder), "fingerprint": editor.weights}
        return editor, {**facts, **made_with, "device": str(editor.device), "dtype": str(editor.dtype)}

    return open_


def show(value: float | None) -> str:
    """A figure; a dash where there is none."""
    return "-" if value is None else f"{value:.3f}"


def show_interval(values: Sequence[float | None]) -> str:
    """From the low one to the high one."""
    low, high = values
    return f"{show(low)} to {show(high)}"


COMMANDS = "commands.txt"


def note_command(folders: Iterable[Path]) -> None:
    """Keep this process's command line beside results, once; keys are never part of it, nor the password in an address."""
    from step1x_edit.bench.calls import hide_login

    command = shlex.join(["step1x", *map(hide_login, sys.argv[1:])])
    for folder in folders:
        path = folder / COMMANDS
        known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if command not in known:
            write = "\n".join([*known, command]) + "\n"
            path.write_text(write, encoding="utf-8")


def read_commands(folders: Iterable[Path]) -> list[str]:
    """The kept command lines, in order, each once."""
    places = [place for folder in folders for place in (folder / COMMANDS, folder.parent / COMMANDS) if place.exists()]
    return list(dict.fromkeys(line for place in places for line in place.read_text(encoding="utf-8").splitlines()))
