"""Result folders, and studies opened on them."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from study_hall import DESIGN, SYSTEMS, Hall, Visitor
from study_material import make_results

from step1x_edit.study.app import create_app
from step1x_edit.study.assignment import Design
from step1x_edit.study.opening import OpenStudy, open_study
from step1x_edit.study.results import read_results


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
