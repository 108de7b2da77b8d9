"""`step1x models`: which models there are, fetching and converting them, and whether they are what they claim to be."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.folders import find_version, find_weights, models_folder
from step1x_edit.cli.plan import plan
from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.model.presets import Preset

app = typer.Typer(help="List, fetch, convert and check models.", no_args_is_help=True)


@app.callback()
def models() -> None:
    """List, fetch, convert and check models."""


app.command()(plan)


@app.command("list")
def list_models(debug: Debug = False) -> None:
    """List the models: what they can do, how much is to be fetched, and where they lie."""
    from rich.console import Console
    from rich.table import Column, Table

    from step1x_edit.hub import RELEASES
    from step1x_edit.model.presets import PRESETS

    model, folders = Column("model", no_wrap=True), Column("folder", overflow="fold")  # whole, however narrow the terminal
    table = Table(model, "steps", "size", "pictures", "from text", "to fetch", folders)
    for name in ("mini", *RELEASES):
        release = RELEASES.get(name)
        preset = PRESETS[release.preset if release else name]
        folder = find_weights(name)
        fetched = "comes with the package" if release is None else f"{release.gigabytes:g} GB, {release.note}"
        can = "yes" if preset.text_to_image else "no"
        table.add_row(name, str(preset.steps), str(preset.size), str(preset.references), can, fetched, str(folder or "-"))
    Console().print(table)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="The release; see step1x models list.")],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Where to put it; by default where step1x edit looks for it.", show_default=False)
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", envvar="HF_ENDPOINT", help="Address of the hub or of a mirror.", show_default=False)
    ] = None,
    token: Annotated[str | None, typer.Option("--token", envvar="HF_TOKEN", help="Your token at the hub.", show_default=False)] = None,
    prefix: Annotated[
        Path | None,
        typer.Option("--prefix", help="The published file with the prefix text, where GitHub cannot be reached.", show_default=False),
    ] = None,
    debug: Debug = False,
) -> None:
    """Fetch released weights. What is there already is checked and kept; a download that was cut off goes on where it stopped."""
    from huggingface_hub.utils import disable_progress_bars

    from step1x_edit import hub

    if not sys.stderr.isatty():
        disable_progress_bars()
    target = folder or models_folder() / name

    def say(file: str, size: int) -> None:
        print(f"{file} ({size / 1e6:,.1f} MB)", file=sys.stderr)

    hub.pull(name, target, endpoint=endpoint, token=token, prefix_file=prefix, progress=say)
    typer.echo(str(target))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Folder of a model, in either layout; or an adapter, in either naming.")],
    target: Annotated[Path, typer.Argument(help="The new folder, or the new file.")],
    to: Annotated[
        str,
        typer.Option("--to", help="diffusers (a folder of parts) or single (the released single files); of an adapter, kohya or peft."),
    ],
    model: Annotated[str, typer.Option("--model", help="Which version it is, where the folder does not say so itself.")] = "v1.1",
    debug: Debug = False,
) -> None:
    """Write a model in the other layout, bit for bit; or an adapter in the other naming."""
    from step1x_edit.model.conversion import convert as run
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.weights import load_preset

    if find_version(model) not in PRESETS:
        raise UsageError(f"There is no model {model!r}; choose one of {', '.join(PRESETS)}.")
    said: set[str] = set()

    def say(part: str, done: int, total: int) -> None:
        if part not in said:
            said.add(part)
            print(f"Writing {part} ({total / 1e6:,.1f} MB)", file=sys.stderr)

    match to:
        case "kohya" | "peft":
            preset = PRESETS[find_version(model)]
            folder = find_weights(model)
            _convert_adapter(source, target, preset if folder is None else load_preset(folder, preset), to)
        case "diffusers" | "single":
            run(source, target, load_preset(source, PRESETS[find_version(model)]), to, say)
        case _:
            raise UsageError(f"There is no layout {to!r}; choose diffusers or single, or for an adapter kohya or peft.")
    typer.echo(str(target))


def _convert_adapter(source: Path, target: Path, preset: Preset, naming: Literal["kohya", "peft"]) -> None:
    import torch

    from step1x_edit.model.lora import read_adapter, save_adapter
    from step1x_edit.model.step1x_edit import Step1XEdit

    if target.suffix != ".safetensors" or target.exists():
        raise UsageError(f"{target} {'exists already' if target.exists() else 'is no .safetensors file'}; choose another name.")
    with torch.device("meta"):
        model = Step1XEdit(preset)
    save_adapter(target, read_adapter(source, model), naming)


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
