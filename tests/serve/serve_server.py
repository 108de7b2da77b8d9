"""A real server in a process of its own, started by the command, as users start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


class Server:
    """`step1x serve` on a free port of this machine.

    Args:
        options: of the command.
        threads: CPU threads of the model.
        wait: return only once it is ready.
    """

    def __init__(self, *options: str, threads: int = 1, wait: bool = True) -> None:
        path = os.pathsep.join([str(SOURCE), str(Path(__file__).parent)])
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from step1x_edit.cli.main import main\nif __name__ == '__main__': main()",
                "serve",
                "--port",
                "0",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads)},
        )
        self.lines: list[str] = []
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._told.wait(120), self.output
        found = re.search(r"http://([\d.]+):(\d+)", self.output)
        assert found, self.output
        self.host, self.port = found[1], int(found[2])
        self.root = f"http://{self.host}:{self.port}"
        if wait:
            self.wait_until_ready()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return "".join(self.lines)

    def has_said(self, words: str, seconds: float = 60) -> bool:
        """Whether it prints them in that time; a line of its log may come after the answer that it tells of."""
        until = time.monotonic() + seconds
        while words not in self.output and time.monotonic() < until:
            time.sleep(0.02)
        return words in self.output

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Serving" in line:
                self._told.set()
        self._told.set()

    def wait_until_ready(self, seconds: float = 180) -> None:
        """Until /ready says so."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.root}/ready", timeout=10):
                    return
            except urllib.error.URLError:
                time.sleep(0.1)
        raise AssertionError(f"not ready: {self.output}")

    def metric(self, name: str) -> float:
        """A count of /metrics."""
        with urllib.request.urlopen(f"{self.root}/metrics", timeout=10) as answer:
            found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
        assert found, name
        return float(found[1])

    def memory(self) -> dict[str, float]:
        """Resident MiB of the server's process and of its model's processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        models = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
        return {"server": _resident(str(self.process.pid)), "model": sum(map(_resident, models))}

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """End it; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def _resident(pid: str) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0
