"""`step1x data`: build sets of edit triplets, look at them, and carry them into other formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.progress import progress_line

app = typer.Typer(help="Make, inspect and convert sets of edit triplets.", no_args_is_help=True)

Set = Annotated[Path, typer.Argument(help="Folder of a set.", metavar="DIR")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes, or tasks at once on a cluster.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Fixes every choice.")] = None,
    executor: Annotated[str | None, typer.Option("--executor", help="local, slurm or ray.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Build a set from a recipe. Neither the number of workers nor a kill changes it: the same command goes on where it stopped."""
    from step1x_edit.data.building import build as run
    from step1x_edit.data.recipe import read_recipe

    changes: dict[str, Any] = {
        "count": count,
        "seed": seed,
        "photos": [str(folder) for folder in photos] if photos else None,
        "cutouts": [str(folder) for folder in cutouts] if cutouts else None,
        "executor.workers": workers,
        "executor.kind": executor,
    }
    values = read_recipe(recipe, changes)
    with progress_line("data") as tell:
        facts = run(values, out, lambda what, done, total: tell(done, total, what))
    if as_json:
        typer.echo(json.dumps(facts, ensure_ascii=False))
        return
    drawn, skipped = sum(facts["drawn"].values()), sum(facts["photographs"]["skipped"].values())
    typer.echo(f"{facts['count']} triplets of {drawn} candidates in {len(facts['shards'])} shards; the set is in {out}.")
    if skipped:
        typer.echo(f"{skipped} of {skipped + facts['photographs']['taken']} photographs were left out: step1x data report {out}")


@app.command()
def inspect(folder: Set, as_json: Json = False, debug: Debug = False) -> None:
    """Print what a set holds."""
    from step1x_edit.data.report import describe_set, inspect_set

    facts = inspect_set(folder)
    typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else describe_set(facts))
