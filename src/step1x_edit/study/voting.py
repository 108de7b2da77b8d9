"""What people may do, and in which order: join, vote on the comparison before them, skip it, change language, take everything back.

A person's next comparison is drawn when the one before is answered, so there is never more than one to answer, and an answer to any other
is refused. Every change runs in the writer's thread, inside a transaction: it does all of its work or none.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from step1x_edit.study.answers import SKIP_REASONS, Refusal, read_answer
from step1x_edit.study.assignment import Design, Drawn, Kind, Ledger, Seen, plan_session
from step1x_edit.study.store import CASE, JUDGEMENT, PERSON, SCREEN, SHOWN, VOTE, digest_link, drawn_of, new_secrets, read_ledger


@dataclass(frozen=True)
class Current:
    """A person, and the comparison before them; the last one, where they have finished or wait for another.

    Attributes:
        settled: whether the comparison is answered or skipped: then they have finished, or wait until one is free.
    """

    person: int
    language: str
    finished: bool
    plan: list[str]
    screen: int
    position: int
    kind: str
    case: int
    slots: list[int]
    tokens: list[str]
    nonce: str
    shown: float
    settled: bool
    instruction: str
    case_language: str

    @property
    def total(self) -> int:
        """Comparisons of the whole session."""
        return len(self.plan)

    @property
    def answered(self) -> int:
        """Comparisons that lie behind the person."""
        return self.position if self.settled else self.position - 1

    @property
    def drawn(self) -> Drawn:
        """The comparison as the assignment knows it."""
        return Drawn(Kind(self.kind), self.case, tuple(self.slots))


_CURRENT = (
    select(
        PERSON.c.id.label("person"),
        PERSON.c.language,
        PERSON.c.finished,
        PERSON.c.plan,
        SCREEN.c.id.label("screen"),
        SCREEN.c.position,
        SCREEN.c.kind,
        SCREEN.c.case_id.label("case"),
        SCREEN.c.slots,
        SCREEN.c.tokens,
        SCREEN.c.nonce,
        SCREEN.c.shown,
        VOTE.c.screen.is_not(None).label("settled"),
        CASE.c.instruction,
        CASE.c.language.label("case_language"),
    )
    .join_from(PERSON, SCREEN, SCREEN.c.person == PERSON.c.id)
    .join(CASE, CASE.c.id == SCREEN.c.case_id)
    .outerjoin(VOTE, VOTE.c.screen == SCREEN.c.id)
    .where(PERSON.c.link_digest == bindparam("digest"))
    .order_by(SCREEN.c.position.desc())
    .limit(1)
)

_HISTORY = (
    select(SCREEN.c.kind, SCREEN.c.case_id, SCREEN.c.slots, VOTE.c.skipped)
    .join_from(SCREEN, VOTE, VOTE.c.screen == SCREEN.c.id)
    .where(SCREEN.c.person == bindparam("person"))
    .order_by(SCREEN.c.position)
)
_ADD_PERSON = insert(PERSON).returning(PERSON.c.id)
_ADD_SCREEN = insert(SCREEN).returning(SCREEN.c.id)
_ADD_VOTE = insert(VOTE)
_ADD_JUDGEMENT = insert(JUDGEMENT)


def read_current(connection: Connection, link: str) -> Current | None:
    """The person of a private link and the comparison before them; None if the study knows no such person."""
    row = connection.execute(_CURRENT, {"digest": digest_link(link)}).mappings().first()
    return None if row is None else Current(**row)


class Booth:
    """Everything that changes the study. Used by the writer's thread alone.

    Args:
        design: what is wanted.
        rng: decides the assignment; what must not be guessed comes from the system instead.
    """

    def __init__(self, design: Design, rng: random.Random) -> None:
        self._design = design
        self._rng = rng
        self._ledger = Ledger((), design, rng)

    def recount(self, connection: Connection) -> None:
        """Count anew how often everything was shown: at the start, and after something was lost."""
        self._ledger = read_ledger(connection, self._design, self._rng)

    def join(self, connection: Connection, language: str) -> str:
        """Let a person in who has consented; returns their private link's secret, which is kept nowhere.

        Raises:
            Refusal: the study has all the votes it needs, or everything that it lacks is before other people.
        """
        (link,) = new_secrets(1)
        plan = [kind.value for kind in plan_session(self._design, self._rng)]
        values = {"link_digest": digest_link(link), "language": language, "plan": plan, "finished": False}
        person = connection.execute(_ADD_PERSON, values).scalar_one()
        if not self._show_next(connection, person, language, plan, []):
            raise Refusal("study_claimed" if self._ledger.lacks([], language) else "study_complete", 409)
        return link

    def look_again(self, connection: Connection, link: str) -> None:
        """Draw the next comparison of a person who waits for one, if there is one by now."""
        current = read_current(connection, link)
        if current is not None and current.settled and not current.finished:
            self._draw_or_finish(connection, current)

    def vote(self, connection: Connection, link: str, position: int, nonce: str, form: Mapping[str, str]) -> None:
        """Keep what a form says, for good, and draw the next comparison.

        Raises:
            Refusal: the comparison is not the one before this person, or the form does not answer it.
        """
        current = self._require(connection, link, position, nonce)
        answer = read_answer(form, len(current.slots))
        self._settle(connection, current, None)
        rows = zip(current.slots, answer.places, answer.overall, answer.identity, strict=True)
        connection.execute(
            _ADD_JUDGEMENT,
            [
                {"screen": current.screen, "slot": slot, "system": system, "place": place, "overall": overall, "identity": identity}
                for slot, (system, place, overall, identity) in enumerate(rows)
            ],
        )
        self._go_on(connection, current, voted=True)

    def skip(self, connection: Connection, link: str, position: int, nonce: str, reason: str) -> None:
        """Leave the comparison unanswered, with a reason, and draw the next one.

        Raises:
            Refusal: the comparison is not the one before this person, or the reason is none of `SKIP_REASONS`.
        """
        if reason not in SKIP_REASONS:
            raise Refusal("unknown_reason", 422)
        current = self._require(connection, link, position, nonce)
        self._settle(connection, current, reason)
        self._go_on(connection, current, voted=False)

    def change_language(self, connection: Connection, link: str, language: str) -> None:
        """Show pages, and from the next comparison on instructions, in another language."""
        connection.execute(update(PERSON).where(PERSON.c.link_digest == digest_link(link)).values(language=language))

    def withdraw(self, connection: Connection, link: str) -> None:
        """Delete a person, and everything that they were shown and said.

        Raises:
            Refusal: the study knows no such person.
        """
        person = connection.execute(select(PERSON.c.id).where(PERSON.c.link_digest == digest_link(link))).scalar()
        if person is None:
            raise Refusal("unknown_person", 403)
        taken_back = connection.execute(SHOWN.where(SCREEN.c.person == person)).all()
        connection.execute(delete(PERSON).where(PERSON.c.id == person))
        for row in taken_back:
            self._ledger.forget(row.id, drawn_of(row), voted=row.answered is not None and row.skipped is None)

    def _require(self, connection: Connection, link: str, position: int, nonce: str) -> Current:
        """The comparison before a person, if it is the one that the form is about."""
        current = read_current(connection, link)
        if current is None:
            raise Refusal("unknown_person", 403)
        if position <= current.answered:
            raise Refusal("already_voted", 409)
        if position != current.position:
            raise Refusal("out_of_order", 409)
        if not secrets.compare_digest(nonce.encode(errors="replace"), current.nonce.encode()):
            raise Refusal("another_person", 403)
        return current

    def _settle(self, connection: Connection, current: Current, skipped: str | None) -> None:
        values = {"screen": current.screen, "person": current.person, "case_id": current.case, "kind": current.kind}
        seconds = round(max(0.0, time.time() - current.shown), 1)
        connection.execute(_ADD_VOTE, values | {"skipped": skipped, "seconds": seconds})

    def _go_on(self, connection: Connection, current: Current, voted: bool) -> None:
        self._ledger.settle(current.screen, current.drawn, voted)
        self._draw_or_finish(connection, current)

    def _draw_or_finish(self, connection: Connection, current: Current) -> None:
        """The next comparison; without one the person has finished, unless what is missing is only before other people at the moment."""
        rows = connection.execute(_HISTORY, {"person": current.person}).all()
        history = [Seen(drawn_of(row), row.skipped is None) for row in rows]
        if self._show_next(connection, current.person, current.language, current.plan, history):
            return
        if len(history) >= len(current.plan) or not self._ledger.lacks(history, current.language):
            connection.execute(update(PERSON).where(PERSON.c.id == current.person).values(finished=True))

    def _show_next(self, connection: Connection, person: int, language: str, plan: list[str], history: Sequence[Seen]) -> bool:
        now = time.time()
        drawn = self._ledger.draw(Kind(plan[len(history)]), history, language, now) if len(history) < len(plan) else None
        if drawn is None:
            return False
        nonce, *tokens = new_secrets(len(drawn.slots) + 2)
        values = {
            "person": person,
            "position": len(history) + 1,
            "kind": drawn.kind.value,
            "case_id": drawn.case,
            "slots": list(drawn.slots),
            "tokens": tokens,
            "nonce": nonce,
            "shown": now,
        }
        screen = connection.execute(_ADD_SCREEN, values).scalar_one()
        self._ledger.show(screen, drawn, now)
        return True
