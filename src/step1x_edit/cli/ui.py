"""`step1x ui`: the page for editing in a browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli import economy
from step1x_edit.cli.batch import list_folder
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.folders import need_weights
from step1x_edit.cli.libraries import loading
from step1x_edit.cli.screen import open_page
from step1x_edit.errors import UsageError


def ui(
    model: Annotated[str, typer.Option("--model", help="Model to use; see step1x models list.")] = "mini",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of the model's weights, where they are not in their usual place.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets others in, who need no password.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 7860,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="Further name of the page, as behind a proxy; may be repeated.", show_default=False
        ),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    photos: Annotated[
        Path | None, typer.Option("--photos", help="Folder of pictures to offer as examples; those of the repository where it is there.")
    ] = None,
    device: economy.Device = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; what suits the device by default.")] = None,
    vram: economy.Vram = None,
    weights_dtype: economy.WeightsDtype = None,
    offload: economy.Offload = None,
    strips: economy.Strips = False,
    split: economy.Split = False,
    cache: economy.Cache = None,
    guided: economy.Guided = None,
    debug: Debug = False,
) -> None:
    """Edit in the browser, on this machine. Ctrl-C ends it."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # nobody is told that the page is used
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    with loading():
        from step1x_edit.serve.page_server import serve_page

        offered = list_photos(photos)
        typer.echo(f"Loading {model}")
        way = economy.Economy(vram, weights_dtype, offload, strips, split, cache, guided)
        editor = way.open(model, device, dtype, weights or need_weights(model), economy.SHOWN)

    def ready(url: str) -> None:
        typer.echo(f"The page is at {url}; Ctrl-C ends it.")
        if browser:
            open_page(url)

    serve_page(editor, host, port, offered, ready, allow_host or ())


def list_photos(folder: Path | None) -> list[Path]:
    """Up to 12 pictures of a folder, by name; of the repository's examples where none is given and they are there.

    Raises:
        UsageError: the folder that was given does not exist.
    """
    if folder is not None and not folder.is_dir():
        raise UsageError(f"The folder {folder} does not exist; give an existing folder of pictures.")
    from step1x_edit.serve.session import BROWSERS_SHOW

    folder = folder or Path(__file__).parents[3] / "examples" / "photos"
    found = list_folder(folder) if folder.is_dir() else []
    return [path.resolve() for path in found if path.suffix.lower() in BROWSERS_SHOW][:12]
