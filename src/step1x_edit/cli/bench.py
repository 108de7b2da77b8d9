"""`step1x bench`: run editing systems on a benchmark, have the results judged, and compare them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from step1x_edit.cli import bench_build
from step1x_edit.cli.bench_options import (
    Attempts,
    Budget,
    Concurrency,
    Json,
    Options,
    PriceIn,
    PriceOut,
    PricePicture,
    Rate,
    Timeout,
    Url,
    note_command,
    own_editor,
    read_commands,
    read_key,
    read_options,
    show,
    show_interval,
)
from step1x_edit.cli.bench_reference import mini, score_reference
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.economy import Economy, Offload, Split, Strips, Vram, WeightsDtype
from step1x_edit.cli.inputs import read_lora
from step1x_edit.cli.progress import progress_line
from step1x_edit.errors import UsageError

app = typer.Typer(help="Measure editing systems.", no_args_is_help=True)


class Language(StrEnum):
    """Language of the instructions."""

    EN = "en"
    CN = "cn"
    ALL = "all"


TITLE = "GEdit-Bench"
"""Of a report."""

Folders = Annotated[list[Path], typer.Argument(help="Folders with results or score tables.")]


@app.callback()
def bench() -> None:
    """Measure editing systems."""


@app.command()
def run(
    system: Annotated[
        str,
        typer.Argument(
            help="leave-as-is, step1x:MODEL, openai:MODEL, gemini:MODEL, seededit:MODEL, endpoint:MODEL, diffusers:MODEL, folder:PATH."
        ),
    ],
    cases: Annotated[str, typer.Option("--cases", help="hf:DATASET, a Parquet, CSV or JSON Lines file, or a folder of such.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of result folders; a run that is there is gone on with.")],
    name: Annotated[str | None, typer.Option("--name", help="Name of the result folder; the system's own by default.")] = None,
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only this task; may be repeated.")] = None,
    languages: Annotated[list[Language] | None, typer.Option("--language", help="Only this language; may be repeated.")] = None,
    per_task: Annotated[int | None, typer.Option("--per-task", min=1, help="Only the first questions of each task.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Every case's seed, with systems that take one.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Ask once more for what was refused.")] = False,
    weights: Annotated[Path | None, typer.Option("--weights", help="Folder of our own model's weights.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option("--lora", metavar="FILE[:WEIGHT]", help="Adapter of our own model; may be repeated.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="cpu, cuda, cuda:N or mps, for models in this process; of our own, several, as cuda:0,cuda:1, share the work."
        ),
    ] = None,
    vram: Vram = None,
    weights_dtype: WeightsDtype = None,
    offload: Offload = None,
    strips: Strips = False,
    split: Split = False,
    options: Options = None,
    url: Url = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    attempts: Attempts = 6,
    timeout: Timeout = 180.0,
    budget: Budget = None,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
    price_picture: PricePicture = 0.0,
    debug: Debug = False,
) -> None:
    """Edit every case with a system. The same command goes on where it stopped; a finished case is never asked again."""
    from step1x_edit.bench.calls import Limits, Prices
    from step1x_edit.bench.gedit import read_cases, select_cases
    from step1x_edit.bench.running import run_system
    from step1x_edit.bench.systems import Settings, open_system

    chosen = select_cases(read_cases(cases), tasks or (), [each.value for each in languages or ()], per_task)
    limits = Limits(concurrency, rate, attempts, timeout=timeout, budget=budget)
    settings = Settings(
        url=url,
        key=read_key(system),
        timeout=timeout,
        options=read_options(options),
        device=device,
        open_editor=own_editor(
            weights, device, Economy(vram, weights_dtype, offload, strips, split), [read_lora(each) for each in lora or ()]
        ),
    )
    opened = open_system(system, settings)
    folder = out / (name or opened.name)
    with progress_line(opened.name) as tell:
        state = run_system(
            opened,
            chosen,
            folder,
            limits=limits,
            prices=Prices(price_in, price_out, price_picture),
            seed=seed,
            again=again,
            progress=lambda s: tell(s.edited + s.refused, s.total, f"{s.refused} refused, {s.failed} failed, {s.spent:.2f} dollars"),
        )
    typer.echo(
        f"{state.edited} of {state.total} cases are edited, {state.refused} refused, {state.failed} failed; {state.spent:.4f} dollars."
    )
    note_command([folder])
    typer.echo(f"Results: {folder}")
    if state.failed:
        typer.echo("The failed ones are asked again by the same command.")
        raise typer.Exit(1)


@app.command()
def score(
    folders: Folders,
    judge: Annotated[
        str | None, typer.Option("--judge", help="Have results judged first: openai:MODEL, endpoint:MODEL, local:FOLDER, or reference.")
    ] = None,
    cases: Annotated[str | None, typer.Option("--cases", help="What was asked; needed to judge.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Only score tables in folders of this name.")] = None,
    common: Annotated[bool, typer.Option("--common", help="Intersection: what all of these systems answered.")] = False,
    prompts: Annotated[Path | None, typer.Option("--prompts", help="File of the published prompts, instead of our own rubric.")] = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, max=50, help="How often each question is asked.")] = 1,
    swap: Annotated[bool, typer.Option("--swap", help="Also ask with the pictures in the other order, to measure what it does.")] = False,
    options: Options = None,
    url: Url = None,
    concurrency: Concurrency = None,
    rate: Rate = None,
    attempts: Attempts = 6,
    timeout: Timeout = 180.0,
    budget: Budget = None,
    price_in: PriceIn = 0.0,
    price_out: PriceOut = 0.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Have results judged, where --judge says by whom, and compute the published averages: SC, PQ and O by task, language and subset."""
    from step1x_edit.bench.summary import read_scores, summarise

    if judge is not None:
        from step1x_edit.bench.calls import Limits, Prices
        from step1x_edit.bench.gedit import find_systems, read_cases
        from step1x_edit.bench.judges.rubric import OWN, read_published
        from step1x_edit.cli.bench_judges import judge_systems, open_judge

        limits = Limits(concurrency, rate, attempts, timeout=timeout, budget=budget)
        if cases is None:
            raise UsageError("To judge results it must be known what was asked; give --cases.")
        questions, systems = read_cases(cases), find_systems(folders)
        if judge == "reference":
            score_reference(questions, systems, as_json)
            return
        rubric = read_published(prompts) if prompts else OWN
        asked = open_judge(judge, url, timeout, read_options(options))
        judge_systems(asked, rubric, questions, systems, limits, Prices(price_in, price_out), repeats, swap)
        by = asked.name
        note_command(folders)
    summary = summarise(read_scores(folders, by), common)
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))
    else:
        _print_summary(summary)


@app.command()
def prompts(
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    url: Url = None,
    debug: Debug = False,
) -> None:
    """Fetch the published judging prompts, which belong to their authors and do not come with this package."""
    from step1x_edit.bench.judges.rubric import PUBLISHED_URL, fetch_published

    fetch_published(out, url or PUBLISHED_URL)
    typer.echo(f"The published prompts are in {out}; use them with step1x bench score --prompts {out}.")


@app.command()
def compare(
    folders: Folders,
    by: Annotated[str | None, typer.Option("--by", help="Only score tables in folders of this name.")] = None,
    metric: Annotated[Literal["sc", "pq", "o"], typer.Option("--metric", help="The figure to compare.")] = "o",
    language: Annotated[Language, typer.Option("--language", help="Language of the instructions.")] = Language.ALL,
    subset: Annotated[
        Literal["full", "intersection"], typer.Option("--subset", help="All cases, or those that all systems answered.")
    ] = "full",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Test every pair of systems that one judge judged, on the cases that both have a judgement of."""
    from step1x_edit.bench.summary import compare_systems, read_scores

    rows = compare_systems(read_scores(folders, by), metric, language.value, subset)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _print_pairs(rows)


@app.command()
def report(
    folders: Folders,
    out: Annotated[Path, typer.Option("--out", help="HTML file to write.")],
    by: Annotated[str | None, typer.Option("--by", help="Only score tables in folders of this name.")] = None,
    title: Annotated[str, typer.Option("--title", help="Heading of the page.")] = TITLE,
    debug: Debug = False,
) -> None:
    """Write one HTML file with figures, charts, pictures before and after, worst and missing cases, and the commands."""
    import shlex

    from step1x_edit.bench.gedit import FULL_SET, write_text
    from step1x_edit.bench.report import write_report
    from step1x_edit.bench.summary import find_folders, read_scores

    scores = read_scores(folders, by)
    places = {system: place for system, place in find_folders(folders, by).items() if (place / FULL_SET).is_dir()}
    command = ["step1x", "bench", "report", *map(str, folders), "--out", str(out), *(["--by", by] if by else [])]
    command += ["--title", title] if title != TITLE else []
    write_text(out, write_report(scores, places, [*read_commands(places.values()), shlex.join(command)], title))
    typer.echo(f"The report is in {out}.")


app.command()(mini)
app.add_typer(bench_build.app, name="build")


def _print_summary(summary: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from step1x_edit.bench.published import published

    console = Console(markup=False)  # names and reasons may hold brackets
    for view in sorted({name for system in summary["systems"].values() for name in system["views"]}):
        language, subset = view.split("/")
        table = Table(
            Column("system", overflow="fold"), "SC", "PQ", "O", "95 %", "cases", "missing", "tasks", title=f"language {language}, {subset}"
        )
        for name, system in summary["systems"].items():
            if found := system["views"].get(view):
                table.add_row(name, *(show(found[m]) for m in ("sc", "pq", "o")), show_interval(found["interval"]["o"]), *_counts(found))
        console.print(table)
        if rows := published(language, subset):
            printed = Table("published for GEdit-Bench itself", "SC", "PQ", "O", "judge")
            for row in rows:
                printed.add_row(row.system, *map(show, (row.sc, row.pq, row.o)), row.judge)
            console.print(printed)
    for name, system in summary["systems"].items():
        for reason, count in system["missing"].items():
            console.print(f"{name}: {count} cases are missing: {reason}.", highlight=False)


def _print_pairs(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(
        *(Column(name, overflow="fold") for name in ("first", "second")),
        *("difference", "95 %", "p", "wins", "ties", "losses"),
        caption="p: sign flips by question, Holm-corrected",
    )
    for row in rows:
        counts = (str(row[key]) for key in ("wins", "ties", "losses"))
        table.add_row(
            row["first"], row["second"], show(row["difference"]), show_interval([row["low"], row["high"]]), show(row["p"]), *counts
        )
    Console(markup=False).print(table)


def _counts(view: Mapping[str, Any]) -> tuple[str, str, str]:
    tasks = sum(1 for means in view["tasks"].values() if means["cases"])
    return str(view["cases"]), str(view["missing"]), f"{tasks} of {tasks + len(view['absent_tasks'])}"
