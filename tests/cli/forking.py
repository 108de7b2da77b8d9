"""The command, run in a process that has loaded its libraries before: each run is a fork of it, and costs no second import of torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

LOADED = (
    "step1x_edit.cli.edit",
    "step1x_edit.editor",
    "step1x_edit.model.mllm",
    "step1x_edit.model.step1x_edit",
    "step1x_edit.model.weights",
)

_context = get_context("forkserver")
_context.set_forkserver_preload([*LOADED, __name__])


def run_forked(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run `step1x` with arguments in a folder; returns what it said, and the exit code, as `subprocess.run` does."""
    with tempfile.TemporaryDirectory() as said:
        streams = [os.path.join(said, name) for name in ("stdout", "stderr")]
        process = _context.Process(target=_act, args=(list(arguments), str(folder), dict(environment), streams))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([*arguments], seconds)
        out, err = (Path(stream).read_text() for stream in streams)
    return subprocess.CompletedProcess([*arguments], process.exitcode, out, err)


def _act(arguments: list[str], folder: str, environment: dict[str, str], streams: list[str]) -> None:
    from step1x_edit.cli.main import main

    for number, stream in enumerate(streams, 1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["step1x", *arguments]
    main()
