"""Read what people said out of the study's database, without anything that says who they were.

People are numbered anew at every reading, in random order, so that neither two exports nor the order of arrival can be put together.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from step1x_edit.study.assignment import DECOY, Design, Kind
from step1x_edit.study.store import CASE, JUDGEMENT, PERSON, SCREEN, SYSTEM, VOTE, StoreError, design_of, first_line, read_study

ATTENTIVE_RATING = 4
"""Choice: whoever calls the decoy of a check better than poor, or puts anything below it, has failed the check."""


@dataclass(frozen=True)
class Ballot:
    """What one person said in one comparison, in the order shown.

    Attributes:
        person: a number that means nothing outside this reading; from 1.
        position: the comparison's place in the person's session; from 1.
        kind: a case that counts, an attention check, or a repeat.
        case: the case's number.
        common: every system answered the case (the intersection subset).
        systems: numbers of the systems shown; 0 is the decoy of a check.
        places: 1 is best; ties share a place.
        overall: 2, 4, 6, 8 or 10 each.
        identity: 2, 4, 6, 8 or 10 each.
        seconds: from the first showing to the answer, breaks included.
        skipped: why it was not answered; then places and ratings are empty.
    """

    person: int
    position: int
    kind: Kind
    case: int
    task: str
    language: str
    key: str
    common: bool
    systems: tuple[int, ...]
    places: tuple[int, ...]
    overall: tuple[int, ...]
    identity: tuple[int, ...]
    seconds: float
    skipped: str | None = None


@dataclass(frozen=True)
class Record:
    """A whole study, as its statistics need it.

    Attributes:
        title: of the study.
        design: what was wanted.
        systems: number -> name.
        cases: how many there are.
        tasks: their names, sorted.
        people: how many consented; those who have deleted their data are not among them.
        finished: how many of them came to the end.
        ballots: sorted by person and position, skipped ones among them.
    """

    title: str
    design: Design
    systems: Mapping[int, str]
    cases: int
    tasks: tuple[str, ...]
    people: int
    finished: int
    ballots: tuple[Ballot, ...]

    def votes(self, kind: Kind = Kind.CASE) -> list[Ballot]:
        """The answered ballots of a kind."""
        return [ballot for ballot in self.ballots if ballot.kind is kind and ballot.skipped is None]


def read_record(engine: Engine, name: str) -> Record:
    """Read a study, at one moment, from a database that may be in use.

    Raises:
        UsageError: the database holds no study.
        StoreError: it cannot be read to its end.
    """
    study = read_study(engine, name)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")  # by default each statement would see a moment of its own
    try:
        with engine.connect() as connection:
            systems = {row.id: row.name for row in connection.execute(select(SYSTEM).order_by(SYSTEM.c.id))}
            tasks = sorted({row.task for row in connection.execute(select(CASE.c.task))})
            cases = len(connection.execute(select(CASE.c.id)).all())
            people = connection.execute(select(PERSON.c.id, PERSON.c.finished)).all()
            numbers = list(range(1, len(people) + 1))
            secrets.SystemRandom().shuffle(numbers)
            pseudonyms = {person.id: number for person, number in zip(people, numbers, strict=True)}
            ballots = _read_ballots(connection, pseudonyms, len(systems))
    except DBAPIError as error:
        raise StoreError(f"{name} cannot be read to its end ({first_line(error)}).") from error
    finished = sum(person.finished for person in people)
    return Record(study.title, design_of(study), systems, cases, tuple(tasks), len(people), finished, tuple(ballots))


def passes(ballot: Ballot) -> bool:
    """Whether a person saw that the decoy of an attention check is no answer: nothing is placed below it, and it is rated poor or worse."""
    slot = ballot.systems.index(DECOY)
    return ballot.places[slot] == max(ballot.places) and ballot.overall[slot] <= ATTENTIVE_RATING


def find_inattentive(ballots: Iterable[Ballot], allowed: int = 0) -> set[int]:
    """The people who failed more than `allowed` attention checks."""
    failures: dict[int, int] = {}
    for ballot in ballots:
        if ballot.kind is Kind.CHECK and ballot.skipped is None and not passes(ballot):
            failures[ballot.person] = failures.get(ballot.person, 0) + 1
    return {person for person, count in failures.items() if count > allowed}


def _read_ballots(connection: Connection, pseudonyms: Mapping[int, int], systems: int) -> list[Ballot]:
    said: dict[int, list[tuple[int, int, int]]] = {}
    for row in connection.execute(select(JUDGEMENT).order_by(JUDGEMENT.c.screen, JUDGEMENT.c.slot)):
        said.setdefault(row.screen, []).append((row.place, row.overall, row.identity))
    query = (
        select(SCREEN, VOTE.c.skipped, VOTE.c.seconds, CASE.c.task, CASE.c.language, CASE.c.key, CASE.c.systems)
        .join_from(SCREEN, VOTE, VOTE.c.screen == SCREEN.c.id)
        .join(CASE, CASE.c.id == SCREEN.c.case_id)
    )
    ballots = []
    for row in connection.execute(query):
        places, overall, identity = _turn(said.get(row.id, []))
        ballots.append(
            Ballot(
                person=pseudonyms[row.person],
                position=row.position,
                kind=Kind(row.kind),
                case=row.case_id,
                task=row.task,
                language=row.language,
                key=row.key,
                common=len(row.systems) == systems,
                systems=tuple(row.slots),
                places=places,
                overall=overall,
                identity=identity,
                seconds=row.seconds,
                skipped=row.skipped,
            )
        )
    return sorted(ballots, key=lambda ballot: (ballot.person, ballot.position))


def _turn(rows: Sequence[tuple[int, int, int]]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return tuple(row[0] for row in rows), tuple(row[1] for row in rows), tuple(row[2] for row in rows)
