"""How the server bears load: many clients at once, pictures of all sizes, and hostile uploads. Ratios and memory, in one run.

    python benchmarks/serve_load.py load --clients 64 --seconds 300   one client, then many, with batches and without
    python benchmarks/serve_load.py sizes --count 2000                pictures of random sizes in a row
    python benchmarks/serve_load.py hostile --count 1000              hostile uploads at every field, slow senders among them

The server is the command itself, in processes of its own, with the embedded model; clients and server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parents[1] / "tests" / "serve"))

from serve_server import Server
from serve_uploads import HOSTILE, encode, noise

INSTRUCTIONS = ("make it night", "make it look like autumn", "turn it into a pencil sketch", "make it a winter scene", "remove the sky")


@dataclass
class Tally:
    """What came back, how long it took, and how much memory the server's processes had, in MiB."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)
    wall: float = 0.0

    def report(self) -> dict[str, object]:
        """For people and programs."""
        times = sorted(self.seconds)
        picked = {f"p{share}": round(times[min(len(times) - 1, len(times) * share // 100)], 3) for share in (50, 99)} if times else {}
        memory = {who: [round(sample[who]) for sample in self.memory] for who in ("server", "model")} if self.memory else {}
        statuses = {str(status): count for status, count in sorted(self.statuses.items())}
        return {"statuses": statuses, "per_second": round(len(times) / self.wall, 2), "seconds": picked, "memory_mib": memory}


def photographs(longest: int = 512) -> list[tuple[bytes, tuple[int, int]]]:
    """The examples, made smaller, as JPEG, with their sizes."""
    from PIL import Image

    found = []
    for path in sorted((Path(__file__).parents[1] / "examples" / "photos").glob("*.jpg"))[:16]:
        with Image.open(path) as image:
            image.thumbnail((longest, longest))
            found.append((encode(image, "JPEG", quality=90), image.size))
    return found


def edit(http: httpx.AsyncClient, picture: bytes, seed: int, form: str = "jpeg") -> Awaitable[httpx.Response]:
    """One request."""
    data = {"prompt": INSTRUCTIONS[seed % len(INSTRUCTIONS)], "seed": str(seed), "output_format": form}
    return http.post("/v1/images/edits", data=data, files={"image": picture})


async def sample_memory(server: Server, tally: Tally, every: float) -> None:
    """Look again and again."""
    while True:
        tally.memory.append(server.memory())
        await asyncio.sleep(every)


async def crowd(server: Server, clients: int, seconds: float) -> Tally:
    """So many clients ask again as soon as they are answered, and after 429 when they are told to."""
    tally, pictures = Tally(), photographs()
    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=server.root, timeout=600, trust_env=False, limits=limits) as http:
        sampling = asyncio.create_task(sample_memory(server, tally, max(1.0, seconds / 10)))
        began = time.perf_counter()

        async def client(number: int) -> None:
            rng = random.Random(number)
            while time.perf_counter() - began < seconds:
                picture, size = rng.choice(pictures)
                sent = time.perf_counter()
                answer = await edit(http, picture, rng.randrange(10**6))
                tally.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    tally.seconds.append(time.perf_counter() - sent)
                    assert answer.json()["size"] == f"{size[0]}x{size[1]}"
                elif answer.status_code == 429:
                    await asyncio.sleep(float(answer.headers["retry-after"]))

        await asyncio.gather(*(client(number) for number in range(clients)))
        tally.wall = time.perf_counter() - began
        sampling.cancel()
        tally.memory.append(server.memory())
    return tally


def measure_load(clients: int, seconds: float, alone: float, options: Sequence[str]) -> dict[str, object]:
    """One client, then many, on servers with and without batches."""
    results: dict[str, object] = {"clients": clients, "seconds_asked": seconds}
    rates = {}
    for name, batch, count, duration in (
        ("one_client", 8, 1, alone),
        ("many_without_batches", 1, clients, alone),
        ("many_with_batches", 8, clients, seconds),
    ):
        server = Server("--quiet", "--batch", str(batch), *options)
        try:
            asyncio.run(crowd(server, count, 3.0))  # warm
            tally = asyncio.run(crowd(server, count, duration))
        finally:
            server.stop()
        results[name] = tally.report()
        rates[name] = len(tally.seconds) / tally.wall
    results["many_over_one"] = round(rates["many_with_batches"] / rates["one_client"], 2)
    results["batches_over_none"] = round(rates["many_with_batches"] / rates["many_without_batches"], 2)
    return results


async def in_a_row(server: Server, count: int, side: int, most: float) -> Tally:
    """Pictures of random sizes, one after the other, for `most` seconds at most."""
    tally, rng = Tally(), random.Random(1)
    async with httpx.AsyncClient(base_url=server.root, timeout=600, trust_env=False) as http:
        began = time.perf_counter()
        for number in range(count):
            if time.perf_counter() - began > most:
                break
            width, height = (round(2 ** rng.uniform(3, rng.uniform(4, 10))) for _ in range(2))
            width, height = min(side, width), min(side, height)
            sent = time.perf_counter()
            answer = await edit(http, encode(noise(width, height, number % 50), rng.choice(["PNG", "JPEG"])), number)
            tally.statuses[answer.status_code] += 1
            tally.seconds.append(time.perf_counter() - sent)
            assert answer.status_code == 200 and answer.json()["size"] == f"{width}x{height}", (width, height, answer.text[:500])
            if number % max(1, count // 10) == 0:
                tally.memory.append(server.memory())
        tally.wall = time.perf_counter() - began
        tally.memory.append(server.memory())
    return tally


async def attack(server: Server, count: int, most: float) -> Tally:
    """Hostile uploads at every field, eight at a time, for `most` seconds at most; after each round one edit.

    Every twentieth is a slow sender, and another twentieth a huge form.
    """
    tally, rng = Tally(), random.Random(2)
    sound = encode(noise(64, 48))
    async with httpx.AsyncClient(base_url=server.root, timeout=600, trust_env=False, limits=httpx.Limits(keepalive_expiry=1)) as http:

        async def one(number: int) -> None:
            kind, place = rng.choice(list(HOSTILE)), rng.choice(["image", "image[]", "mask", "other", "prompt"])
            if number % 20 == 0:
                tally.statuses[await dawdle(server)] += 1
                return
            if number % 20 == 10:
                data = {f"field{i}": "x" * 100 for i in range(rng.randrange(1, 20_000))}
                files = [("image", sound)]
            else:
                hostile = await asyncio.to_thread(HOSTILE[kind], random.Random(number))
                files = [(place, hostile)] if place.startswith("image") else [("image", sound), (place, hostile)]
                data = {"prompt": "make it night", "output_format": "jpeg"}
            try:
                answer = await http.post("/v1/images/edits", data=data, files=files)
            except httpx.TransportError:  # hung up on, as a sender that is too slow is
                tally.statuses[0] += 1
                return
            tally.statuses[answer.status_code] += 1
            tally.seconds.append(answer.elapsed.total_seconds())

        began = time.perf_counter()
        for start in range(0, count, 8):
            if time.perf_counter() - began > most:
                break
            await asyncio.gather(*(one(number) for number in range(start, min(count, start + 8))))
            answer = await edit(http, sound, start)
            assert answer.status_code == 200, answer.text
            if start % max(8, count // 80 * 8) == 0:
                tally.memory.append(server.memory())
        tally.wall = time.perf_counter() - began
        tally.memory.append(server.memory())
    return tally


async def dawdle(server: Server) -> int:
    """Send a little, then nothing, for a while; then leave. The status of an answer, or 0 for none."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(b"POST /v1/images/edits HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{")
    try:
        async with asyncio.timeout(2):
            line = await reader.readline()
    except TimeoutError:
        line = b""
    writer.close()
    return int(line.split()[1]) if line else 0


def measure(server: Server, work: Callable[[Server], Awaitable[Tally]]) -> dict[str, object]:
    """Run on one server; its processes must be the same ones at the end."""

    async def run() -> Tally:
        return await work(server)

    try:
        tally = asyncio.run(run())
        return tally.report() | {"restarts": server.metric("step1x_restarts_total"), "held_bytes": server.metric("step1x_held_bytes")}
    finally:
        server.stop()


def main() -> None:
    """Measure what was asked for, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["load", "sizes", "hostile"])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--alone", type=float, default=30, help="seconds for each of the two comparisons")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--most-seconds", type=float, default=3600, help="end sizes and hostile after this, however many there were")
    parser.add_argument("--side", type=int, default=1024, help="longest side of a random size")
    parser.add_argument("options", nargs="*", help="further options of step1x serve, after --")
    chosen = parser.parse_args()
    if chosen.what == "load":
        result = measure_load(chosen.clients, chosen.seconds, chosen.alone, chosen.options)
    elif chosen.what == "sizes":
        result = measure(
            Server("--quiet", *chosen.options), lambda server: in_a_row(server, chosen.count, chosen.side, chosen.most_seconds)
        )
    else:
        result = measure(Server("--quiet", *chosen.options), lambda server: attack(server, chosen.count, chosen.most_seconds))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
