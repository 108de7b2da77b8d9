"""A hub of models and datasets whose connection breaks while a file is fetched."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler


class BreakingHub(BaseHTTPRequestHandler):
    """A hub with one repository of one file, whose connection breaks in the middle of it."""

    def do_HEAD(self) -> None:
        self._answer(1_000_000, "application/octet-stream")

    def do_GET(self) -> None:
        if "/resolve/" in self.path:
            self._answer(1_000_000, "application/octet-stream")
            self.wfile.write(b"half")
            return
        name = "train.parquet" if "/datasets/" in self.path else "model.safetensors"
        file = {"type": "file", "path": name, "size": 1_000_000, "oid": "a" * 40}
        text = json.dumps([file] if "/tree/" in self.path else {"id": "someone/something", "sha": "0" * 40, "siblings": []}).encode()
        self._answer(len(text), "application/json")
        self.wfile.write(text)

    def _answer(self, length: int, kind: str) -> None:
        self.send_response(200)
        for name, value in {"Content-Length": str(length), "Content-Type": kind, "X-Repo-Commit": "0" * 40, "ETag": '"a"'}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""
