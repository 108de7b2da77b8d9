"""`step1x bench build`: a benchmark from people's requests, in three steps: collect, review, cases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from step1x_edit.cli.bench_options import Options, read_key, read_options
from step1x_edit.cli.debugging import Debug
from step1x_edit.cli.progress import progress_line
from step1x_edit.errors import UsageError
from step1x_edit.locking import hold

app = typer.Typer(help="Make a benchmark from people's requests: collect, review, cases.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="Folder of the candidates, which collect made.")]


@app.callback()
def build() -> None:
    """Make a benchmark from people's requests: collect, review, cases."""


@app.command()
def collect(
    requests: Annotated[
        Path, typer.Argument(help="A .jsonl or .csv table with picture and instruction, or a folder of pictures with .txt files.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the candidates.")],
    public: Annotated[
        Path | None, typer.Option("--public", help="Folder of public pictures: each request gets the most alike of them.")
    ] = None,
    web: Annotated[
        str | None, typer.Option("--web", help="Or a picture search: openverse, google, serpapi or brave; words go out alone.")
    ] = None,
    web_url: Annotated[str | None, typer.Option("--web-url", help="Address of that search, where it is not the usual one.")] = None,
    options: Options = None,
    own_pictures: Annotated[
        bool, typer.Option("--own-pictures", help="Keep people's own pictures, blurred where they show persons: only where they agreed.")
    ] = False,
    least: Annotated[float, typer.Option("--likeness", min=0, max=1, help="Least likeness of a public picture.")] = 0.5,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            "--tool",
            metavar="ROLE=NAME[:MODEL]",
            help="A model for a part of it, as similarity=clip or faces=detr:FOLDER; may be repeated.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="OpenAI-compatible service that sorts, translates and rewords.")] = None,
    model: Annotated[str, typer.Option("--model", help="Name of the model there.")] = "default",
    debug: Debug = False,
) -> None:
    """Sort requests into tasks, drop duplicates, and take out what leads back to a person. Goes on where it stopped."""
    from step1x_edit.bench.building.collecting import collect as run
    from step1x_edit.bench.building.lookalikes import LocalSearch, PictureSearch
    from step1x_edit.bench.building.requests import read_requests
    from step1x_edit.bench.building.store import Store
    from step1x_edit.bench.building.web_search import WebSearch
    from step1x_edit.data.tools.choice import ToolChoice
    from step1x_edit.data.tools.toolbox import Toolbox
    from step1x_edit.endpoint import EndpointThinker

    if [public is not None, web is not None, own_pictures].count(True) != 1:
        raise UsageError("Give one of --public with a folder of public pictures, --web, or --own-pictures where people agreed to that.")
    tools = Toolbox({role: ToolChoice.parse(str(name)) for role, name in read_options(tool).items()})
    thinker = EndpointThinker(url, model, read_key("endpoint") or "") if url else None
    search: PictureSearch | None = LocalSearch(public, tools.similarity) if public else None
    if web is not None:
        search = WebSearch(web, tools.captioner, tools.similarity, read_key("search"), read_options(options), web_url)
    found = list(read_requests(requests))
    store = Store(out, create=True)
    try:
        busy = f"Another collect is at work in {out}; wait for its end, or choose another --out."
        with hold(out / ".lock", busy), progress_line("requests") as tell:
            state = run(
                found,
                store,
                search,
                tools,
                least,
                thinker,
                lambda s: tell(s.candidates + s.skipped, len(found), f"{s.candidates} candidates, {s.skipped} skipped"),
            )
        reasons = Counter(each.reason for each in store.read() if each.state == "skipped")
    finally:
        store.close()
    typer.echo(f"{state.candidates} candidates, {state.skipped} skipped.")
    for reason, count in reasons.most_common():
        typer.echo(f"{count} skipped: {reason}.")
    typer.echo(f"Look at them with step1x bench build review {out}")


@app.command()
def review(
    folder: Folder,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8200,
    debug: Debug = False,
) -> None:
    """Serve the page on which people accept, reject, sort and reword candidates. Every decision is kept at once."""
    from step1x_edit.bench.building.review import serve
    from step1x_edit.bench.building.store import Store

    store = Store(folder)
    try:
        serve(store, host, port, lambda url: typer.echo(f"Review at {url}"))
    except KeyboardInterrupt:
        typer.echo("Stopped. Every decision is kept.")
    finally:
        store.close()


@app.command()
def cases(
    folder: Folder,
    out: Annotated[Path, typer.Argument(help="Folder to write the cases to.")],
    per_task: Annotated[
        int | None, typer.Option("--per-task", min=1, help="So many of each task; the published counts by default.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the accepted candidates as cases for step1x bench run, balanced over tasks and intents, with an audit log."""
    from step1x_edit.bench.building.export import write_accepted
    from step1x_edit.bench.building.store import Store
    from step1x_edit.bench.gedit import TASK_SIZES, TASKS

    targets = TASK_SIZES if per_task is None else dict.fromkeys(TASKS, per_task)
    store = Store(folder)
    try:
        counts = write_accepted(store, out, targets)
    finally:
        store.close()
    for task in TASKS:
        short = "" if counts.get(task, 0) >= targets[task] else f", {targets[task] - counts.get(task, 0)} short"
        typer.echo(f"{task}: {counts.get(task, 0)} of {targets[task]}{short}")
    typer.echo(f"{sum(counts.values())} questions in two languages are in {out}.")
