"""The server held against its own OpenAPI document: whatever is sent, no answer is a failure of the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serve_server import Server


def test_no_request_that_the_document_suggests_makes_the_server_fail(server: Server, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            f"{server.root}/openapi.json",
            "--checks=not_a_server_error,content_type_conformance,response_schema_conformance",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=15",
            "--seed=1",
            "--request-timeout=200",
            "--suppress-health-check=all",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Traceback" not in server.output
