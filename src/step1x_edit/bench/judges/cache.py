"""Answers that were paid for once: kept in SQLite, found by everything that the answer depends on."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from step1x_edit.bench.calls import Usage
from step1x_edit.bench.judges.judge import Reply
from step1x_edit.errors import Step1XError


@dataclass(frozen=True)
class Kept:
    """A cached answer. `refusal` says why there is none, where the judge refused."""

    text: str
    refusal: str
    usage: Usage
    cost: float
    model: str
    when: str


class AnswerCache:
    """A file of answers that several threads use; each answer is on the disk before it counts."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.Lock()
        with self._explain():
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=30, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS answers "
                "(name TEXT PRIMARY KEY, text TEXT, refusal TEXT, usage TEXT, cost REAL, model TEXT, moment TEXT)"
            )
            self._database.execute("CREATE TABLE IF NOT EXISTS digests (file TEXT PRIMARY KEY, stamp TEXT, digest TEXT)")
            self._digests: dict[str, tuple[str, str]] = {
                file: (stamp, digest) for file, stamp, digest in self._database.execute("SELECT file, stamp, digest FROM digests")
            }

    def close(self) -> None:
        """Nothing is lost without it."""
        self._database.close()

    def read(self) -> dict[str, Kept]:
        """All answers by name."""
        with self._explain():
            rows = self._database.execute("SELECT name, text, refusal, usage, cost, model, moment FROM answers").fetchall()
        return {name: Kept(text, refusal, Usage(**json.loads(usage)), *rest) for name, text, refusal, usage, *rest in rows}

    def keep(self, name: str, reply: Reply, cost: float, refusal: str = "") -> Kept:
        """Write an answer."""
        text, refusal, model = (_make_whole(each) for each in (reply.text, refusal, reply.model))
        kept = Kept(text, refusal, reply.usage, cost, model, datetime.now(UTC).isoformat(timespec="seconds"))
        values = (name, kept.text, refusal, json.dumps(asdict(reply.usage)), cost, kept.model, kept.when)
        with self._lock, self._explain():
            self._database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        return kept

    def digest(self, path: Path) -> str:
        """Checksum of a file's bytes; worked out again only where its size or time has changed."""
        status = path.stat()
        stamp = f"{status.st_size}/{status.st_mtime_ns}"
        known = self._digests.get(str(path))
        if known and known[0] == stamp:
            return known[1]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with self._lock, self._explain():
            self._digests[str(path)] = (stamp, digest)
            self._database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?)", (str(path), stamp, digest))
        return digest

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # a full disk, a file that may not be written
            raise Step1XError(f"The answers in {self._path} cannot be read or written ({error}); those that are in it are kept.") from error
        except sqlite3.Error as error:
            raise Step1XError(f"The answers in {self._path} cannot be used ({error}); move that file away to ask anew.") from error


def _make_whole(text: str) -> str:
    """Without halves of characters, which JSON can hold and no file can."""
    return text.encode("utf-8", "replace").decode()


def name_answer(facts: Mapping[str, Any], rubric: str, part: str, instruction: str, digests: tuple[str, ...], repeat: int) -> str:
    """A name that two questions share only where they are the same in everything."""
    whole = json.dumps([dict(facts), rubric, part, instruction, digests, repeat], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(whole.encode()).hexdigest()
