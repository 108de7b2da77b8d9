"""How the study's server bears people: many at once, and being killed.

    python benchmarks/study_load.py crowd             200 people at once: page times, and no vote lost or doubled
    python benchmarks/study_load.py kill --times 20   the server killed at random moments: no acknowledged vote lost

The clients speak HTTP over plain sockets, so that the two processes share two cores without the client being what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

sys.path.append(str(Path(__file__).parents[1] / "tests" / "study"))

from study_material import make_results
from study_server import Server


@dataclass
class Visitor:
    """One person's browser: a connection, a cookie, and how long each kind of answer took, in seconds."""

    port: int
    cookie: str = ""
    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, kind: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Status, location and text of one answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        body = urlencode(form).encode() if form is not None else b""
        lines = [f"{'GET' if form is None else 'POST'} {path} HTTP/1.1", "Host: study", f"Cookie: {self.cookie}"]
        if form is not None:
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}", "Origin: http://study"]
        begun = time.perf_counter()
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        text = await reader.readexactly(int(found[1])) if (found := re.search(r"content-length: (\d+)", head)) else b""
        self.times[kind].append(time.perf_counter() - begun)
        if cookie := re.search(r"set-cookie: (study-[^;]+)", head):
            self.cookie = cookie[1]
        location = re.search(r"location: (\S+)", head)
        return int(head.split()[1]), location[1] if location else "", text.decode("latin-1")

    async def join(self) -> None:
        """Agree to take part."""
        _, _, html = await self.ask("page", "/")
        form = {"form_token": _find(r'name="form_token" value="([^"]+)"', html), "consent": "yes", "language": "en"}
        status, _, text = await self.ask("join", "/join", form)
        assert status == 303, text

    async def read(self) -> dict[str, str] | None:
        """The form before this person, filled in at random; None at the end."""
        status, _, html = await self.ask("page", "/compare")
        assert status == 200, html
        if 'action="/vote"' not in html:
            return None
        form = {name: _find(rf'name="{name}" value="([^"]+)"', html) for name in ("form_token", "position", "nonce")}
        letters = re.findall(r'id="result-([A-F])"', html)
        for place, letter in enumerate(random.sample(letters, len(letters)), 1):
            form |= {f"place_{letter}": str(place), f"overall_{letter}": random.choice("2468"), f"identity_{letter}": random.choice("2468")}
        return form

    async def vote(self, form: dict[str, str]) -> int:
        """Send a filled-in form."""
        status, _, _ = await self.ask("vote", "/vote", form)
        return status

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _find(pattern: str, html: str) -> str:
    found = re.search(pattern, html)
    assert found, f"no {pattern} in {html[:500]}"
    return found[1]


def percentile(values: list[float], share: float) -> float:
    """The value that this share of all values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def crowd(port: int, people: int, screens: int, think: Callable[[], Awaitable[None]]) -> tuple[list[Visitor], int]:
    """Everybody takes part at once; returns them, and the number of acknowledged votes."""
    visitors = [Visitor(port) for _ in range(people)]
    acknowledged = 0

    async def take_part(visitor: Visitor) -> None:
        nonlocal acknowledged
        await think()
        await visitor.join()
        for _ in range(screens):
            form = await visitor.read()
            if form is None:
                break
            await think()
            status = await visitor.vote(form)
            assert status == 303, status
            acknowledged += 1
        visitor.close()

    await asyncio.gather(*map(take_part, visitors))
    return visitors, acknowledged


def count_votes(database: Path) -> tuple[int, int, int]:
    """Votes, judgements, and pairs of person and case with more than one vote."""
    with sqlite3.connect(database) as connection:
        (votes,), (judgements,) = (connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in ("vote", "judgement"))
        doubled = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM vote GROUP BY person, case_id, kind HAVING count(*) > 1)"
        ).fetchone()[0]
    return votes, judgements, doubled


def measure_crowd(people: int, screens: int, pause: float) -> dict[str, object]:
    """Serve a crowd, and say how long its pages took and whether every vote was kept once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_results(folder, ["alpha", "beta", "gamma", "delta"], cases_per_task=max(10, screens))
        options = ["--cases-per-person", str(screens), "--checks", "1", "--repeats", "1", "--people-per-case", str(people)]
        server = Server(folder, *options)

        async def think() -> None:
            if pause:
                await asyncio.sleep(random.uniform(0.5 * pause, 1.5 * pause))

        try:
            begun, cpu = time.perf_counter(), server.cpu_seconds()
            visitors, acknowledged = asyncio.run(crowd(server.port, people, screens + 2, think))
            seconds, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
        finally:
            server.stop()
        votes, judgements, doubled = count_votes(Path(server.database))
    assert votes == acknowledged and judgements == 4 * votes and not doubled, (votes, acknowledged, judgements, doubled)
    result: dict[str, object] = {
        "people": people,
        "pause_s": pause,
        "seconds": round(seconds, 1),
        "cpu_s": round(cpu, 1),
        "votes": votes,
        "lost": 0,
        "doubled": 0,
    }
    for kind in ("page", "join", "vote"):
        times = [value for visitor in visitors for value in visitor.times[kind]]
        result[kind] = {f"p{share:g}_ms": round(1000 * percentile(times, share / 100), 1) for share in (50, 95, 99, 100)}
    return result


async def _vote_until_killed(port: int, cookies: list[str], kept: list[tuple[str, str]], open_votes: list[tuple[str, str]]) -> None:
    async def go_on(index: int) -> None:
        visitor = Visitor(port, cookies[index])
        try:
            if not visitor.cookie:
                await visitor.join()
                cookies[index] = visitor.cookie
            while (form := await visitor.read()) is not None:
                vote = (form["nonce"], json.dumps(form, sort_keys=True))
                open_votes.append(vote)
                if await visitor.vote(form) == 303:
                    kept.append(vote)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the server was killed
        finally:
            visitor.close()

    await asyncio.gather(*(go_on(index) for index in range(len(cookies))))


def measure_kills(times: int, people: int = 20) -> dict[str, object]:
    """Kill the server at random moments while people vote, and look for every acknowledged vote afterwards."""
    kept: list[tuple[str, str]] = []
    sent: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_results(folder, ["alpha", "beta", "gamma", "delta"], cases_per_task=60)
        options = ["--cases-per-person", "200", "--checks", "10", "--repeats", "10", "--people-per-case", "1000"]
        cookies = [""] * people
        for _ in range(times):
            server = Server(folder, *options)

            async def run(server: Server = server) -> None:
                loop = asyncio.get_running_loop()
                loop.call_later(random.uniform(0.05, 1.0), os.kill, server.process.pid, signal.SIGKILL)
                await _vote_until_killed(server.port, cookies, kept, sent)

            asyncio.run(run())
            server.stop(signal.SIGKILL)
        found = _stored_votes(Path(server.database))
        _, _, doubled = count_votes(Path(server.database))
    lost = [nonce for nonce, form in kept if found.get(nonce) != _judgements(json.loads(form))]
    unknown = set(found) - {nonce for nonce, _ in sent}
    assert not lost and not doubled and not unknown, (len(lost), doubled, len(unknown))
    return {"kills": times, "acknowledged": len(kept), "stored": len(found), "lost": len(lost), "doubled": doubled}


def _judgements(form: dict[str, str]) -> list[tuple[int, int, int]]:
    letters = [letter for letter in "ABCDEF" if f"place_{letter}" in form]
    return [(int(form[f"place_{x}"]), int(form[f"overall_{x}"]), int(form[f"identity_{x}"])) for x in letters]


def _stored_votes(database: Path) -> dict[str, list[tuple[int, int, int]]]:
    stored: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    query = "SELECT nonce, place, overall, identity FROM judgement JOIN screen ON screen.id = judgement.screen ORDER BY screen.id, slot"
    with sqlite3.connect(database) as connection:
        for nonce, *values in connection.execute(query):
            stored[nonce].append(tuple(values))
    return dict(stored)


def main() -> None:
    """Measure what was asked for, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["crowd", "kill"])
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--screens", type=int, default=10)
    parser.add_argument("--pause", type=float, default=2.0, help="seconds that a person thinks, on average")
    parser.add_argument("--times", type=int, default=20)
    chosen = parser.parse_args()
    if chosen.what == "crowd":
        print(json.dumps(measure_crowd(chosen.people, chosen.screens, chosen.pause), indent=2))
    else:
        print(json.dumps(measure_kills(chosen.times), indent=2))


if __name__ == "__main__":
    main()
