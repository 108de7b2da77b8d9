"""The reference scorer for `step1x bench score --judge reference`, and the verb that makes gedit-mini."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from step1x_edit.cli.bench_options import show, show_interval
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.progress import progress_line

if TYPE_CHECKING:
    from step1x_edit.bench.gedit import BenchCase


def mini(
    out: Annotated[Path, typer.Argument(help="Folder to make it in.")],
    photos: Annotated[Path, typer.Option("--photos", help="Photographs.")] = Path("examples/photos"),
    cutouts: Annotated[Path, typer.Option("--cutouts", help="Cut-out subjects with names.json.")] = Path("examples/cutouts"),
    split: Annotated[Path, typer.Option("--split", help="Names that nothing was trained on.")] = Path("recipes/mini_heldout.toml"),
    per_task: Annotated[int, typer.Option("--per-task", min=1, help="Questions of each of the 11 tasks.")] = 10,
    size: Annotated[int, typer.Option("--size", min=32, max=2048, help="Side of the pictures in pixels.")] = 256,
    debug: Debug = False,
) -> None:
    """Make gedit-mini: 11 tasks in both languages whose true results are known, from pictures that nothing was trained on."""
    from step1x_edit.bench.mini import make_mini

    with progress_line("gedit-mini") as tell:
        count = make_mini(
            out, [photos], [cutouts], split, per_task=per_task, size=size, progress=lambda done, total: tell(done, total, "questions")
        )
    typer.echo(f"{count} questions in two languages are in {out}.")


def score_reference(cases: Sequence[BenchCase], systems: Mapping[str, Path], as_json: bool) -> None:
    """Score result folders by the true results, print the figures, and keep them beside the results."""
    from step1x_edit.bench.gedit import write_text
    from step1x_edit.bench.reference import open_reader, score_results, summarise_reference
    from step1x_edit.bench.summary import compare_values

    reader = open_reader() if any(case.facts.get("reads") for case in cases) else None
    scores = {}
    for system, folder in systems.items():
        with progress_line(f"reference on {system}") as tell:
            scores[system] = score_results(cases, folder, reader, lambda done, total, tell=tell: tell(done, total, ""))  # type: ignore[misc]
    summary: dict[str, Any] = {"systems": summarise_reference(scores)}
    for system, folder in systems.items():
        text = json.dumps(summary["systems"][system], ensure_ascii=False, indent=1)
        write_text(folder / "scores" / "reference" / "reference.json", text + "\n")
    if len(scores) > 1:
        summary["pairs"] = {
            figure: compare_values({system: each.values[figure] for system, each in scores.items()}) for figure in ("success", "ssim")
        }
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))
    else:
        _print(summary)


def _print(summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    console = Console(markup=False)  # names may hold brackets
    for language in ("en", "cn", "all"):
        headings = ("success", "95 %", "SSIM", "outside, dB", "text read", "cases", "missing")
        table = Table(Column("system", overflow="fold"), *headings, title=f"language {language}")
        for name, system in summary["systems"].items():
            view = system["views"].get(language, {})
            low, high = view["success"]["interval"] if "success" in view else (None, None)
            figures = [show(view.get(key, {}).get("value")) for key in ("ssim", "outside", "text")]
            cases = str(view["success"]["cases"]) if "success" in view else "0"
            missing = sum(1 for case in system["missing"] if language in ("all", case.split("/")[1]))
            table.add_row(name, show(view.get("success", {}).get("value")), show_interval((low, high)), *figures, cases, str(missing))
        console.print(table)
    for figure, rows in summary.get("pairs", {}).items():
        for row in rows:
            console.print(f"{figure}: {row['first']} less {row['second']} {show(row['difference'])}, p {show(row['p'])}.", highlight=False)
