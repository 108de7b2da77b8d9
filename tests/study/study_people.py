"""Simulated people who take part over HTTP, with a browser's habits and known preferences."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import unescape

import httpx
from study_material import UNRELATED, look

LETTERS = "ABCDEF"


@dataclass(frozen=True)
class Taste:
    """What a person thinks of a result.

    Attributes:
        means: what each system's number deserves, on the scale of the ratings, before anything that follows.
        person_spread: standard deviation between people, of each system on its own.
        noise: standard deviation from one look to the next.
        task_effects: added for the task that a result's blocks name.
        attentive: whether the person looks at all.
    """

    means: Mapping[int, float]
    person_spread: float = 0.5
    noise: float = 1.2
    task_effects: tuple[float, ...] = (0.0, 0.6, -0.6, 0.3)
    attentive: bool = True


def quantise(value: float) -> int:
    """The nearest of worst 2, poor 4, fair 6, good 8, excellent 10."""
    return int(min(10, max(2, 2 * round(value / 2))))


@dataclass
class Opinion:
    """One person's taste, drawn once."""

    taste: Taste
    rng: random.Random
    own: dict[int, float] = field(default_factory=dict)

    def feel(self, value: int) -> float:
        """What the person feels at the sight of a result whose blocks say `value`."""
        if not self.taste.attentive:
            return self.rng.uniform(1, 11)
        if value == UNRELATED or value & 7 == 0:
            return self.rng.uniform(-4, -3)  # no answer at all
        system, task = value & 7, value >> 3
        mean = self.own.setdefault(system, self.taste.means[system] + self.rng.gauss(0, self.taste.person_spread))
        return mean + self.taste.task_effects[task] + self.rng.gauss(0, self.taste.noise)


@dataclass(frozen=True)
class Page:
    """What a form on a page says."""

    form_token: str
    position: int
    nonce: str
    pictures: tuple[str, ...]

    @property
    def count(self) -> int:
        """Results to judge; the first picture is the original."""
        return len(self.pictures) - 1


def find(pattern: str, html: str) -> str:
    """The first match of a pattern with one group."""
    found = re.search(pattern, html)
    assert found, f"no {pattern} in {html[:2000]}"
    return unescape(found[1])


def form_token(html: str) -> str:
    """The token of a page's forms."""
    return find(r'name="form_token" value="([^"]+)"', html)


def read_page(html: str) -> Page:
    """A comparison's page."""
    pictures = tuple(re.findall(r'<img src="/picture/([^"]+)"', html))
    return Page(form_token(html), int(find(r'name="position" value="(\d+)"', html)), find(r'name="nonce" value="([^"]+)"', html), pictures)


def fill_in(page: Page, feelings: list[float]) -> dict[str, str]:
    """The form of a person who feels like this about the results; a tie where they feel nearly the same."""
    rounded = [round(feeling / 0.7) for feeling in feelings]
    form = {"form_token": page.form_token, "position": str(page.position), "nonce": page.nonce}
    for letter, feeling, level in zip(LETTERS, feelings, rounded, strict=False):
        form[f"overall_{letter}"] = str(quantise(feeling))
        form[f"identity_{letter}"] = str(quantise(feeling + 1))
        form[f"place_{letter}"] = str(1 + sum(other > level for other in rounded))
    return form


async def join(client: httpx.AsyncClient, language: str = "en") -> None:
    """Read the consent page and agree."""
    page = await client.get("/")
    answer = await client.post("/join", data={"form_token": form_token(page.text), "consent": "yes", "language": language})
    assert answer.status_code == 303, answer.text


async def take_part(
    client: httpx.AsyncClient,
    opinion: Opinion,
    acknowledged: Callable[[Page, dict[str, str]], None] = lambda page, form: None,
    think: Callable[[], float] = lambda: 0.0,
) -> int:
    """Answer every comparison from the first to the last; returns how many there were."""
    count = 0
    while True:
        answer = await client.get("/compare")
        assert answer.status_code == 200, answer.text
        if 'action="/vote"' not in answer.text:
            return count
        page = read_page(answer.text)
        seen = [(await client.get(f"/picture/{token}")).content for token in page.pictures[1:]]
        if delay := think():
            await asyncio.sleep(delay)
        form = fill_in(page, [opinion.feel(look(data)) for data in seen])
        answer = await client.post("/vote", data=form)
        assert answer.status_code == 303, answer.text
        acknowledged(page, form)
        count += 1
