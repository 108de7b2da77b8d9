"""Result folders, studies opened on them, and browsers without a screen that take part."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from study_material import make_results
from study_people import form_token, read_page

from step1x_edit.study.app import Service, create_app
from step1x_edit.study.assignment import Design
from step1x_edit.study.opening import OpenStudy, open_study
from step1x_edit.study.results import read_results

SYSTEMS = ("aurora", "borealis", "corvus", "draco")
DESIGN = Design(systems_per_screen=3, people_per_case=3, cases_per_person=5, checks=1, repeats=1)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four systems, twelve cases in each of two languages; draco has left one unanswered."""
    folder = tmp_path_factory.mktemp("results")
    make_results(folder, SYSTEMS, cases_per_task=3, languages=("en", "cn"), unanswered={"draco": ["case0000"]}, size=(96, 64))
    return folder


@pytest.fixture
def begin(results: Path, tmp_path: Path) -> Iterator[Callable[..., OpenStudy]]:
    """Open a study on the results; the second call on the same database goes on with it."""
    engines: list[Engine] = []

    def open_(design: Design = DESIGN, database: str | Path = tmp_path / "study.db", title: str = "Which is better?") -> OpenStudy:
        opened = open_study(str(database), read_results([results]), design, title, "study@example.org", results / "pictures")
        engines.append(opened.engine)
        return opened

    yield open_
    for engine in engines:
        engine.dispose()


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
        return self.client.cookies["study"]

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


@pytest.fixture
def open_hall(begin: Callable[..., OpenStudy]) -> Iterator[Callable[..., Hall]]:
    """Serve a study in this process, to as many visitors as one likes."""
    from starlette.testclient import TestClient

    clients = []

    def start(public_url: str | None = None, **options) -> Hall:
        opened = begin(**options)
        app = create_app(opened, public_url, seed=random.Random(5).randrange(1000))
        keeper = TestClient(app)
        keeper.__enter__()  # the server runs for as long as this one does
        clients.append(keeper)

        def enter() -> Visitor:
            return Visitor(TestClient(app, raise_server_exceptions=False))

        return Hall(opened, enter, app.state.service)

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def hall(open_hall: Callable[..., Hall]) -> Hall:
    """A served study."""
    return open_hall()
