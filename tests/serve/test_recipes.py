"""The container file and the systemd unit, as far as they can be checked without running them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from step1x_edit.cli.main import app

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes" / "serve"


def options_of_serve() -> set[str]:
    """All options that the command has."""
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {name for parameter in command.params for name in parameter.opts}


def test_the_container_file_is_sound() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, RECIPES / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_container_has_what_it_names_and_runs_as_nobody() -> None:
    text = (RECIPES / "Containerfile").read_text()
    lines = re.findall(r"^([A-Z]+) (.*)$", text.replace("\\\n", ""), re.MULTILINE)
    copied = [name for verb, rest in lines if verb == "COPY" for name in rest.split()[:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert [rest for verb, rest in lines if verb == "USER"] == ["10001"]
    entry, command = (json.loads(rest) for verb, rest in lines if verb in ("ENTRYPOINT", "CMD") and rest.startswith("["))
    assert entry == ["step1x"] and command[0] == "serve"
    assert {part for part in command if part.startswith("--")} <= options_of_serve()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_unit_is_sound(tmp_path: Path) -> None:
    text = (RECIPES / "step1x-serve.service").read_text()
    program = "/opt/step1x-edit/.venv/bin/step1x"
    line = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert line and line[1].startswith(f"{program} serve")
    assert set(re.findall(r"--[a-z-]+", line[1])) <= options_of_serve()
    unit = tmp_path / "step1x-serve.service"
    unit.write_text(text.replace(program, sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
