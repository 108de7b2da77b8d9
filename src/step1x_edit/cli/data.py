"""`step1x data`: build sets of edit triplets, look at them, and carry them into other formats."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.progress import progress_line
from step1x_edit.cli.screen import open_page

app = typer.Typer(help="Make, inspect and convert sets of edit triplets.", no_args_is_help=True)

Set = Annotated[Path, typer.Argument(help="Folder of a set.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def read_key() -> str:
    """The key of a recipe's endpoints, from the environment alone, where the work runs."""
    return os.environ.get("STEP1X_DATA_KEY", "").strip()


@app.callback()
def data() -> None:
    """Make, inspect and convert sets of edit triplets."""


@app.command()
def build(
    recipe: Annotated[Path, typer.Argument(help="TOML file; recipes/data_small.toml is one to begin with.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the set; one that is there already is gone on with.")],
    count: Annotated[int | None, typer.Option("--count", min=1, help="Triplets to keep, instead of the recipe's number.")] = None,
    photos: Annotated[list[Path] | None, typer.Option("--photos", help="Folder of photographs; may be repeated.")] = None,
    cutouts: Annotated[list[Path] | None, typer.Option("--cutouts", help="Folder of cut-out subjects; may be repeated.")] = None,
    videos: Annotated[list[Path] | None, typer.Option("--videos", help="Folder of clips, for motion changes; may be repeated.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes, or tasks at once on a cluster.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Fixes every choice.")] = None,
    executor: Annotated[str | None, typer.Option("--executor", help="local, slurm or ray.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Build a set from a recipe. Neither the number of workers nor a kill changes it: the same command goes on where it stopped.

    Endpoints that a recipe names are sent the key in STEP1X_DATA_KEY.
    """
    from step1x_edit.data.building import build as run
    from step1x_edit.data.recipe import read_recipe

    changes: dict[str, Any] = {
        "count": count,
        "seed": seed,
        "photos": [str(folder) for folder in photos] if photos else None,
        "cutouts": [str(folder) for folder in cutouts] if cutouts else None,
        "videos": [str(folder) for folder in videos] if videos else None,
        "executor.workers": workers,
        "executor.kind": executor,
    }
    values = read_recipe(recipe, changes)
    with progress_line("data") as tell:
        facts = run(values, out, lambda what, done, total: tell(done, total, what), read_key)
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    drawn, skipped = sum(facts["drawn"].values()), sum(facts["photographs"]["skipped"].values())
    typer.echo(f"{facts['count']} triplets of {drawn} candidates in {len(facts['shards'])} shards; the set is in {out}.")
    if skipped:
        typer.echo(f"{skipped} of {skipped + facts['photographs']['taken']} photographs were left out: step1x data report {out}")


@app.command()
def mark(
    photos: Annotated[Path, typer.Argument(help="Folder of photographs.", metavar="PHOTOS")],
    matting: Annotated[
        str, typer.Option("--matting", help="grabcut, birefnet, isnet or vitmatte, and after a colon the model.")
    ] = "grabcut",
    detector: Annotated[
        str | None, typer.Option("--detector", help="florence2 or detr: names what the file's name does not.", show_default=False)
    ] = None,
    sheets: Annotated[Path | None, typer.Option("--sheets", help="Draw contact sheets of all that is marked into this folder.")] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that look at photographs, each with its own tools.")] = 1,
    again: Annotated[
        bool, typer.Option("--again", help="Look once more at photographs that were left out, or whose mask is gone.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Mark what photographs show, for edits of the thing itself: a mask beside each, and its name in the names.json there."""
    from collections import Counter

    from step1x_edit.data.marking import check_sheets, draw_sheets, mark_photographs
    from step1x_edit.data.tools.choice import ToolChoice
    from step1x_edit.data.tools.toolbox import Toolbox

    if sheets is not None:
        check_sheets(photos, sheets)
    choices = {"matting": matting, **({"detector": detector} if detector else {})}
    tools = Toolbox({role: ToolChoice.parse(choice) for role, choice in choices.items()})
    with progress_line("data") as tell:
        markings = mark_photographs(photos, tools, lambda what, done, total: tell(done, total, what), again, workers)
    drawn = draw_sheets(photos, sheets) if sheets is not None else []
    if as_json:
        rows = [{"photograph": str(one.photograph), "name": one.name, "reason": one.reason} for one in markings]
        typer.echo(json.dumps({"photographs": rows, "sheets": [str(path) for path in drawn]}, ensure_ascii=False))
        return
    reasons = Counter(one.reason for one in markings)
    marked = reasons.pop("", 0)
    advice = "; look at the masks, and remove those that are not right" if marked else ""
    typer.echo(f"{marked} of {len(markings)} photographs that were not looked at before have a mask now{advice}.")
    if not markings:
        typer.echo("What was looked at stays as it is; --again looks once more at what has no mask: remove those to be made anew.")
    for reason, count in reasons.most_common():
        typer.echo(f"Left out: {count}: {reason}.")
    for path in drawn:
        typer.echo(str(path))


@app.command()
def inspect(folder: Set, as_json: Json = False, debug: Debug = False) -> None:
    """Print what a set holds."""
    from step1x_edit.data.report import describe_set, inspect_set

    facts = inspect_set(folder)
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else describe_set(facts))


@app.command()
def report(
    folder: Set,
    page: Annotated[Path | None, typer.Option("--page", help="Where the page with examples goes; DIR/report.html by default.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print how many candidates survived each stage, and why the others did not; write a page with kept and rejected examples."""
    from step1x_edit.data.report import describe_report, report_survival, write_report

    facts = report_survival(folder)
    target = page or folder / "report.html"
    write_report(folder, target)
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else f"{describe_report(facts)}\n\nExamples: {target}")


@app.command()
def view(
    folder: Set,
    categories: Annotated[list[str] | None, typer.Option("--category", help="Only this category; may be repeated.")] = None,
    each: Annotated[int, typer.Option("--each", min=1, help="Kept triplets shown of each category.")] = 20,
    page: Annotated[Path | None, typer.Option("--page", help="Where the page goes; DIR/view.html by default.")] = None,
    sheets: Annotated[
        Path | None, typer.Option("--sheets", help="Draw a contact sheet of each category and route into this folder, too.")
    ] = None,
    opened: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
    debug: Debug = False,
) -> None:
    """Write a page with before, after, mask and both instructions, and open it."""
    from step1x_edit.data.report import write_view
    from step1x_edit.data.sheets import write_sheets

    target = page or folder / "view.html"
    shown = write_view(folder, target, each, categories or ())
    typer.echo(f"{shown} triplets, kept and rejected ones: {target}")
    if sheets is not None:
        for path in write_sheets(folder, sheets, each):
            typer.echo(str(path))
    if opened:
        open_page(str(target))


@app.command()
def remake(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of a triplet, kept or rejected, as view and report show it.")],
    folder: Annotated[Path, typer.Option("--set", help="Folder of its set.")] = Path("."),
    out: Annotated[Path | None, typer.Option("--out", help="Folder that its files are written into; only compared otherwise.")] = None,
    debug: Debug = False,
) -> None:
    """Make a triplet again from its id, and compare it with the one in the set."""
    from step1x_edit.data.remaking import remake as run
    from step1x_edit.data.remaking import write_files

    made = run(folder, name)
    for tool, then, now in made.versions:
        typer.echo(f"{tool} was {then} and is {now} now.")
    if made.differing:
        typer.echo(f"{name} differs from the one in the set: {', '.join(made.differing)}.")
    elif made.known:
        typer.echo(f"{name} is the same as in the set, to the last bit.")
    else:
        typer.echo(f"{name} is not in the set: {made.rejection}.")
    if out is not None:
        for path in write_files(made, out):
            typer.echo(str(path))
    if made.differing:
        raise typer.Exit(1)


@app.command("export")
def export_(
    folder: Set,
    out: Annotated[Path, typer.Option("--out", help="New folder.")],
    format_: Annotated[
        Literal["folder", "parquet", "finetune"], typer.Option("--format", help="finetune is the published fine-tuning's JSON.")
    ],
    debug: Debug = False,
) -> None:
    """Write a set as a plain folder, as Parquet for datasets.load_dataset, or as the published fine-tuning reads it."""
    from step1x_edit.data.formats import EXPORTS
    from step1x_edit.data.unfinished import check_free

    check_free(out)
    typer.echo(f"{EXPORTS[format_](folder, out)} triplets are in {out}.")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A plain folder, Parquet, or fine-tuning JSON.")],
    out: Annotated[Path, typer.Option("--out", help="New folder of the set.")],
    category: Annotated[str | None, typer.Option("--category", help="Of triplets whose source does not say.")] = None,
    debug: Debug = False,
) -> None:
    """Bring triplets in from another format, as a set of their own."""
    from step1x_edit.data.formats import import_set, open_foreign
    from step1x_edit.errors import UsageError
    from step1x_edit.types import EditCategory

    if category is not None and category not in list(EditCategory):
        raise UsageError(f"There is no category {category!r}; use one of {', '.join(EditCategory)}.")
    facts = import_set(open_foreign(source, EditCategory(category) if category else None), out)
    typer.echo(f"{facts['count']} triplets are in {out}.")
    for entry in facts["left_out"]:
        name = entry["id"] if entry["id"].isprintable() else ascii(entry["id"])  # others' ids may hold commands to a terminal
        typer.echo(f"Left out: {name}: {entry['reason']}.")
