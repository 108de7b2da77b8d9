"""`step1x models`: what the models are made of, and whether they are what they claim to be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli.debugging import Debug

app = typer.Typer(help="Check models against the published implementations.", no_args_is_help=True)


@app.callback()
def models() -> None:
    """Check models against the published implementations."""


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Reference tensors: small weights, inputs, and what they must give.")],
    tolerance: Annotated[float, typer.Option("--tolerance", min=0, help="Largest difference, in standard deviations.")] = 2e-4,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, cuda:N or mps.")] = "cpu",
    debug: Debug = False,
) -> None:
    """Compute every tensor of a reference folder and print how far it is from the reference; exit code 1 where one is too far."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from step1x_edit.devices import choose_device
    from step1x_edit.verification import verify as run

    torch.set_num_threads(1)  # the tensors are small: on a busy machine more threads wait for each other most of the time
    agreements = list(run(folder, choose_device(device)))
    table = Table("tensor", "difference", "", caption="largest difference, in standard deviations of the reference")
    for each in agreements:
        table.add_row(each.name, f"{each.difference:.1e}", "agrees" if each.within(tolerance) else "DIFFERS")
    Console().print(table)
    apart = [each.name for each in agreements if not each.within(tolerance)]
    typer.echo(f"{len(agreements) - len(apart)} of {len(agreements)} tensors agree within {tolerance:g}.")
    if apart:
        raise typer.Exit(1)
