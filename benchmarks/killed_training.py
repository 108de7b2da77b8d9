"""Kill a training run at random moments with SIGKILL, take it up each time, and compare what it ends with to a run that nobody touched.

    python benchmarks/killed_training.py [--kills 10] [--out out/killed]

Weights, their average, and the optimisers' state must be equal bit for bit. The run is the embedded model's, on ten triplets.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import time
from pathlib import Path

import torch

from step1x_edit.model.tensors import read_tensors

STEPS = 120
PROGRAM = "from step1x_edit.cli.main import main; main()"
SETTINGS = [
    f"stages=[{{until={STEPS}, size=64, batch=4}}]",
    "save_every=5",
    "log_every=1",
    "threads=1",
    "evaluation.every=0",
    "optim.decay=30",
]


def begin(out: Path) -> subprocess.Popen[bytes]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-c", PROGRAM, "train", "recipes/overfit.toml", "--out", str(out), "--device", "cpu", *settings]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def steps_logged(out: Path) -> int:
    log = out / "metrics.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("out/killed"))
    arguments = parser.parse_args()
    rng = random.Random(0)

    assert begin(arguments.out / "whole").wait() == 0
    for kill in range(arguments.kills):
        before = steps_logged(arguments.out / "killed")
        run = begin(arguments.out / "killed")
        # a moment within the next steps, wherever in one it falls; at times while the run is only beginning
        further = rng.randint(-2, 9)
        while further > 0 and run.poll() is None and steps_logged(arguments.out / "killed") < before + further:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5) if further > 0 else rng.uniform(0, 10))
        assert run.poll() is None, f"the run was done before kill {kill + 1}"
        run.kill()
        run.wait()
        states = [path.name for path in sorted((arguments.out / "killed/state").glob("step-*"))]
        print(f"kill {kill + 1}: {steps_logged(arguments.out / 'killed')} steps logged, states {states}", flush=True)
    assert begin(arguments.out / "killed").wait() == 0
    whole, killed = (
        read_tensors(next((arguments.out / name / f"state/step-{STEPS:08d}").glob("*.safetensors"))) for name in ("whole", "killed")
    )
    equal = whole.keys() == killed.keys() and all(torch.equal(whole[name], killed[name]) for name in whole)
    print(f"{len(whole)} tensors, equal bit for bit: {equal}; rows logged: {steps_logged(arguments.out / 'killed')} of {STEPS}")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
