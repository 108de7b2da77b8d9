"""A hall with a study in it, and its visitors: browsers without a screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.engine import Engine
from study_people import form_token, read_page

from step1x_edit.study.assignment import Design
from step1x_edit.study.opening import OpenStudy
from step1x_edit.study.service import Service

SYSTEMS = ("aurora", "borealis", "corvus", "draco")
DESIGN = Design(systems_per_screen=3, people_per_case=3, cases_per_person=5, checks=1, repeats=1)


@dataclass
class Visitor:
    """One person's browser."""

    client: object
    history: list[dict[str, str]] = field(default_factory=list)

    def get(self, path: str, **options):
        """A page."""
        return self.client.get(path, follow_redirects=False, **options)

    def post(self, path: str, form: dict[str, str], **options):
        """Send a form."""
        return self.client.post(path, data=form, follow_redirects=False, **options)

    @property
    def link(self) -> str:
        """The secret of the private link, which is what the cookie holds."""
        return self.client.cookies[self.cookie]

    @property
    def cookie(self) -> str:
        """The name of the study's cookie."""
        (name,) = self.client.cookies
        return name

    def join(self, language: str = "en", **changes: str):
        """Agree on the consent page."""
        form = {"form_token": form_token(self.get("/").text), "consent": "yes", "language": language}
        return self.post("/join", form | changes)

    def form(self, **changes: str) -> dict[str, str]:
        """The form before this person, filled in as a sensible person might: better the further right."""
        page = read_page(self.get("/compare").text)
        form = {"form_token": page.form_token, "position": str(page.position), "nonce": page.nonce}
        for index, letter in enumerate("ABCDEF"[: page.count]):
            form |= {f"place_{letter}": str(page.count - index), f"overall_{letter}": str(2 + 2 * index), f"identity_{letter}": "8"}
        return form | changes

    def vote(self, **changes: str):
        """Send the filled-in form."""
        form = self.form(**changes)
        self.history.append(form)
        return self.post("/vote", form)

    def finish(self) -> int:
        """Vote until nothing is left; returns how often."""
        count = 0
        while 'action="/vote"' in self.get("/compare").text:
            assert self.vote().status_code == 303
            count += 1
        return count


@dataclass
class Hall:
    """A study that is open to visitors."""

    opened: OpenStudy
    enter: Callable[[], Visitor]
    service: Service

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.opened.engine
