"""Servers with the embedded model, and clients of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from serve_server import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all tests that leave it as it was."""
    running = Server(
        "--name",
        "gpt-image-1",
        "--name",
        "org/mini",
        "--allow-host",
        "photos.EXAMPLE:443",
        "--content-filter",
        "serve_faults:Faults",
        "--most-mb",
        "8",
        "--most-pixels",
        "20000000",
    )
    yield running
    assert running.stop() in (0, -15)


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """The official client."""
    with openai.OpenAI(base_url=f"{server.root}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A plain one."""
    with httpx.Client(base_url=server.root, timeout=200, trust_env=False) as made:
        yield made
