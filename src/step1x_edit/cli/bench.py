"""`step1x bench`: run editing systems on a benchmark, have the results judged, and compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from step1x_edit.cli.debugging import Debug

app = typer.Typer(help="Measure editing systems.", no_args_is_help=True)


class Language(StrEnum):
    """Language of the instructions."""

    EN = "en"
    CN = "cn"
    ALL = "all"


class SubsetName(StrEnum):
    """Which cases count."""

    FULL = "full"
    INTERSECTION = "intersection"


class MetricName(StrEnum):
    """Which figure."""

    SC = "sc"
    PQ = "pq"
    O = "o"  # noqa: E741


Folders = Annotated[list[Path], typer.Argument(help="Folders with results or score tables.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def bench() -> None:
    """Measure editing systems."""


@app.command()
def score(
    folders: Folders,
    judge: Annotated[str | None, typer.Option("--judge", help="Only the tables in folders of this name.")] = None,
    common: Annotated[bool, typer.Option("--common", help="Intersection: what all of these systems answered.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute the published averages of score tables: SC, PQ and O by task, language and subset."""
    from step1x_edit.bench.summary import read_scores, summarise

    summary = summarise(read_scores(folders, judge), common)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))
    else:
        _print_summary(summary)


@app.command()
def compare(
    folders: Folders,
    judge: Annotated[str | None, typer.Option("--judge", help="Only the tables in folders of this name.")] = None,
    metric: Annotated[MetricName, typer.Option("--metric", help="The figure to compare.")] = MetricName.O,
    language: Annotated[Language, typer.Option("--language", help="Language of the instructions.")] = Language.ALL,
    subset: Annotated[SubsetName, typer.Option("--subset", help="All cases, or those that all systems answered.")] = SubsetName.FULL,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Test every pair of systems on the cases that both have a judgement of."""
    from step1x_edit.bench.summary import compare_systems, read_scores

    rows = compare_systems(read_scores(folders, judge), metric.value, language.value, subset.value)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _print_pairs(rows)


def _print_summary(summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from step1x_edit.bench.summary import beside

    console = Console()
    for view in sorted({name for system in summary["systems"].values() for name in system["views"]}):
        language, subset = view.split("/")
        table = Table("system", "SC", "PQ", "O", "95 %", "cases", "missing", "tasks", title=f"language {language}, {subset}")
        for name, system in summary["systems"].items():
            if found := system["views"].get(view):
                table.add_row(name, *(_figure(found[m]) for m in ("sc", "pq", "o")), _range(found["interval"]["o"]), *_counts(found))
        console.print(table)
        if rows := beside(language, subset):
            printed = Table("published", "SC", "PQ", "O", "judge")
            for row in rows:
                printed.add_row(row["system"], *(_figure(row[m]) for m in ("sc", "pq", "o")), row["judge"])
            console.print(printed)
    for name, system in summary["systems"].items():
        for reason, count in system["missing"].items():
            console.print(f"{name}: {count} cases are missing: {reason}.", highlight=False)


def _print_pairs(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "first", "second", "difference", "95 %", "p", "wins", "ties", "losses", caption="p: sign flips by question, Holm-corrected"
    )
    for row in rows:
        counts = (str(row[key]) for key in ("wins", "ties", "losses"))
        table.add_row(
            row["first"], row["second"], _figure(row["difference"]), _range([row["low"], row["high"]]), _figure(row["p"]), *counts
        )
    Console().print(table)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(values: list[float | None]) -> str:
    return f"{_figure(values[0])} to {_figure(values[1])}"


def _counts(view: Mapping[str, Any]) -> tuple[str, str, str]:
    tasks = sum(1 for means in view["tasks"].values() if means["cases"])
    return str(view["cases"]), str(view["missing"]), f"{tasks} of {tasks + len(view['absent_tasks'])}"
