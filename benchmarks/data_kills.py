"""Build a set while it is killed with SIGKILL at random moments, and compare it, byte for byte, with one that was left in peace.

python benchmarks/data_kills.py --photos PHOTOS --cutouts CUTOUTS --kills 20 --workers 2
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from data_executors import digest

RECIPE = Path(__file__).parents[1] / "recipes" / "data_small.toml"
RUN = "from step1x_edit.cli.main import main\nif __name__ == '__main__':\n    main()\n"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "cutouts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--count", type=int, default=330)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="data_kills-"))
    script = place / "step1x.py"
    script.write_text(RUN)

    def command(out: str) -> list[str]:
        pictures = ["--photos", arguments.photos, "--cutouts", arguments.cutouts]
        options = ["--out", str(place / out), "--count", str(arguments.count), "--workers", str(arguments.workers)]
        return [sys.executable, str(script), "data", "build", str(RECIPE), *options, *pictures]

    begun = time.monotonic()
    subprocess.run(command("peace"), check=True)
    length = time.monotonic() - begun
    rng, kills, lived = random.Random(arguments.seed), 0, 0.0
    while kills < arguments.kills:
        process = subprocess.Popen(command("killed"))
        # a start takes a part of every life: on average a twentieth of the work is done before the next kill
        moment = rng.uniform(0.5, 3.0 + 2 * length / arguments.kills)
        try:
            process.wait(timeout=moment)
            print(f"finished after {kills} kills; begins again")
            shutil.rmtree(place / "killed")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills, lived = kills + 1, lived + moment
            made = len(list((place / "killed").rglob("*.jsonl")))
            print(f"kill {kills} after {moment:.1f} s, {made} pieces of work done", flush=True)
    subprocess.run(command("killed"), check=True)
    peace, killed = digest(place / "peace"), digest(place / "killed")
    differing = sorted(name for name in peace.keys() | killed.keys() if peace.get(name) != killed.get(name))
    print(f"{kills} kills, {len(peace)} files, {len(differing)} differ{': ' if differing else '.'}{', '.join(differing)}")
    shutil.rmtree(place)
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
