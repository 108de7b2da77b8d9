"""One holder at a time, and none after its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from step1x_edit.errors import UsageError
from step1x_edit.locking import hold

HOLD = """
import sys, pathlib, step1x_edit.locking
with step1x_edit.locking.hold(pathlib.Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_told_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="somebody is here"), hold(path, "somebody is here"):
            pass
    finally:
        holder.kill()
        holder.communicate()
    for _ in range(2):  # a lock that was let go can be had again
        with hold(path, "somebody is here", seconds=10):
            pass


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written to"), hold(tmp_path / "file" / ".lock", "busy"):
        pass
