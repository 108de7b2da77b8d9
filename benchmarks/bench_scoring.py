"""How long it takes to score a whole benchmark whose answers are cached: 606 questions in two languages.

    python benchmarks/bench_scoring.py [--side 512]

A server in this process answers each question once; then everything is scored again, and no call may be made.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests" / "bench"))

from bench_services import Service, serve

from step1x_edit.bench.calls import Limits, Prices, Purse
from step1x_edit.bench.gedit import LANGUAGES, TASK_SIZES, place_result, place_source, read_cases
from step1x_edit.bench.judges.judging import judge_results
from step1x_edit.bench.judges.openai_chat import ChatJudge
from step1x_edit.bench.judges.rubric import OWN
from step1x_edit.bench.summary import read_scores, summarise


def make_results(folder: Path, side: int) -> None:
    """1,212 cases with sources and results; pixels are noise on a gradient, so that files are as large as photographs'."""
    rng = np.random.default_rng(0)
    base = np.linspace(40, 200, side)[:, None, None] + rng.normal(0, 8, (side, side, 3))
    rows = []
    for task, count in TASK_SIZES.items():
        for key in range(count):
            shifted = Image.fromarray(np.clip(base + rng.integers(-30, 30), 0, 255).astype(np.uint8))
            for language in LANGUAGES:
                name = (task, language, f"{key:03d}")
                result, source = place_result(folder, name), place_source(folder, name)
                result.parent.mkdir(parents=True, exist_ok=True)
                if language == "en":
                    shifted.save(source, compress_level=1)
                else:
                    shutil.copy(place_source(folder, (task, "en", name[2])), source)
                shutil.copy(source, result)
                with result.open("ab") as file:  # a result of its own: bytes after a PNG's end are no part of the picture
                    file.write("/".join(name).encode())
                values = {"task_type": task, "key": name[2], "instruction": f"edit {key}", "instruction_language": language}
                rows.append(json.dumps({**values, "input_image": str(source), "Intersection_exist": True}))
    (folder / "cases.jsonl").write_text("\n".join(rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    side = parser.parse_args().side
    with tempfile.TemporaryDirectory() as place, serve(Service()) as service:
        folder = Path(place) / "system"
        make_results(folder, side)
        size = sum(path.stat().st_size for path in folder.rglob("*.png")) / 1e6
        judge = ChatJudge("judge", f"{service.url}/v1", "key", 60, {})
        for name in ("asking", "from cached answers"):
            calls, started = len(service.calls), time.perf_counter()
            cases = read_cases(str(folder))
            judged = judge_results(judge, OWN, cases, folder, limits=Limits(concurrency=16), purse=Purse(Prices()))
            summarise(read_scores([folder]))
            seconds = time.perf_counter() - started
            asked = len(service.calls) - calls
            service.calls[:] = [{}] * len(service.calls)  # the bodies hold pictures
            print(f"{name}: {len(judged.cases)} cases, {size:.0f} MB of pictures, {asked} calls, {seconds:.1f} s")


if __name__ == "__main__":
    main()
