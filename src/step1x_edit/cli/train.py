"""`step1x train`: train the autoencoder, the small MLLM or the editor from a recipe, on one device or, under torchrun, on many."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.libraries import loading
from step1x_edit.errors import UsageError


def train(
    recipe: Annotated[Path, typer.Argument(help="TOML file; recipes/ holds the ones behind the embedded model, and others to begin with.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; a run that is there already is gone on with.", show_default=False)
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Change a value of the recipe: key=value; may be repeated.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, help="Stop after so long, with the state saved.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or cuda:N; the best there is by default.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Keep latents and embeddings here, computed once; the same as data.cache.", show_default=False),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(
            "--peak", min=0.1, help="TFLOPS of one device at most; known for common GPUs, and 989 for a plan.", show_default=False
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only count parameters, memory, arithmetic, and the time and cost of an epoch.")
    ] = False,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="For the plan: how many.")] = 1,
    gpu_memory: Annotated[float, typer.Option("--gpu-memory", min=1, help="For the plan: GiB of each.")] = 80,
    samples: Annotated[int, typer.Option("--samples", min=1, help="For the plan: triplets in an epoch.")] = 1_000_000,
    price: Annotated[
        float | None, typer.Option("--price", min=0, help="For the plan: what a GPU costs in an hour.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Train from a recipe. Ctrl-C saves the state; the same command goes on where it stopped.

    On several GPUs: torchrun --nproc-per-node 8 --shutdown-timeout 1800 --no-python step1x train RECIPE.toml --out DIR

    Without that timeout, torchrun kills its processes 30 seconds after Ctrl-C, which may be before the state is saved.
    """
    with loading():
        from step1x_edit.training.plan import Hardware, describe, known_peak, make_plan
        from step1x_edit.training.recipe import read_recipe

        values = read_recipe(recipe, set_, cache)
        planned = make_plan(values, Hardware(gpus, gpu_memory, peak or 989)) if plan else None
    if planned is not None:
        for line in describe(planned, samples, price):
            typer.echo(line)
        return
    if out is None:
        raise UsageError("Name the folder of the run with --out.")
    from step1x_edit.devices import choose_device
    from step1x_edit.training.tasks import build_task
    from step1x_edit.training.trainer import train as run

    torchrun = "TORCHELASTIC_RUN_ID" in os.environ
    if torchrun and device is None:
        device = _device_of(int(os.environ["LOCAL_RANK"]))
    place = choose_device(device)
    seconds = minutes * 60 if minutes is not None else None
    most = peak * 1e12 if peak else known_peak(place)
    done = run(build_task(values, place, out), values, out, place, seconds, torchrun, most)
    if int(os.environ.get("RANK", "0")) == 0:
        typer.echo(f"{done} of {values.steps} steps done; the model is in {out}.")


def _device_of(local_rank: int) -> str:
    """One GPU a process, or the CPU where there are none."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    torch.cuda.set_device(local_rank)
    return f"cuda:{local_rank}"
