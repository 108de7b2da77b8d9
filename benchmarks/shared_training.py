"""How fast two processes of one core each train the embedded model, with its weights shared out (FSDP2) and with all of them on each.

    python benchmarks/shared_training.py [--steps 24] [--out out/shared]

Batches of 64 at 128 pixels, of what the frozen parts have said already; the median over steps, of two runs each, in turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

FRESH = 4
"""Steps whose triplets are made; those after them use them again."""


def train(shard: str, steps: int, out: Path) -> list[float]:
    """Samples a second of every step but the fresh ones."""
    stage = f"{{until={steps}, size=128, batch=64, repeats={steps // FRESH}, round={FRESH}}}"
    settings = [
        f"stages=[{stage}]",
        f'shard="{shard}"',
        "log_every=1",
        "save_every=1000",
        "evaluation.every=0",
        "data.workers=0",
        "threads=1",
    ]
    words = [word for setting in settings for word in ("--set", setting)]
    step1x = str(Path(sys.executable).with_name("step1x"))
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", step1x,
         "train", "recipes/overfit.toml", "--out", str(out), "--device", "cpu", *words],
        check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row["samples_per_second"] for row in rows if row["step"] > FRESH + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("out/shared"))
    arguments = parser.parse_args()
    speeds: dict[str, list[float]] = {"always": [], "never": []}
    for turn in range(2):
        for shard, found in speeds.items():
            found += train(shard, arguments.steps, arguments.out / f"{shard}-{turn}")
    shared, whole = (statistics.median(found) for found in speeds.values())
    print(f"samples a second: shared out {shared:.1f}, whole on each {whole:.1f}; {whole / shared:.2f} times")


if __name__ == "__main__":
    main()
