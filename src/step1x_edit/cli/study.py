"""`step1x study`: a blind user study, from the question how many people it takes to its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from step1x_edit.cli.debugging import Debug

if TYPE_CHECKING:
    from step1x_edit.study.ballots import Record

app = typer.Typer(help="Ask people, blindly, which system's edits they prefer.", no_args_is_help=True)

Database = Annotated[str, typer.Option("--db", help="SQLite file, or the URL of a PostgreSQL database.")]
AllowedFailures = Annotated[int, typer.Option("--allowed-failures", min=0, help="Attention checks that a person may fail.")]


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
    subset: Annotated[
        Literal["full", "intersection"], typer.Option("--subset", help="All cases, or only those that every system answered.")
    ] = "full",
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
    from step1x_edit.study.assignment import Design
    from step1x_edit.study.opening import open_study
    from step1x_edit.study.protection import read_public_url
    from step1x_edit.study.results import read_results
    from step1x_edit.study.serving import serve as run

    address = None if public_url is None else read_public_url(public_url)
    collection = read_results(results, cases)
    if subset == "intersection":
        collection = collection.intersection()
    for reason, count in Counter(collection.left_out.values()).items():
        typer.echo(f"{count} cases are left out: {reason}.")
    design = Design(min(systems, len(collection.systems)), people_per_case, cases_per_person, checks, repeats)
    folder = cache or Path(f"{db if '://' not in db else 'study'}.pictures")
    opened = open_study(db, collection, design, title, contact, folder, _progress)
    people = -(-len(collection.cases) * people_per_case // cases_per_person)
    typer.echo(
        f"{len(collection.systems)} systems, {len(collection.cases)} cases, {people_per_case} people each: about {people} people "
        f"with {design.screens} comparisons each."
    )
    try:
        run(opened, host, port, address, seed, lambda url: typer.echo(f"People can take part at {url}"))
    except KeyboardInterrupt:
        typer.echo("Stopped. Every vote that was acknowledged is kept; start again the same way to go on.")


@app.command()
def report(
    db: Database = "study.db",
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("study.html"),
    allowed_failures: AllowedFailures = 0,
    resamples: Annotated[int, typer.Option("--resamples", help="Bootstrap samples behind the intervals.")] = 2000,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap.")] = 0,
    debug: Debug = False,
) -> None:
    """Write what people said as one HTML file: means, order, agreement, and how certain it all is. Works while the study runs."""
    from step1x_edit.study.analysis import find_all
    from step1x_edit.study.report import format_interval, write_report

    record = _read(db)
    findings = find_all(record, allowed_failures, resamples, seed)
    write_report(record, findings, out)
    result = findings.attentive
    for number, estimate in zip(result.systems, result.means["overall"].full, strict=True):
        typer.echo(f"{record.systems[number]}: {format_interval(estimate)}")
    typer.echo(f"{out}: {result.votes} comparisons by {result.people} people; {findings.conduct.inattentive} left out.")


@app.command()
def export(
    db: Database = "study.db",
    out: Annotated[Path, typer.Option("--out", help="Table to write, .csv or .parquet.")] = Path("study.csv"),
    allowed_failures: AllowedFailures = 0,
    debug: Debug = False,
) -> None:
    """Write every single answer as a table, with nothing that identifies a person. Works while the study runs."""
    from step1x_edit.study.export import export as write

    rows = write(_read(db), out, allowed_failures)
    typer.echo(f"{out}: {rows} rows.")


@app.command()
def plan(
    difference: Annotated[float, typer.Option("--difference", help="Of two systems' means, in points of the scale 2 to 10.")] = 0.5,
    candidates: Annotated[int, typer.Option("--candidates", help="Systems in the study.")] = 4,
    systems: Annotated[int | None, typer.Option("--systems", help="Results to compare at once, 2 to 6; all, up to 4.")] = None,
    cases_per_person: Annotated[int, typer.Option("--cases-per-person", help="Comparisons that count, per person.")] = 20,
    cases: Annotated[int | None, typer.Option("--cases", min=1, help="Cases in the study; gives the votes per case to ask for.")] = None,
    power: Annotated[float, typer.Option("--power", help="Chance of seeing the difference.")] = 0.8,
    error: Annotated[float, typer.Option("--error", help="Chance of seeing one where there is none.")] = 0.05,
    pilot: Annotated[str | None, typer.Option("--pilot", help="Database of an earlier study, to take the scatter from.")] = None,
    debug: Debug = False,
) -> None:
    """Say how many people it takes to see a difference between two systems, before the study starts."""
    from step1x_edit.study.planning import Spread, count_meetings, measure_spread, plan_people

    together = min(candidates, 4) if systems is None else systems
    meetings = count_meetings(cases_per_person, together, candidates)
    spread = measure_spread(_read(pilot).votes()) if pilot else Spread()
    found = plan_people(difference, meetings, spread, power, error)
    source = "as in the pilot" if pilot else "assumed; --pilot measures it"
    typer.echo(f"{found.people} people see a difference of {difference:g} points with a chance of {100 * found.power:.0f} % (simulated).")
    typer.echo(
        f"Each compares {together} of {candidates} systems on {cases_per_person} cases, so two given systems on {meetings:.3g}. "
        f"Two ratings differ by {spread.case:.2g} from case to case, and by {spread.person:.2g} between people ({source})."
    )
    if cases is not None:
        wanted = max(1, -(-found.people * cases_per_person // cases))
        typer.echo(
            f"With {cases} cases that is: step1x study serve RESULTS... --systems {together} --people-per-case {wanted} "
            f"--cases-per-person {cases_per_person}"
        )


def _read(database: str) -> Record:
    from step1x_edit.study.ballots import read_record
    from step1x_edit.study.store import name_of, open_engine

    engine = open_engine(database)
    try:
        return read_record(engine, name_of(engine))
    finally:
        engine.dispose()


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"{what} pictures", total=total)
        yield lambda: bar.advance(task)
