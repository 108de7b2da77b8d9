"""A whole study by simulated people, some in a browser and the others over HTTP, and what its report must then say."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import study_people
from study_material import TASKS, make_results
from study_people import Opinion, Taste
from study_server import Server
from study_votes import expected_rating

SYSTEMS = {"north": 7.2, "east": 6.2, "south": 5.2, "west": 4.2}
"""Folder -> what people think of its results."""

PEOPLE, CARELESS = 55, 3
"""How many take part, and how many of them do not look."""

OPTIONS = ("--systems", "3", "--people-per-case", "28", "--cases-per-person", "6", "--checks", "1", "--repeats", "1", "--seed", "1")
SCREENS = 8


@dataclass
class Crowd:
    """Fifty-five people and the study that they took part in.

    Attributes:
        answered: comparisons of each, in order.
        said: what the server wrote while they did.
    """

    folder: Path
    database: str
    answered: list[int] = field(default_factory=list)
    said: str = ""


def make_people(seed: int) -> list[Opinion]:
    """People with one taste and their own mood; every eighteenth clicks anywhere."""
    tastes = dict(enumerate(SYSTEMS.values(), 1))
    careless = {PEOPLE * (2 * index + 1) // (2 * CARELESS) for index in range(CARELESS)}
    return [Opinion(Taste(tastes, attentive=index not in careless), random.Random(1000 * seed + index)) for index in range(PEOPLE)]


def expect(shift: float = 0.0) -> dict[str, float]:
    """Each system's true mean over the tasks, on the five levels."""
    taste = Taste({})
    spread = (taste.person_spread**2 + taste.noise**2) ** 0.5
    effects = taste.task_effects[: len(TASKS)]
    return {
        name: sum(expected_rating(mean + effect + shift, spread) for effect in effects) / len(effects) for name, mean in SYSTEMS.items()
    }


def hold_study(folder: Path, in_browser: int, progress: Callable[[int], None] = lambda person: None, seed: int = 2) -> Crowd:
    """Serve a study, and have everybody take part one after the other.

    Args:
        folder: for results, database and browser.
        in_browser: how many of the people use the browser; every other of them the keyboard.
        progress: called after each person.
        seed: of the people.
    """
    make_results(folder, tuple(SYSTEMS), cases_per_task=3, unanswered={"west": ["case0000"]}, size=(128, 96))
    server = Server(folder, *OPTIONS)
    crowd = Crowd(folder, server.database)
    people = make_people(seed)
    try:
        if in_browser:
            from study_browser import take_part

            from browsing import open_browser

            with tempfile.TemporaryDirectory() as profile, open_browser(Path(profile)) as driver:
                for index, person in enumerate(people[:in_browser]):
                    crowd.answered.append(take_part(driver, server.url, person, with_keys=index % 2 == 0))
                    driver.delete_all_cookies()
                    progress(index)
                logged = [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
            assert not logged, logged  # nothing was refused by the pages' own rules, and no script failed
        for index in range(in_browser, PEOPLE):
            crowd.answered.append(asyncio.run(_take_part(server.url, people[index])))
            progress(index)
    finally:
        crowd.said = server.stop()
    return crowd


async def _take_part(url: str, person: Opinion) -> int:
    async with httpx.AsyncClient(base_url=url, timeout=200) as client:
        await study_people.join(client)
        return await study_people.take_part(client, person)


def check_report(crowd: Crowd, html: str) -> dict[str, object]:
    """Hold the report against what the people were made to think; returns its figures beside the true ones."""
    assert crowd.answered == [SCREENS] * PEOPLE
    figures = json.loads(html.partition('id="figures">')[2].partition("</script>")[0])
    found, everyone = figures["attentive"], figures["everyone"]
    assert everyone["people"] == figures["people"] == figures["finished"] == PEOPLE
    assert everyone["votes"] + figures["conduct"]["checks"] + _repeats(figures) == SCREENS * PEOPLE
    assert found["systems"] == list(SYSTEMS), "the known order"
    assert [e["value"] for e in found["strengths"]] == sorted((e["value"] for e in found["strengths"]), reverse=True)
    assert all(lead["low"] > 0 for lead in found["leads"]), "neighbours are told apart"
    held, table = 0, {}
    for scale, shift in (("overall", 0.0), ("identity", 1.0)):
        for subset in ("full", "common"):
            for name, estimate in zip(found["systems"], found["means"][scale][subset], strict=True):
                true = expect(shift)[name]
                held += estimate["low"] <= true <= estimate["high"]
                table[f"{scale} {subset} {name}"] = {"true": round(true, 3), **{key: round(value, 3) for key, value in estimate.items()}}
    assert all(row["low"] <= row["true"] <= row["high"] for key, row in table.items() if key.startswith("overall full")), table
    assert held >= 14, table  # of 16 intervals of 95 %
    assert 1 <= figures["conduct"]["inattentive"] <= CARELESS and found["people"] == PEOPLE - figures["conduct"]["inattentive"]
    assert found["alpha"]["overall"]["low"] > 0.1 and found["alpha"]["overall"]["value"] > everyone["alpha"]["overall"]["value"]
    return {"people": PEOPLE, "left_out": figures["conduct"]["inattentive"], "intervals_that_hold": f"{held} of 16", "means": table}


def _repeats(figures: dict) -> int:
    return PEOPLE * figures["design"]["repeats"]
