"""Cases from the hub: the dataset as the library datasets writes it, fetched by the command from a server that speaks its protocol."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.bench.gedit import read_cases

REVISION = "b" * 40
START = "import sys; from step1x_edit.cli.main import main; main(sys.argv[1:])"


class Handler(BaseHTTPRequestHandler):
    """One dataset, lab/bench, of the files in `content`."""

    content: dict[str, bytes]
    sent: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        files = [{"rfilename": name, "size": len(data)} for name, data in self.content.items()]
        if re.fullmatch(r"/api/datasets/lab/bench(/revision/[^/]+)?", path):
            return self._answer(200, json.dumps({"id": "lab/bench", "sha": REVISION, "siblings": files}).encode())
        if found := re.fullmatch(r"/api/datasets/lab/bench/tree/[^/]+(/.*)?", path):
            entries = [{"type": "file", "path": f["rfilename"], "size": f["size"], "oid": "c" * 40} for f in files]
            return self._answer(200, json.dumps(entries).encode())
        if (found := re.fullmatch(r"/datasets/lab/bench/resolve/[^/]+/(.+)", path)) and found[1] in self.content:
            data = self.content[found[1]]
            if self.command == "GET":
                self.sent.append(found[1])
            return self._answer(200, data, X_Repo_Commit=REVISION, ETag=f'"{hashlib.sha256(data).hexdigest()}"')
        return self._answer(404, b'{"error": "Repository not found"}', X_Error_Code="RepoNotFound")

    do_HEAD = do_GET


@pytest.fixture
def parquet(tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> bytes:
    """Two questions in both languages, with pictures as the library keeps them."""
    code = """
import sys, datasets
from pathlib import Path
folder = Path(sys.argv[1])
rows = [dict(key=f"k{n}", task_type="subject-add", instruction=text, instruction_language=language, Intersection_exist=bool(n),
             **dict.fromkeys(("input_image", "input_image_raw"), {"bytes": (folder / f"{n}.png").read_bytes(), "path": f"{n}.png"}))
        for n in range(2) for language, text in (("en", "add a hat"), ("cn", "加帽子"))]
whole = datasets.Dataset.from_list(rows).cast_column("input_image", datasets.Image()).cast_column("input_image_raw", datasets.Image())
whole.to_parquet(folder / "out.parquet")
"""
    for number in range(2):
        draw_scene(40, 30, seed=number).save(tmp_path / f"{number}.png")
    settings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "library")}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, env=settings)
    return (tmp_path / "out.parquet").read_bytes()


@pytest.fixture
def hub(parquet: bytes) -> Iterator[tuple[str, list[str]]]:
    """Its address, and which files it sent."""
    sent: list[str] = []
    content = {"data/train-00000-of-00001.parquet": parquet, "README.md": b"# no", "script.py": b"raise SystemExit"}
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("One", (Handler,), {"content": content, "sent": sent}))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", sent
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_cases_come_from_the_hub(hub: tuple[str, list[str]], tmp_path: Path, draw_scene: Callable[..., Image.Image]) -> None:
    address, sent = hub
    settings = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}

    def run(dataset: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", START, "bench", "run", "leave-as-is", "--cases", f"hf:{dataset}", "--out", str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, env=settings, timeout=200)

    done = run("lab/bench")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 cases are edited" in done.stdout
    assert sent == ["data/train-00000-of-00001.parquet"]
    result = tmp_path / "out" / "leave-as-is" / "fullset" / "subject-add" / "cn" / "k1.png"
    assert np.array_equal(np.asarray(Image.open(result)), np.asarray(draw_scene(40, 30, seed=1)))
    run("lab/bench")
    assert len(sent) == 1  # kept
    refused = run("lab/nothing")
    assert refused.returncode == 1 and refused.stderr.count("\n") <= 2 and "could not be fetched from the hub" in refused.stderr


def test_what_the_library_wrote_is_read(parquet: bytes, tmp_path: Path) -> None:
    cases = read_cases(str(tmp_path))
    assert [(case.key, case.language, case.intersection) for case in cases] == [
        ("k0", "cn", False),
        ("k0", "en", False),
        ("k1", "cn", True),
        ("k1", "en", True),
    ]
    assert cases[0].source.read().startswith(b"\x89PNG")
