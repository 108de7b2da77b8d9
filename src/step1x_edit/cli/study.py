"""`step1x study`: a blind user study, from the question how many people it takes to its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step1x_edit.cli.debugging import Debug

if TYPE_CHECKING:
    from step1x_edit.study.opening import OpenStudy

app = typer.Typer(help="Ask people, blindly, which system's edits they prefer.", no_args_is_help=True)

Database = Annotated[str, typer.Option("--db", help="SQLite file, or the URL of a PostgreSQL database.")]


class Subset(StrEnum):
    """Which cases are shown."""

    FULL = "full"
    INTERSECTION = "intersection"


class TableFormat(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    PARQUET = "parquet"


@app.callback()
def study() -> None:
    """Ask people, blindly, which system's edits they prefer."""


@app.command()
def serve(
    results: Annotated[list[Path], typer.Argument(help="Result folders, one a system: SYSTEM/fullset/TASK/LANGUAGE/KEY.png.")],
    db: Database = "study.db",
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8100,
    cases: Annotated[Path | None, typer.Option("--cases", help="Instructions: Parquet, CSV or JSON Lines.")] = None,
    subset: Annotated[Subset, typer.Option("--subset", help="All cases, or only those that every system answered.")] = Subset.FULL,
    systems: Annotated[int, typer.Option("--systems", help="Results to compare at once, 2 to 6.")] = 4,
    people_per_case: Annotated[int, typer.Option("--people-per-case", help="Votes wanted for every case.")] = 5,
    cases_per_person: Annotated[int, typer.Option("--cases-per-person", help="Comparisons that count, per person.")] = 20,
    checks: Annotated[int, typer.Option("--checks", help="Attention checks per person.")] = 2,
    repeats: Annotated[int, typer.Option("--repeats", help="Cases per person that are shown a second time.")] = 2,
    title: Annotated[str, typer.Option("--title", help="Shown on every page.")] = "Which edit is better?",
    contact: Annotated[str, typer.Option("--contact", help="Whom people may write to; shown on the consent page.")] = "",
    public_url: Annotated[str | None, typer.Option("--public-url", help="Address that people see, behind a proxy: https://HOST.")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="Folder for the pictures as they are served; beside the database.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Fix the assignment, for rehearsals.")] = None,
    debug: Debug = False,
) -> None:
    """Serve the study's pages. Stop it with Ctrl-C and start it again the same way: it goes on where it was."""
    from urllib.parse import urlsplit

    from step1x_edit.errors import UsageError
    from step1x_edit.study.assignment import Design
    from step1x_edit.study.opening import open_study
    from step1x_edit.study.results import read_results
    from step1x_edit.study.serving import serve as run

    if public_url is not None and (urlsplit(public_url).scheme not in ("http", "https") or urlsplit(public_url).path not in ("", "/")):
        raise UsageError(f"The public address {public_url} is not of the form https://HOST; leave out what follows the host.")
    collection = read_results(results, cases)
    if subset is Subset.INTERSECTION:
        collection = collection.intersection()
    for reason, count in Counter(collection.left_out.values()).items():
        typer.echo(f"{count} cases are left out: {reason}.")
    design = Design(min(systems, len(collection.systems)), people_per_case, cases_per_person, checks, repeats)
    folder = cache or Path(f"{db if '://' not in db else 'study'}.pictures")
    opened = open_study(db, collection, design, title, contact, folder, _progress)
    _tell(opened, len(collection.systems), len(collection.cases))
    try:
        run(opened, host, port, public_url and public_url.rstrip("/"), seed, lambda url: typer.echo(f"People can take part at {url}"))
    except KeyboardInterrupt:
        typer.echo("Stopped. Every vote that was acknowledged is kept; start again the same way to go on.")


def _tell(opened: OpenStudy, systems: int, cases: int) -> None:
    people = -(-cases * opened.design.people_per_case // opened.design.cases_per_person)
    typer.echo(
        f"{systems} systems, {cases} cases, {opened.design.people_per_case} people each: about {people} people "
        f"with {opened.design.screens} comparisons each."
    )


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{what} pictures", total=total)
        yield lambda: bar.advance(task)
