"""How far a long task is, on stderr: a line that moves in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, int, str], None]
"""Told what is done, of how many, and a remark."""

EVERY = 30.0
"""Seconds between two lines of a log."""


@contextmanager
def progress_line(what: str) -> Iterator[Tell]:
    """Yields what is to be told of the task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    # the stream itself, because a library that the task uses may put another one in sys.stderr's place for a while
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield _log(what)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total, remark: bar.update(task, completed=done, total=total, description=f"{what}: {remark}")


@contextmanager
def edits_line(count: int) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """A line on stderr for `count` edits, where that is a terminal; yields what is told of the work, and of the steps of each."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        finished = 0

        def say(text: str) -> None:
            progress.update(task, description=text, refresh=True)  # at once: while a picture is decoded the stream is turned off

        def advance(done: int, total: int) -> None:
            nonlocal finished
            progress.update(task, total=total * count, completed=finished * total + done)
            finished += done == total

        yield say, advance


def _log(what: str) -> Tell:
    stream, said = sys.stderr, time.monotonic()

    def tell(done: int, total: int, remark: str) -> None:
        nonlocal said
        if time.monotonic() - said >= EVERY:
            said = time.monotonic()
            print(f"{what}: {remark} {done}/{total}", file=stream, flush=True)

    return tell
