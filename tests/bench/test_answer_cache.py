"""Answers of a judge on a disk that is full or failed: one sentence, and what is there is kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from step1x_edit.bench.judges.cache import AnswerCache
from step1x_edit.bench.judges.judge import Reply
from step1x_edit.errors import Step1XError


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    with closing(AnswerCache(path)) as cache:
        for number in range(400):
            cache.keep(f"name {number}", Reply("x" * 300), 0.1)
    data = bytearray(path.read_bytes())
    data[20_000:90_000] = b"A" * 70_000
    path.write_bytes(data)
    with closing(AnswerCache(path)) as cache, pytest.raises(Step1XError, match=r"cannot be used .*move that file away"):
        cache.read()


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    with closing(AnswerCache(tmp_path / "answers.sqlite")) as cache:
        cache.keep("first", Reply("one"), 0.1)
        (pages,) = cache._database.execute("PRAGMA page_count").fetchone()
        cache._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(Step1XError, match=r"database or disk is full.*are kept"):
            cache.keep("second", Reply("x" * 100_000), 0.1)
    with closing(AnswerCache(tmp_path / "answers.sqlite")) as cache:
        assert list(cache.read()) == ["first"]
