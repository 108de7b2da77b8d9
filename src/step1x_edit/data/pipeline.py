"""The pipeline as three readable lists of datatrove blocks: look the photographs over, make and sift candidates, put the shards together.

A task is a stretch of inputs, a block of candidates, or a shard. It reads what earlier lists have written, writes its files whole or not at
all, and writes the same bytes however often and wherever it runs; so any task may be killed and run again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from step1x_edit.data.agreement import View
from step1x_edit.data.avoidance import REASON as AVOIDED
from step1x_edit.data.candidates import Candidate
from step1x_edit.data.duplicates import hash_pair
from step1x_edit.data.filters import FILTERS
from step1x_edit.data.jobs import INPUTS, Job, open_survey, open_workshop
from step1x_edit.data.judging import judge
from step1x_edit.data.materials import mask_of, read_names
from step1x_edit.data.photographs import Input, blur_hidden, examine, hide
from step1x_edit.data.recipe import Limits
from step1x_edit.data.shards import SHARDS, encode_picture, pack, to_tar, write_tar
from step1x_edit.data.storage import replace_file, write_json, write_lines
from step1x_edit.data.suitability import choose_needs, look
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.triplet import Pixels
from step1x_edit.data.writer import write_words

SMALL = 256
"""Longest side of the pictures that are kept of rejected candidates."""


def survey(job: Job) -> list[PipelineStep]:
    """Photographs in; a row for each out, fit or left out with a reason."""
    return [LookOver(job)]


def make(job: Job, number: int) -> list[PipelineStep]:
    """A round of candidates: drawn, worded, sifted, written down."""
    recipe = job.recipe
    return [
        Draw(job, number),
        *(Sift(name, job) for name in FILTERS if name not in recipe.limits.off),
        *([Write(job)] if recipe.writer else []),
        *([Judge(job)] if recipe.judge else []),
        Store(job, number),
    ]


def assemble(job: Job) -> list[PipelineStep]:
    """Picked triplets in; shards out."""
    return [WriteShard(job)]


class _Step(PipelineStep):
    """A step of a job; `number` is that of the round, where it belongs to one."""

    def __init__(self, job: Job, number: int = 0) -> None:
        super().__init__()
        self.job, self.number = job, number


class LookOver(_Step):
    """Task r looks over the r-th stretch of files."""

    name, type = "look over the photographs", "inputs"

    def run(self, data: DocumentsPipeline | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        cv2.setNumThreads(0)
        recipe = self.job.recipe
        survey = open_survey(self.job)
        first, total = rank * INPUTS, len(survey.files)
        stretch = survey.files[first : first + INPUTS]
        names = read_names(file for _, path in stretch for file in (path, mask_of(path)))
        switches, slots = recipe.privacy.to_switches(), recipe.slots()
        rows = []
        for index, (folder, path) in enumerate(stretch, first):
            if path.stem in survey.split.photographs:
                found = Input(path.relative_to(folder).as_posix(), str(folder), "kept out for evaluation")
            else:
                found, pixels = examine(folder, path, survey.credits.find(path), recipe.smallest_side, recipe.largest_area, names)
                if pixels is not None and survey.avoided.shows(pixels):
                    found = dataclasses.replace(found, skipped=AVOIDED)
                if pixels is not None and not found.skipped and switches is not None:
                    found = hide(found, pixels, survey.tools, switches)
                if pixels is not None and not found.skipped:
                    found = look(found, blur_hidden(found, pixels), survey.tools, choose_needs(slots, index, total))
            self.stat_update(found.skipped or "taken")
            rows.append(found.to_row())
        write_lines(self.job.work / "photographs" / f"{rank:05d}.jsonl", rows)
        yield from ()


class Draw(_Step):
    """Task r draws the r-th block of the round's plan."""

    name, type = "draw candidates", "candidates"

    def run(self, data: DocumentsPipeline | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        workshop = open_workshop(self.job)
        block = self.job.read_plan(self.number)[rank]
        for index in range(block.first, block.first + block.count):
            with self.track_time():
                candidate = workshop.draw(block.slot, index)
            view = workshop.view(candidate) if candidate.triplet else None
            text = candidate.triplet.instruction_en if candidate.triplet else ""
            yield Document(text, candidate.id, metadata={"candidate": candidate, "view": view})


Treat = Callable[[Candidate, View], Candidate]


class Pass(_Step, ABC):
    """Something done to every candidate that has not been rejected. One that it rejects goes on, marked, with its reason and numbers."""

    @abstractmethod
    def open(self) -> Treat:
        """What is done, made ready in the process that does it."""

    def run(self, data: DocumentsPipeline | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        treat = self.open()
        for document in data or ():
            candidate: Candidate = document.metadata["candidate"]
            if candidate.rejection is None:
                with self.track_time():
                    candidate = treat(candidate, document.metadata["view"])
                self.stat_update("rejected" if candidate.rejection else "passed")
                document.metadata["candidate"] = candidate
            yield document


class Sift(Pass):
    """One filter."""

    type = "filter"

    def __init__(self, name: str, job: Job) -> None:
        self.name = name
        super().__init__(job)

    def open(self) -> Treat:
        return lambda candidate, view: sift(candidate, view, self.name, self.job.recipe.limits)


def sift(candidate: Candidate, view: View, name: str, limits: Limits) -> Candidate:
    """The candidate after one filter, with what it measured."""
    verdict = FILTERS[name](view, limits)
    if verdict.numbers:
        candidate = dataclasses.replace(candidate, numbers={**candidate.numbers, name: verdict.numbers})
    return candidate.reject(name, verdict.reason) if verdict.reason else candidate


class Write(Pass):
    """Words by an MLLM, for what has passed the filters."""

    name, type = "write the instructions", "words"

    def open(self) -> Treat:
        settings = self.job.recipe.writer
        assert settings is not None
        asker = self.job.open_asker(settings.endpoint)
        return lambda candidate, _: write_words(candidate, asker, settings.rounds, settings.examples)


class Judge(Pass):
    """The judge, for what has passed everything else."""

    name, type = "judge", "filter"

    def open(self) -> Treat:
        settings = self.job.recipe.judge
        assert settings is not None
        asker = self.job.open_asker(settings.endpoint)
        return lambda candidate, _: judge(candidate, asker, settings.least)


class Store(_Step):
    """Task r writes down the r-th block: triplets that passed, a row for every candidate, small pictures of some of the rejected."""

    name, type = "store the block", "writer"

    def run(self, data: DocumentsPipeline | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        recipe, place = self.job.recipe, self.job.round(self.number) / f"{rank:05d}"
        rows: list[dict[str, Any]] = []
        shown: dict[str, int] = {}
        with replace_file(place.with_suffix(".tar")) as kept, replace_file(place.with_suffix(".small")) as small:
            for document in data or ():
                candidate: Candidate = document.metadata["candidate"]
                row = describe(candidate)
                triplet, rejection = candidate.triplet, candidate.rejection
                if triplet is not None:
                    row["hash"] = f"{hash_pair(triplet.source, triplet.target):032x}"
                if triplet is not None and rejection is None:
                    with self.track_time():
                        stretch = to_tar(candidate.id, pack(triplet, candidate.record(), recipe.format))
                    row["at"] = [kept.tell(), len(stretch)]
                    kept.write(stretch)
                elif triplet is not None and rejection is not None:
                    shown[rejection.reason] = shown.get(rejection.reason, 0) + 1
                    if shown[rejection.reason] <= recipe.rejected_pictures:
                        stretch = to_tar(candidate.id, pack_small(triplet.source, triplet.target))
                        row["small"] = [small.tell(), len(stretch)]
                        small.write(stretch)
                rows.append(row)
        write_lines(place.with_suffix(".jsonl"), rows)
        yield from ()


def describe(candidate: Candidate) -> dict[str, Any]:
    """The row of a candidate: what it was, and why it is not in the set if it is not."""
    triplet, rejection = candidate.triplet, candidate.rejection
    return {
        "id": candidate.id,
        "category": candidate.slot.category.value,
        "route": candidate.provenance["route"],
        "stage": rejection.stage if rejection else "",
        "reason": rejection.reason if rejection else "",
        "numbers": candidate.numbers,
        "edit": triplet.edit if triplet else "",
        "instruction_en": triplet.instruction_en if triplet else "",
        "instruction_zh": triplet.instruction_zh if triplet else "",
    }


def pack_small(source: Pixels, target: Pixels) -> dict[str, bytes]:
    """Small pictures of a rejected candidate."""
    return {f"{name}.jpg": encode_picture(shrink(picture, SMALL), "jpg") for name, picture in (("source", source), ("target", target))}


class WriteShard(_Step):
    """Task r puts the r-th shard together from the blocks."""

    name, type = "write a shard", "writer"

    def run(self, data: DocumentsPipeline | None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        picks = self.job.read_picks(rank)
        path = self.job.out / SHARDS / f"triplets-{rank:05d}.tar"
        length, digest = write_tar(path, (read_stretch(self.job.work / file, offset, size) for _, file, offset, size in picks))
        write_json(
            self.job.work / "shards" / f"{rank:05d}.json", {"file": path.name, "triplets": len(picks), "bytes": length, "sha256": digest}
        )
        yield from ()


def read_stretch(path: Path, offset: int, length: int) -> bytes:
    """A stretch of a block's file."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def order_key(seed: int, name: str) -> str:
    """Where in the set a triplet comes: mixed, but always the same."""
    return hashlib.sha256(f"{seed}/order/{name}".encode()).hexdigest()
