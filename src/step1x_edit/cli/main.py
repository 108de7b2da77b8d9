"""The command `step1x`: its verbs, and what a user sees when something goes wrong.

Each verb's file imports heavy libraries inside its function, so that asking for help loads none of them.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from step1x_edit import __version__
from step1x_edit.cli import debugging
from step1x_edit.cli.bench import app as bench_app
from step1x_edit.cli.data import app as data_app
from step1x_edit.cli.edit import edit
from step1x_edit.cli.models import app as models_app
from step1x_edit.cli.serve import app as serve_app
from step1x_edit.cli.streams import FULL, leave_output, replace_closed_errors, writing_output
from step1x_edit.cli.study import app as study_app
from step1x_edit.cli.train import train
from step1x_edit.cli.ui import ui
from step1x_edit.errors import Step1XError

INTERRUPTED = 130
EXTRAS = ("bench", "data", "serve", "study", "train", "ui")
"""Verbs whose libraries come with the extra of their name."""

app = typer.Typer(
    name="step1x",
    help="Edit images by instruction, and train, measure and serve the models that do it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"step1x {__version__}")
        raise typer.Exit


@app.callback()
def step1x(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
    debug: debugging.Debug = False,
) -> None:
    """Edit images by instruction, and train, measure and serve the models that do it."""


app.command()(edit)
app.command()(train)
app.command()(ui)
app.add_typer(bench_app, name="bench")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")
app.add_typer(serve_app, name="serve")
app.add_typer(study_app, name="study")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code: 0 done, 1 failed, 2 asked for wrongly, 130 interrupted."""
    replace_closed_errors()
    code = run(arguments)
    gc.freeze()  # what is left needs no search for garbage: a fifth of the time of an edit
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; an error that is the user's or the machine's is one line on stderr, a bug of ours keeps its traceback."""
    try:
        code = app(arguments, prog_name="step1x", standalone_mode=False) or 0
        with writing_output():
            pass
    except Step1XError as error:
        return _report(str(error), error.exit_code)
    except typer.TyperException as error:
        return _report(f"{error.format_message().rstrip('.')}; see step1x --help.", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _report("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # whoever read our output has gone; nothing more is to be said, not even at shutdown
        leave_output()
        return 1
    except ModuleNotFoundError as error:
        verb = next((word for word in (sys.argv[1:] if arguments is None else arguments) if not word.startswith("-")), "")
        package = (error.name or "").partition(".")[0]
        if verb not in EXTRAS or package in ("", "step1x_edit"):
            raise
        return _report(f"step1x {verb} needs {package}, which is not installed; pip install 'step1x-edit[{verb}]'.", 2)
    except OSError as error:
        if error.filename is None and error.errno in FULL:
            leave_output()
            return _report(f"Standard output, or a file, could not be written ({error.strerror}).", 1)
        if error.filename is None:
            raise
        return _report(f"{error.filename} cannot be used ({error.strerror}).", 1)
    return _report("Interrupted.", INTERRUPTED) if code == INTERRUPTED else code


def _report(message: str, code: int) -> int:
    if debugging.wanted():
        traceback.print_exc()
    print(f"step1x: {' '.join(message.split())}", file=sys.stderr)
    return code
