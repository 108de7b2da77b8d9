"""The books of a set: where the bytes of every kept candidate lie, and which ones were rejected and why.

Of the millions that are rejected none stays in memory: each round's are written down as they come, and put together at the end.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator

from step1x_edit.data.jobs import Job, Pick
from step1x_edit.data.pipeline import pack_small, read_stretch
from step1x_edit.data.selection import KEPT, SPARE, Row
from step1x_edit.data.shards import decode_pair, read_sample, to_tar, write_tar
from step1x_edit.data.storage import replace_file, write_lines

REJECTED, REJECTED_PICTURES = "rejected.jsonl", "rejected.tar"

_OWN = ("hash", "at", "small")
"""What a row says to the build alone."""


class Books:
    """What is written down of candidates once their fate is known.

    Attributes:
        picks: the kept ones, in the order in which they were kept.
    """

    def __init__(self, job: Job) -> None:
        """Begin with nothing."""
        self.picks: list[Pick] = []
        self._job = job
        self._rounds = 0
        self._shown: list[Row] = []
        self._pictures: Counter[tuple[str, str]] = Counter()

    def enter(self, rows: Iterable[Row]) -> None:
        """Enter the next round's candidates, as they come."""
        rejected = ({key: value for key, value in row.values.items() if key not in _OWN} for row in self._sort(rows))
        write_lines(self._job.round(self._rounds) / REJECTED, rejected)
        self._rounds += 1

    def _sort(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Take what is kept, and leave what was rejected."""
        for row in rows:
            values = row.values
            if values["stage"] == KEPT:
                self.picks.append((values["id"], row.file, *values["at"]))
            elif values["stage"] != SPARE:
                kind = row.slot.name, values["reason"]
                if self._pictures[kind] < self._job.recipe.rejected_pictures and ("small" in values or "at" in values):
                    self._pictures[kind] += 1
                    self._shown.append(row)
                yield row

    def close(self) -> None:
        """Write the rejected ones of all rounds into the set, and the pictures of the first of each category and reason."""
        with replace_file(self._job.out / REJECTED) as whole:
            for number in range(self._rounds):
                with (self._job.round(number) / REJECTED).open("rb") as part:
                    shutil.copyfileobj(part, whole)
        write_tar(self._job.out / REJECTED_PICTURES, map(self._reduce, self._shown))

    def _reduce(self, row: Row) -> bytes:
        """Small pictures of a rejected candidate, as a stretch of tar: its block's, or of its whole triplet."""
        path = self._job.work / row.file
        if "small" in row.values:
            return read_stretch(path.with_suffix(".small"), *row.values["small"])
        return to_tar(row.values["id"], pack_small(*decode_pair(read_sample(read_stretch(path, *row.values["at"])))))
