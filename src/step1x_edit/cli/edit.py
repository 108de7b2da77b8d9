"""`step1x edit`: edit one picture by one instruction."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from step1x_edit import __version__
from step1x_edit.cli.debugging import Debug
from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.types import EditResult


def edit(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="The picture to edit.")],
    instruction: Annotated[str, typer.Argument(metavar="INSTRUCTION", help="What to change, in English or Chinese.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default beside the picture, NAME-edited.png.", show_default=False)
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Model to use; see step1x models.")] = "mini",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of the model's weights, where they are not in their usual place.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed gives another result.")] = 0,
    steps: Annotated[int | None, typer.Option("--steps", help="Sampling steps; the model's own number by default.")] = None,
    guidance: Annotated[
        float | None, typer.Option("--guidance", help="Weight of the instruction, 1 for none; the model's own by default.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Side in pixels of the square whose area the model works at; its own by default.")
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many results, with seeds counting up.")] = 1,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:N or mps; the best there is by default.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; what suits the device by default.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write what the model drew, at its own size, instead of the full-size edit.")] = False,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Also write a picture of before and after side by side.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Edit a picture by an instruction. The path of each result is printed."""
    from step1x_edit.image_io import check_target, free_names, read_image, write_image
    from step1x_edit.types import EditRequest

    started = time.perf_counter()
    with _quiet_decoders():
        picture = read_image(image)
    request = EditRequest(picture.image, instruction, seed=seed, steps=steps, guidance=guidance, size=size)
    targets = number_names(out, count) if out else free_names(image, count)
    if compare in targets:
        raise UsageError(f"The comparison and a result would both be written to {compare}; give them different names.")
    for target in [*targets, compare] if compare else targets:
        check_target(target, overwrite)
    _say_notes(picture.notes)

    written: list[EditResult] = []
    with _progress(count) as (say, advance):
        say(f"Loading {model}")
        _prepare_libraries()
        from step1x_edit.editor import Editor

        editor = Editor.open(model, device, dtype, weights)
        say("Editing")
        for target, result in zip(targets, editor.edit_seeds(request, range(seed, seed + count), advance), strict=True):
            notes = write_image(result.raw if raw else result.image, target, overwrite, _record(result))
            _say_notes(notes)
            _say_path(target)
            written.append(result)
    if compare:
        from step1x_edit.comparison import side_by_side

        sheet = side_by_side([picture.image, *(r.raw if raw else r.image for r in written)], instruction)
        write_image(sheet, compare, overwrite)
        _say_path(compare)
    print(f"Done in {time.perf_counter() - started:.1f} s.", file=sys.stderr)


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """The TIFF library writes what it thinks of a damaged file straight to the error stream; we say it in one sentence of our own."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def number_names(path: Path, count: int) -> list[Path]:
    """out.png, out-2.png, out-3.png, as many as `count`."""
    return [path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, count + 1))]


def _say_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)


def _say_path(path: Path) -> None:
    typer.echo(os.fsencode(path))  # as it is on the disk, whatever the terminal's encoding
    sys.stdout.flush()


def _record(result: EditResult) -> dict[str, str]:
    """What is needed to make the edit again."""
    request = result.request
    return {
        "Software": f"step1x-edit {__version__}",
        "step1x:instruction": request.instruction,
        "step1x:model": result.model,
        "step1x:seed": str(request.seed),
        "step1x:steps": str(request.steps),
        "step1x:guidance": str(request.guidance),
        "step1x:size": str(request.size),
    }


def _prepare_libraries() -> None:
    """No progress bars but ours; and threads that wait asleep, which on a busy machine halves the time."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


@contextmanager
def _progress(count: int) -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """A line on stderr that says what is going on, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=False) as progress:
        task = progress.add_task("", total=None)
        finished = 0

        def say(text: str) -> None:
            progress.update(task, description=text)

        def advance(done: int, total: int) -> None:
            nonlocal finished
            progress.update(task, total=total * count, completed=finished * total + done)
            finished += done == total

        yield say, advance
