"""`step1x train`: train the autoencoder, the small MLLM or the editor from a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli.debugging import Debug


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file; recipes/ holds the ones behind the embedded model.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; a run that is there already is gone on with.")],
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value of the recipe: key=value; may be repeated.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, help="Stop after so long, with the state saved.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or cuda:N; the best there is by default.")] = None,
    debug: Debug = False,
) -> None:
    """Train from a recipe. Ctrl-C saves the state; the same command goes on where it stopped."""
    from step1x_edit.devices import choose_device
    from step1x_edit.training.recipe import read_recipe
    from step1x_edit.training.tasks import build_task
    from step1x_edit.training.trainer import train as run

    values = read_recipe(recipe, set_)
    place = choose_device(device)
    done = run(build_task(values, place, out), values, out, place, minutes * 60 if minutes is not None else None)
    typer.echo(f"{done} of {values.steps} steps done; the model is in {out}.")
