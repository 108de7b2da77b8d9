"""Open a study: begin a new one, or go on with the one in the database, if it is about the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from step1x_edit.errors import UsageError
from step1x_edit.study.assignment import MOST_SYSTEMS, Design
from step1x_edit.study.claim import claim_database
from step1x_edit.study.pictures import CasePictures, Gallery, gather
from step1x_edit.study.results import Collection
from step1x_edit.study.store import (
    SCHEMA,
    STUDY,
    Study,
    StudyCaseRow,
    create_tables,
    design_of,
    fingerprint,
    first_line,
    may_hold_study,
    name_of,
    new_secrets,
    open_engine,
    read_study,
    write_study,
)

Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Given what is done and how often, a context whose value is called after each."""


@dataclass(frozen=True)
class OpenStudy:
    """A study that can be served."""

    engine: Engine
    study: Study
    design: Design
    gallery: Gallery


def silently(_: str, __: int) -> AbstractContextManager[Callable[[], None]]:
    """No progress is shown."""
    return nullcontext(lambda: None)


def open_study(
    database: str,
    collection: Collection,
    design: Design,
    title: str,
    contact: str,
    cache: Path,
    progress: Progress = silently,
) -> OpenStudy:
    """Open a study and draw its pictures.

    Args:
        database: a path or a URL; a new SQLite file is made where there is none.
        collection: what is shown.
        design: what is wanted; may change between openings, all else may not.
        title: shown on every page.
        contact: whom people may write to, shown on the consent page.
        cache: folder for the pictures as they are served.
        progress: shows how far the drawing is.

    Raises:
        UsageError: the design asks for more than the cases allow, or the database holds another study, or another server has it,
            or nothing can be written to it.
        ImageError: a picture cannot be read.
    """
    check_design(design, collection)
    engine = open_engine(database, create=True)
    with ExitStack() as unless_opened:
        unless_opened.callback(engine.dispose)
        with claim_database(engine):  # a server that is refused must have changed nothing
            with progress("reading", len(collection.cases)) as step:
                pictures = []
                for each in gather(collection.cases, collection.systems):
                    pictures.append(each)
                    step()
            gallery = Gallery(cache, dict(enumerate(pictures, 1)))

            def draw() -> None:
                with progress("drawing", len(pictures)) as step:
                    gallery.render(step)

            try:
                study = _begin_or_continue(engine, collection, design, title, contact, pictures, draw)
            except DBAPIError as error:  # no right to make tables, a full disk, letters that the database's encoding lacks
                raise UsageError(f"{name_of(engine)} cannot keep this study ({first_line(error)}).") from error
        unless_opened.pop_all()
    return OpenStudy(engine, study, design_of(study), gallery)


def check_design(design: Design, collection: Collection) -> None:
    """Refuse a design that cannot be carried out with these cases.

    Raises:
        UsageError: a number is out of range, or a person would have to see more cases than there are.
    """
    if not 2 <= design.systems_per_screen <= MOST_SYSTEMS:
        raise UsageError(f"People compare 2 to {MOST_SYSTEMS} systems at once, not {design.systems_per_screen}.")
    if design.people_per_case < 1 or design.cases_per_person < 1 or design.checks < 0 or design.repeats < 0:
        raise UsageError("People per case and cases per person must be at least 1, checks and repeats at least 0.")
    languages = {case.language for case in collection.cases}
    fewest = min(sum(case.language == language for case in collection.cases) for language in languages)
    if design.cases_per_person + design.checks > fewest:
        raise UsageError(
            f"There are {fewest} cases in a language, fewer than the {design.cases_per_person} cases and {design.checks} checks "
            "of one person; ask for fewer with --cases-per-person or --checks."
        )
    if design.repeats > design.cases_per_person:
        raise UsageError(f"A person can repeat at most their {design.cases_per_person} cases, not {design.repeats}; lower --repeats.")


def _begin_or_continue(
    engine: Engine,
    collection: Collection,
    design: Design,
    title: str,
    contact: str,
    pictures: Sequence[CasePictures],
    draw: Callable[[], None],
) -> Study:
    """The study of the database.

    `draw` draws its pictures, once they are known to be its own, and before a new study is kept: of files that turn out to be damaged there
    must be none, which the mended files would no longer fit.
    """
    content = [[c.task, c.language, c.key, c.instruction, p.digest] for c, p in zip(collection.cases, pictures, strict=True)]
    identity = fingerprint({"systems": collection.systems, "cases": content})
    if not may_hold_study(engine):
        raise UsageError(f"{name_of(engine)} is a database of something else; give the study one of its own.")
    create_tables(engine)
    with engine.connect() as connection:
        begun = connection.execute(select(STUDY.c.id)).first()
    if begun is None:
        study = Study(format=SCHEMA, title=title, contact=contact, fingerprint=identity, form_key=new_secrets(1)[0], design=asdict(design))
        numbers = {name: number for number, name in enumerate(collection.systems, 1)}
        cases = [
            StudyCaseRow(
                id=i, task=c.task, language=c.language, key=c.key, instruction=c.instruction, systems=[numbers[n] for n in c.results]
            )
            for i, c in enumerate(collection.cases, 1)
        ]
        draw()
        write_study(engine, study, {number: name for name, number in numbers.items()}, cases)
        return study
    study = read_study(engine, name_of(engine))
    if study.fingerprint != identity:
        raise UsageError(
            f"{name_of(engine)} belongs to a study of other results or instructions; give another --db, or the folders it began with."
        )
    draw()
    with engine.begin() as connection:
        values = {"title": title, "contact": contact, "design": asdict(design)}
        connection.execute(STUDY.update().values(values))
    return read_study(engine, name_of(engine))
