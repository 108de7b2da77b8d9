"""`step1x serve`: a server that speaks OpenAI's images protocol, and the keys to it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli import economy
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.folders import find_version, need_weights

app = typer.Typer(
    help="Serve edits over HTTP, as OpenAI's images protocol has it, and manage the keys to the server.", invoke_without_command=True
)
keys_app = typer.Typer(help="Make, list and revoke API keys. The file holds their hashes alone.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

KeysFile = Annotated[Path, typer.Option("--keys", help="File of the keys.")]
KEYS = Path("step1x-keys.json")


@app.callback()
def serve(
    context: typer.Context,
    model: Annotated[str, typer.Option("--model", help="Model to serve; see step1x models list.")] = "mini",
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8000,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Folder of the model's weights, where they are not in their usual place.")
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help="cpu, cuda, cuda:N or mps, or several that share the work, as cuda:0,cuda:1; repeated, a process each. "
            "The best there is by default.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16; what suits the device by default.")] = None,
    lora: Annotated[
        list[str] | None, typer.Option("--lora", metavar="FILE[:WEIGHT]", help="Adapter to use; may be repeated.", show_default=False)
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Further name under which clients ask for the model; may be repeated.", show_default=False),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of API keys; without it, no key is asked for.", show_default=False)
    ] = None,
    vram: economy.Vram = None,
    weights_dtype: economy.WeightsDtype = None,
    offload: economy.Offload = None,
    strips: economy.Strips = False,
    split: economy.Split = False,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Most pictures in one pass through the model; 8 by default, 1 with --vram.")
    ] = None,
    waiting: Annotated[int, typer.Option("--waiting", min=1, help="Most pictures that wait; more are answered with 429.")] = 64,
    waiting_each: Annotated[
        int | None, typer.Option("--waiting-each", min=1, help="Most that wait for one key; half of --waiting where there are keys.")
    ] = None,
    most_mb: Annotated[int, typer.Option("--most-mb", min=1, help="Largest request, in MiB.")] = 32,
    most_pixels: Annotated[int, typer.Option("--most-pixels", min=1, help="Largest picture, in pixels.")] = 50_000_000,
    most_steps: Annotated[int, typer.Option("--most-steps", min=1, help="Most sampling steps.")] = 100,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Longest time to an answer, waiting included.")] = 600.0,
    grace: Annotated[float, typer.Option("--grace", min=0, max=86400, help="Seconds for what was begun, when it is to end.")] = 60.0,
    allow_url: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-url", metavar="HOST", help="Host to read pictures from by address; *.DOMAIN for all of it.", show_default=False
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host", metavar="NAME", help="Further name of the server, where there are no keys; may be repeated.", show_default=False
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", metavar="SITE", help="Site whose pages may use the server, as https://photos.example.", show_default=False
        ),
    ] = None,
    content_filter: Annotated[
        str | None,
        typer.Option(
            "--content-filter", metavar="MODULE:NAME", help="Check of what goes in and out; see docs/serve.md.", show_default=False
        ),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials", metavar="CERTS.PEM", help="Sign every file as edited by a model (C2PA), with this chain.", show_default=False
        ),
    ] = None,
    credentials_key: Annotated[
        Path | None, typer.Option("--credentials-key", metavar="KEY.PEM", help="Private key of the chain.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Write no line for each request.")] = False,
    debug: Debug = False,
) -> None:
    """Serve edits over HTTP. Stop it with Ctrl-C: what was begun is finished; a second one waits for nothing."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import replace

    from step1x_edit.cli.inputs import open_credentials, read_lora
    from step1x_edit.errors import UsageError
    from step1x_edit.serve.limits import Limits, Settings
    from step1x_edit.serve.messages import Opening
    from step1x_edit.serve.serving import serve as run
    from step1x_edit.web import is_local

    version, folder = find_version(model), weights or need_weights(model)
    devices: list[str | None] = [*device] if device else [None]
    if vram is not None and batch not in (None, 1):
        raise UsageError("--vram counts the memory of one picture at a time; leave out --batch.")
    way = economy.Economy(vram, weights_dtype, offload, strips, split)
    opening = Opening(
        version,
        str(folder),
        dtype=dtype,
        adapters=tuple((str(path), weight) for path, weight in map(read_lora, lora or ())),
        threads=_read_threads(),
        finishers=max(1, (os.cpu_count() or 1) // (2 * len(devices))),
        pixels=most_pixels,
        credentials=open_credentials(credentials, credentials_key),
        content_filter=content_filter,
        placement=way.place(model, devices[0], dtype, folder, economy.SHOWN) if way.places else None,
    )
    settings = Settings(
        tuple(replace(opening, device=each) for each in devices),
        Limits(
            bytes=most_mb * 2**20,
            pixels=most_pixels,
            steps=most_steps,
            seconds=seconds,
            held_bytes=max(Limits.held_bytes, most_mb * 2**20),
        ),
        batch=batch or (8 if vram is None else 1),
        places=waiting,
        places_each=waiting_each or (waiting if keys is None else max(1, waiting // 2)),
        keys=keys,
        names=tuple(dict.fromkeys(each for each in (*(name or ()), model) if each != version)),
        url_hosts=tuple(allow_url or ()),
        hosts=tuple(allow_host) if allow_host else None,
        origins=tuple(allow_origin or ()),
    )
    if keys is None and not is_local(host):
        typer.echo("There are no keys: whoever reaches this address may use the server. --keys FILE asks for one.", err=True)
    try:
        run(settings, host, port, grace, lambda url: typer.echo(f"Serving {model} at {url}/v1"), not quiet)
    except KeyboardInterrupt:
        typer.echo("Stopped.")


def _read_threads() -> int:
    """The first of the numbers that OMP_NUM_THREADS may hold; 0 where it says nothing of use."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() else 0


@keys_app.command()
def add(name: Annotated[str, typer.Argument(help="Whose key it is, or what for.")], keys: KeysFile = KEYS, debug: Debug = False) -> None:
    """Make a key and print it. It is shown this once."""
    from step1x_edit.serve.keys import Keys

    typer.echo(Keys.open(keys).add(name))


@keys_app.command("list")
def list_(keys: KeysFile = KEYS, debug: Debug = False) -> None:
    """Show whose keys there are, and since when."""
    import datetime

    from step1x_edit.serve.keys import Keys

    for key in Keys(keys).read():
        typer.echo(f"{datetime.datetime.fromtimestamp(key.created, datetime.UTC):%Y-%m-%d %H:%M} {key.name}")


@keys_app.command()
def revoke(name: Annotated[str, typer.Argument(help="Name of the key.")], keys: KeysFile = KEYS, debug: Debug = False) -> None:
    """Let a key stop working, at once, also for servers that run."""
    from step1x_edit.serve.keys import Keys

    Keys(keys).revoke(name)
