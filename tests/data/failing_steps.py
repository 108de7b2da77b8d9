"""Blocks that fail, or tell where they ran, in a file of their own so that other processes can import them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from step1x_edit.data.storage import replace_file
from step1x_edit.errors import UsageError


class Fails(PipelineStep):
    """Task 1 fails."""

    name, type = "fails", "test"

    def run(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if rank == 1:
            raise UsageError("the pictures have gone")
        yield from ()


class Dies(PipelineStep):
    """Task 1 kills its process, as the kernel does where memory runs out."""

    name, type = "dies", "test"

    def run(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        if rank == 1:
            os.kill(os.getpid(), 9)
        yield from ()


class Tells(PipelineStep):
    """Every task writes down which process ran it."""

    name, type = "tells", "test"

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place

    def run(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        self.place.mkdir(exist_ok=True)
        (self.place / str(rank)).write_text(str(os.getpid()))
        yield from ()


class Waits(PipelineStep):
    """Every task says that it has begun, and goes on when it is told to, each through a pipe; then it writes a file, whole."""

    name, type = "waits", "test"

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.place = place

    def run(self, data: object, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        with replace_file(self.place / "written") as file:
            (self.place / "begun").write_text("yes")
            (self.place / "gate").read_text()
            file.write(b"whole")
        yield from ()
