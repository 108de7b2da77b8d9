"""Cases drawn from formulas, and the server that stands for the hosted ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

from bench_services import Service, serve

from step1x_edit.bench.gedit import BenchCase, read_cases


@pytest.fixture(scope="session")
def make_cases(tmp_path_factory: pytest.TempPathFactory, draw_scene: Callable[..., Image.Image]) -> Callable[..., list[BenchCase]]:
    """So many questions of each of some tasks, in both languages, as a folder of pictures."""

    def make(keys: int = 2, tasks: tuple[str, ...] = ("subject-add", "tone_transfer"), size: tuple[int, int] = (48, 32)) -> list[BenchCase]:
        folder = tmp_path_factory.mktemp("cases")
        rows = []
        for number, task in enumerate(tasks):
            for key in range(keys):
                name = f"{task}-{key}.png"
                draw_scene(*size, seed=key + 10 * number).save(folder / name)
                for language, text in (("en", f"make it night {key}"), ("cn", f"变成夜晚{key}")):
                    values = {"task_type": task, "key": f"k{key}", "instruction": text, "instruction_language": language}
                    rows.append({**values, "input_image": name, "Intersection_exist": True})
        (folder / "cases.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return read_cases(str(folder))

    return make


@pytest.fixture(scope="session")
def _running() -> Iterator[Service]:
    with serve(Service()) as running:
        yield running


@pytest.fixture
def service(_running: Service) -> Service:
    """The server, with nothing asked yet and nothing planned."""
    _running.script.clear()
    _running.calls.clear()
    _running.answer, _running.delay, _running.most_at_once = None, 0.0, 0
    return _running
