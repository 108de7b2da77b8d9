"""What is known of the candidates, in SQLite: each decision is on the disk before it counts, so a review goes on where it stopped.

Candidates have random names. Nothing of a request is kept but its checksum, which says that it is done; it goes into no case and no log.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from step1x_edit.bench.building.requests import GAP
from step1x_edit.bench.gedit import TASKS
from step1x_edit.errors import Step1XError, UsageError

DATABASE = "review.sqlite"
PICTURES = "pictures"
STATES = ("open", "accepted", "rejected", "skipped")

_TABLE = """CREATE TABLE IF NOT EXISTS candidates (number INTEGER PRIMARY KEY, name TEXT, state TEXT, reason TEXT, task TEXT,
english TEXT, chinese TEXT, intent INTEGER, replaced INTEGER, likeness REAL, hidden TEXT, questions TEXT, hash TEXT, request TEXT)"""
_COLUMNS = "number, name, state, reason, task, english, chinese, intent, replaced, likeness, hidden, questions, hash, request"


@dataclass(frozen=True)
class Candidate:
    """A request on its way to a case.

    Attributes:
        number: in the order in which they came.
        name: random; of its picture too. Empty where the request was skipped.
        state: one of `STATES`.
        reason: why it was rejected or skipped.
        task: which task; empty while nobody knows.
        english: the instruction.
        chinese: the same in Chinese.
        intent: the number of what it asks for; equal numbers ask for the same.
        replaced: whether the picture is a public look-alike.
        likeness: of the look-alike.
        hidden: kinds of personal data that were hidden.
        questions: what the reviewer must look at.
        hash: perceptual hash of the cleared picture, in hexadecimal digits.
        request: checksum of the request, and which of those with this one it is.
    """

    number: int
    name: str
    state: str
    reason: str
    task: str = ""
    english: str = ""
    chinese: str = ""
    intent: int = 0
    replaced: bool = False
    likeness: float | None = None
    hidden: Sequence[str] = ()
    questions: Sequence[str] = ()
    hash: str = ""
    request: str = ""


class Store:
    """The candidates of one folder; several threads may use it."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        path = folder / DATABASE
        if not create and not path.is_file():
            raise UsageError(f"{folder} holds no review; make one with step1x bench build collect.")
        self.folder = folder
        self._lock = threading.Lock()
        try:
            (folder / PICTURES).mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            for command in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA secure_delete=ON", _TABLE):
                self._database.execute(command)
            columns = {row[1] for row in self._database.execute("PRAGMA table_info(candidates)")}
            if "request" not in columns:  # made before there were checksums
                self._database.execute("ALTER TABLE candidates ADD COLUMN request TEXT DEFAULT ''")
        except (OSError, sqlite3.Error) as error:
            raise Step1XError(f"{path} cannot be used as a database ({error}).") from error

    def close(self) -> None:
        """Nothing is lost without it."""
        self._database.close()

    def add(self, candidate: Candidate) -> None:
        """Keep a new candidate, or another outcome of the one of this number."""
        values = {**vars(candidate), "hidden": json.dumps(candidate.hidden), "questions": json.dumps(candidate.questions)}
        names = _COLUMNS.split(", ")
        marks = ", ".join("?" * len(names))
        with self._lock:
            self._database.execute(f"INSERT OR REPLACE INTO candidates ({_COLUMNS}) VALUES ({marks})", [values[name] for name in names])

    def read(self) -> list[Candidate]:
        """All of them, by number."""
        with self._lock:
            rows = self._database.execute(f"SELECT {_COLUMNS} FROM candidates ORDER BY number").fetchall()
        return [_read_row(row) for row in rows]

    def find(self, name: str) -> Candidate | None:
        """One by its name."""
        with self._lock:
            row = self._database.execute(f"SELECT {_COLUMNS} FROM candidates WHERE name = ? AND name != ''", (name,)).fetchone()
        return None if row is None else _read_row(row)

    def group(self, intents: dict[int, int]) -> None:
        """Keep the intents, by number of the candidate."""
        with self._lock:
            self._database.executemany("UPDATE candidates SET intent = ? WHERE number = ?", [(i, n) for n, i in intents.items()])

    def accept(self, name: str, task: str, english: str, chinese: str) -> None:
        """It becomes a case, with these words.

        Raises:
            UsageError: something is still missing, or it is decided already.
        """
        if task not in TASKS:
            raise UsageError("Choose a task first.")
        if not english or not chinese:
            raise UsageError("A case needs its instruction in English and in Chinese.")
        if GAP in english + chinese:
            raise UsageError(f"Fill the gap {GAP} first.")
        self._decide(name, "accepted", "", task, english, chinese)

    def reject(self, name: str, reason: str) -> None:
        """It does not become a case.

        Raises:
            UsageError: no reason is given, or it is decided already.
        """
        if not reason:
            raise UsageError("Say why it is rejected.")
        found = self.find(name)
        self._decide(name, "rejected", reason, *((found.task, found.english, found.chinese) if found else ("", "", "")))

    def reopen(self, name: str) -> None:
        """Take a decision back."""
        with self._lock:
            self._database.execute("UPDATE candidates SET state = 'open', reason = '' WHERE name = ?", (name,))

    def _decide(self, name: str, *values: str) -> None:
        with self._lock:
            done = self._database.execute(
                "UPDATE candidates SET state = ?, reason = ?, task = ?, english = ?, chinese = ? WHERE name = ? AND state = 'open'",
                (*values, name),
            )
        if done.rowcount != 1:
            raise UsageError("Somebody decided on this candidate meanwhile; to decide otherwise, look at it again.")


def _read_row(row: Sequence[Any]) -> Candidate:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    lists = {name: tuple(json.loads(values[name])) for name in ("hidden", "questions")}
    return Candidate(**{**values, **lists, "replaced": bool(values["replaced"])})
