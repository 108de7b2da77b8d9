"""Every single answer as CSV and Parquet, and nothing in it that leads back to a person."""

from __future__ import annotations

import re
from pathlib import Path

import pandas
import pytest
from sqlalchemy import select
from study_hall import SYSTEMS, Hall, Visitor
from study_material import TASKS
from study_votes import ballot, check, record

from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.study.ballots import read_record
from step1x_edit.study.export import COLUMNS, DECOY_NAME, export, list_rows
from step1x_edit.study.store import JUDGEMENT, PERSON, SCREEN


@pytest.fixture
def people(hall: Hall) -> list[Visitor]:
    """Two people to the end, one of whom skipped something, and one who stopped early."""
    visitors = [hall.enter() for _ in range(3)]
    for visitor in visitors:
        visitor.join()
        visitor.vote(overall_A="10")
    visitors[1].post("/skip", visitors[1].form(reason="unpleasant"))
    visitors[0].finish()
    visitors[1].finish()
    return visitors


def read(file: Path) -> pandas.DataFrame:
    return pandas.read_parquet(file) if file.suffix == ".parquet" else pandas.read_csv(file)


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_every_answer_is_there_once(hall: Hall, people: list[Visitor], tmp_path: Path, name: str) -> None:
    count = export(read_record(hall.engine, "study"), tmp_path / name)
    table = read(tmp_path / name)
    assert list(table.columns) == list(COLUMNS) and len(table) == count == 3 * (7 + 6 + 1) + 1
    with hall.engine.connect() as connection:
        kept = connection.execute(select(JUDGEMENT.c.place, JUDGEMENT.c.overall, JUDGEMENT.c.identity)).all()
    judged = table[table.skipped.isna()]
    assert sorted(map(tuple, judged[["place", "overall", "identity"]].astype(int).to_numpy())) == sorted(map(tuple, kept))
    assert set(judged.system) == {*SYSTEMS, DECOY_NAME} and set(table.task) <= set(TASKS) and set(table.kind) == {"case", "check", "repeat"}
    skipped = table[table.skipped.notna()]
    assert list(skipped.skipped) == ["unpleasant"] and skipped[["slot", "system", "place", "overall"]].isna().all(axis=None)
    assert sorted(table.person.unique()) == [1, 2, 3] and table[["intersection", "attentive"]].dtypes.eq(bool).all()
    assert sorted(judged.slot.unique()) == [1, 2, 3]


@pytest.mark.parametrize("name", ["votes.csv", "votes.parquet"])
def test_nothing_leads_back_to_a_person(hall: Hall, people: list[Visitor], tmp_path: Path, name: str) -> None:
    export(read_record(hall.engine, "study"), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    with hall.engine.connect() as connection:
        screens = connection.execute(select(SCREEN)).all()
        digests = connection.execute(select(PERSON.c.link_digest)).scalars().all()
    secrets = {token for screen in screens for token in (*screen.tokens, screen.nonce)} | {*digests, *(p.link for p in people)}
    assert len(secrets) > 60 and not [secret for secret in secrets if secret.encode() in data]
    text = read(tmp_path / name).to_csv()
    assert not re.search(r"\d{4}-\d\d-\d\d|\d{9,}|\d+\.\d+\.\d+\.\d+|127\.|testclient", text), "no date, clock time or address"
    assert not re.search(r"\d\.[1-9]", read(tmp_path / name).seconds.to_csv()), "whole seconds"


def test_two_exports_number_people_on_their_own() -> None:
    orders = set()
    for _ in range(3):
        votes = [ballot(person, 1, {1: 2, 2: 4}) for person in (1, 2)]
        orders.add(tuple(row[0] for row in list_rows(record(votes))))
    assert orders == {(1, 1, 2, 2)}, "numbers are those of the reading, and a reading draws them anew"


def test_who_failed_is_marked() -> None:
    votes = [ballot(1, 1, {1: 2, 2: 4}), check(1, True), ballot(2, 1, {1: 2, 2: 4}), check(2, False)]
    attentive = {(row[0], row[-1]) for row in list_rows(record(votes))}
    assert attentive == {(1, True), (2, False)}
    assert {row[-1] for row in list_rows(record(votes), allowed_failures=1)} == {True}
    decoys = [row for row in list_rows(record(votes)) if row[list(COLUMNS).index("system")] == DECOY_NAME]
    assert len(decoys) == 2


def test_an_empty_study_is_an_empty_table(tmp_path: Path) -> None:
    for name in ("none.csv", "none.parquet"):
        assert export(record([]), tmp_path / name) == 0
        assert list(read(tmp_path / name).columns) == list(COLUMNS)


def test_a_table_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    votes = record([ballot(1, 1, {1: 2, 2: 4})])
    with pytest.raises(UsageError, match=r"neither in \.csv nor in \.parquet"):
        export(votes, tmp_path / "votes.xlsx")
    with pytest.raises(UsageError, match="does not exist"):
        export(votes, tmp_path / "no" / "votes.csv")
    (tmp_path / "votes.csv").mkdir()
    with pytest.raises(Step1XError, match="cannot be written"):
        export(votes, tmp_path / "votes.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["votes.csv"]
