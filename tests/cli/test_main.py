"""The command as a whole: help, version, exit codes, and one line for every error."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from step1x_edit import __version__
from step1x_edit.cli import debugging, main
from step1x_edit.errors import WeightsError

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_version(step1x: Run) -> None:
    done = step1x("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"step1x {__version__}\n", "")


def test_help_names_the_verbs(step1x: Run) -> None:
    done = step1x("--help")
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("edit", "train", "models", "study"))


def test_help_takes_little_longer_than_starting_python(step1x: Run) -> None:
    """Against an empty Python in the same minute, so that a slow machine does not count; the promise is half a second on a usual one."""

    def seconds(command: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        return time.perf_counter() - started

    command = str(Path(sys.executable).with_name("step1x"))
    empty = min(seconds([sys.executable, "-c", "import typer, rich.console"]) for _ in range(3))
    assert min(seconds([command, "--help"]) for _ in range(3)) < empty + max(0.4, 3 * empty)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["paint"], "No such command 'paint'"),
        (["--colour"], "No such option: --colour"),
        (["edit"], "Give a picture and an instruction"),
        (["edit", "a.png"], "The instruction is missing: a.png is taken for a picture; after it say what to change"),
        (["edit", "make it night"], "The instruction is missing: make it night is taken for a picture"),
        (["edit", "a.png", "make it night", "--steps", "many"], "Invalid value for '--steps'"),
        (["edit", "a.png", "make it night", "-n", "0"], "Invalid value for '--count'"),
        (["edit", "a.png", "make", "it", "night"], "There is no file a.png; if it belongs to the instruction, put quotes around that"),
        (["edit", "/", "make", "it", "night"], "There is no file make; if it belongs to the instruction, put quotes around that"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(step1x: Run, arguments: list[str], sentence: str) -> None:
    done = step1x(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.startswith("step1x: ") and done.stderr.count("\n") == 1


def test_no_arguments_show_the_help(step1x: Run) -> None:
    assert "Usage" in (done := step1x()).stdout + done.stderr
    assert done.returncode == 2


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make the command fail with an exception."""
    monkeypatch.setattr(debugging, "_chosen", {"debug": False})

    def arrange(error: BaseException) -> None:
        def fail(*_: object, **__: object) -> int:
            raise error

        monkeypatch.setattr(main, "app", fail)

    return arrange


def test_an_error_with_line_breaks_is_still_one_line(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    failing(WeightsError("The weights\nare missing."))
    assert main.run([]) == 1
    assert capsys.readouterr().err == "step1x: The weights are missing.\n"


def test_a_bug_keeps_its_traceback(failing: Callable[[BaseException], None]) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main.run([])


def test_a_file_that_the_system_refuses_is_one_line(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    failing(NotADirectoryError(20, "Not a directory", "file.txt/x"))
    assert main.run([]) == 1
    assert capsys.readouterr().err == "step1x: file.txt/x cannot be used (Not a directory).\n"


def test_interruption(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyboardInterrupt())
    assert main.run([]) == 130
    assert capsys.readouterr().err == "step1x: Interrupted.\n"


@pytest.mark.parametrize(("arguments", "environment"), [(["--debug"], {}), ([], {"STEP1X_DEBUG": "1"})])
@pytest.mark.parametrize("place", ["before the verb", "after it"])
def test_debug_adds_the_traceback(step1x: Run, arguments: list[str], environment: dict[str, str], place: str) -> None:
    edit = ["edit", "missing.png", "make it night"]
    done = step1x(*([*arguments, *edit] if place == "before the verb" else [*edit, *arguments]), env=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback") and done.stderr.endswith("step1x: There is no file missing.png.\n")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = Path(sys.executable).with_name("step1x")
    done = subprocess.run([command, "--help"], stdout=writing, stderr=subprocess.PIPE, timeout=200, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")
