"""A build under way: its recipe, its folder, and where the pieces of the work lie until the set is finished.

The set's folder:
    recipe.json                 the resolved recipe
and in it, until the set is finished, the folder `work`:
    inventory.json              the files that the set is made of, as they were when it was begun
    avoided.json                perceptual hashes of the pictures that no photograph may show
    photographs/00000.jsonl     inputs looked over, a stretch of files each
    round-0/plan.json           which candidates are drawn: blocks of (category, route, first, count)
    round-0/00000.tar           the block's triplets that passed every filter, as stretches of tar
    round-0/00000.jsonl         a row for every candidate of the block
    round-0/00000.small         small pictures of the rejected ones, as stretches of tar
    picks.jsonl                 what the shards are put together from, a line for each, all of one length
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from step1x_edit.data.asking import Asker, ReadKey, no_key
from step1x_edit.data.avoidance import Avoided
from step1x_edit.data.candidates import Workshop
from step1x_edit.data.inventory import Inventory
from step1x_edit.data.licences import Credits
from step1x_edit.data.photographs import Input, leave_out_doubles
from step1x_edit.data.recipe import DataRecipe, Endpoint
from step1x_edit.data.slots import Slot
from step1x_edit.data.split import Split
from step1x_edit.data.storage import read_lines, write_bytes, write_json
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

Opened = TypeVar("Opened")

INPUTS = 64
"""Photographs looked over in one task."""


_PICKS = "picks.jsonl"

Pick = tuple[str, str, int, int]
"""A triplet's id, the block's file below the work's folder, and where in it its stretch begins and how long it is, in bytes."""


@dataclass(frozen=True)
class Block:
    """Candidates drawn in one task: numbers `first` up to `first + count` of a slot."""

    slot: Slot
    first: int
    count: int


@dataclass(frozen=True)
class Job:
    """What is built, and where. Small, so that it travels to every worker. `read_key` gives the key of the recipe's endpoints there."""

    out: Path
    recipe: DataRecipe
    read_key: ReadKey = no_key

    @property
    def work(self) -> Path:
        """Folder of everything that is not the set yet."""
        return self.out / "work"

    def round(self, number: int) -> Path:
        """Folder of a round of candidates."""
        return self.work / f"round-{number}"

    def open_asker(self, endpoint: Endpoint) -> Asker:
        """Ask an endpoint; its answers are kept beside the work."""
        return Asker.open(endpoint, self.read_key(), self.work / "answers")

    @property
    def inventory(self) -> Path:
        """Where the list of the files lies that the set is made of."""
        return self.work / "inventory.json"

    @property
    def avoided(self) -> Path:
        """Where the hashes lie of the pictures that no photograph may show."""
        return self.work / "avoided.json"

    def read_plan(self, number: int) -> list[Block]:
        """The blocks of a round."""
        rows: list[list[Any]] = json.loads((self.round(number) / "plan.json").read_text(encoding="utf-8"))
        return [Block(Slot(EditCategory(category), route), first, count) for category, route, first, count in rows]

    def write_plan(self, number: int, blocks: Sequence[Block]) -> None:
        """Write down the blocks of a round; raises UsageError where an earlier run has planned others."""
        values = [[*block.slot, block.first, block.count] for block in blocks]
        path = self.round(number) / "plan.json"
        if path.exists() and json.loads(path.read_text(encoding="utf-8")) != values:
            raise UsageError(f"{self.out} was begun with blocks of another size; give executor.block as it was.")
        write_json(path, values)

    def write_picks(self, picks: Sequence[Pick]) -> int:
        """Write down what the shards are put together from; returns how many there are.

        All lines have the same length, so that whoever writes a shard reads its own alone, however many there are.
        """
        size = self.recipe.shard
        lines = [json.dumps(picks[start : start + size]).encode() for start in range(0, len(picks), size)]
        longest = max(map(len, lines), default=0)
        write_bytes(self.work / _PICKS, b"".join(line.ljust(longest) + b"\n" for line in lines))
        return len(lines)

    def read_picks(self, shard: int) -> list[Pick]:
        """What one shard is put together from."""
        with (self.work / _PICKS).open("rb") as lines:
            lines.seek(shard * len(lines.readline()))
            return [(name, file, offset, length) for name, file, offset, length in json.loads(lines.readline())]

    def read_inputs(self) -> list[Input]:
        """The photographs as they were looked over, each of them once."""
        paths = sorted((self.work / "photographs").glob("*.jsonl"))
        return leave_out_doubles(Input.from_row(row) for path in paths for row in read_lines(path))


@dataclass(frozen=True)
class Survey:
    """What the photographs of a build are looked over with: folder and path of each, their licences, what is kept out, the tools."""

    files: tuple[tuple[Path, Path], ...]
    credits: Credits
    split: Split
    avoided: Avoided
    tools: Toolbox

    @classmethod
    def open(cls, job: Job) -> Survey:
        """Read it."""
        files = tuple((Path(folder), Path(path)) for folder, path in Inventory.read(job.inventory).photographs)
        recipe = job.recipe
        return cls(files, Credits(recipe.photos), recipe.read_split(), Avoided.read(job.avoided), recipe.open_tools())


def cut_blocks(slot: Slot, first: int, count: int, block: int) -> list[Block]:
    """Candidates `first` up to `first + count` in blocks of at most `block`."""
    return [Block(slot, start, min(block, first + count - start)) for start in range(first, first + count, block)]


def interleave(groups: Sequence[Sequence[Block]]) -> list[Block]:
    """Blocks of all slots by turns, so that the slow ones do not all come last."""
    longest = max((len(group) for group in groups), default=0)
    return [group[i] for i in range(longest) for group in groups if i < len(group)]


_opened: dict[str, Workshop] = {}
_surveys: dict[str, Survey] = {}


def open_workshop(job: Job) -> Workshop:
    """The job's workshop, opened once a process."""
    _surveys.clear()  # models that the tools have loaded need not be there twice
    return _open(_opened, job, lambda: Workshop(job.recipe, job.read_inputs()))


def open_survey(job: Job) -> Survey:
    """What the job's photographs are looked over with, opened once a process: reading it takes longer, the more photographs there are."""
    return _open(_surveys, job, lambda: Survey.open(job))


def _open(opened: dict[str, Opened], job: Job, make: Callable[[], Opened]) -> Opened:
    """What was opened for the same build; one that is begun anew writes its inventory anew, whatever its folder was used for before."""
    state = job.inventory.stat()
    key = f"{job.out}\n{state.st_ino} {state.st_mtime_ns}\n{job.recipe.model_dump_json()}"
    if key not in opened:
        opened.clear()
        opened[key] = make()
    return opened[key]
