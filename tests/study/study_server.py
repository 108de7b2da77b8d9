"""The study's server as a user starts it: the command, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

START = "import sys; from step1x_edit.cli.main import main; main(sys.argv[1:])"


class Server:
    """A running server.

    Args:
        folder: with the systems' results; the database and the pictures are kept there too.
        options: of `step1x study serve`.
        database: a path or URL; None takes `study.db` in the folder.

    Raises:
        AssertionError: it did not start; says why.
    """

    def __init__(self, folder: Path, *options: str, database: str | None = None) -> None:
        self.database = database or str(folder / "study.db")
        command = [sys.executable, "-c", START, "study", "serve", str(folder), "--db", self.database, "--cache", str(folder / "pictures")]
        self.process = subprocess.Popen([*command, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None and self.process.stderr is not None
        lines = iter(self.process.stdout)
        found = next((found for line in lines if (found := re.search(r"http://127\.0\.0\.1:(\d+)", line))), None)
        if not found:
            raise AssertionError(self.process.communicate(timeout=200)[1])
        self.port = int(found[1])

    @property
    def url(self) -> str:
        """Where people come in."""
        return f"http://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Processor time that the server has used, on all cores."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> str:
        """End the server, politely or not; returns what it wrote after its address."""
        self.process.send_signal(how)
        said, errors = self.process.communicate(timeout=200)
        return said + errors
