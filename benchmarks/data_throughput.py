"""Triplets a second: each category on one core, all of them by the recipe's shares, and two workers against one.

    python benchmarks/data_throughput.py --photos PHOTOS --cutouts CUTOUTS [--profile] [--workers 2]

A triplet counts from drawing it to its stretch of tar, with every filter and both instructions. "made" counts candidates, "kept" those that
every filter lets pass.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from step1x_edit.data.candidates import Candidate, Workshop
from step1x_edit.data.duplicates import hash_pair
from step1x_edit.data.filters import FILTERS
from step1x_edit.data.licences import Credits
from step1x_edit.data.photographs import examine, list_inputs
from step1x_edit.data.pipeline import sift
from step1x_edit.data.recipe import DataRecipe, read_recipe
from step1x_edit.data.shards import pack, to_tar
from step1x_edit.types import EditCategory

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "data_small.toml"


def make_one(workshop: Workshop, category: EditCategory, index: int) -> bool:
    """What a worker does for one candidate; whether it was kept."""
    candidate: Candidate = workshop.draw(category, index)
    if candidate.triplet is not None:
        view = workshop.view(candidate)
        for name in FILTERS:
            if candidate.rejection is None:
                candidate = sift(candidate, view, name, workshop.recipe.limits)
        hash_pair(candidate.triplet.source, candidate.triplet.target)
        if candidate.rejection is None:
            to_tar(candidate.id, pack(candidate.triplet, candidate.record(), workshop.recipe.format))
    return candidate.rejection is None


def open_workshop(recipe: DataRecipe) -> Workshop:
    """A workshop over the recipe's photographs, looked over without the filters of people."""
    credits = Credits(recipe.photos)
    files = list_inputs(recipe.photos)
    inputs = [examine(f, path, credits.find(path), recipe.smallest_side, recipe.largest_area)[0] for f, path in files]
    return Workshop(recipe, inputs)


def measure_categories(workshop: Workshop, seconds: float) -> dict[str, dict[str, float]]:
    """Rates of each category; processor time, so that a busy machine does not change them."""
    rates = {}
    for category in EditCategory:
        for index in range(3):
            make_one(workshop, category, 10_000 + index)  # opens what is opened once
        begun, made, kept = time.process_time(), 0, 0
        while time.process_time() - begun < seconds:
            kept += make_one(workshop, category, made)
            made += 1
        spent = time.process_time() - begun
        rates[category.value] = {"made": made / spent, "kept": kept / spent}
    return rates


def mix(rates: dict[str, dict[str, float]], recipe: DataRecipe) -> dict[str, float]:
    """Rates of all categories by the recipe's shares of kept triplets."""
    shares = {key.value: value.share for key, value in recipe.categories.items()}
    total = sum(shares.values())
    seconds = sum(share / total / rates[name]["kept"] for name, share in shares.items())
    made = sum(share / total * rates[name]["made"] / rates[name]["kept"] for name, share in shares.items())
    return {"made": made / seconds, "kept": 1 / seconds}


def time_build(recipe: Path, photos: str, cutouts: str, count: int, workers: int) -> float:
    """Seconds that the command takes for a whole set."""
    place = Path(tempfile.mkdtemp(prefix="data_throughput-"))
    script = place / "step1x.py"
    script.write_text("from step1x_edit.cli.main import main\nif __name__ == '__main__':\n    main()\n")
    options = ["--out", str(place / "set"), "--count", str(count), "--workers", str(workers), "--photos", photos, "--cutouts", cutouts]
    begun = time.monotonic()
    subprocess.run([sys.executable, str(script), "data", "build", str(recipe), *options], check=True, stdout=subprocess.DEVNULL)
    spent = time.monotonic() - begun
    shutil.rmtree(place)
    return spent


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    for name in ("photos", "cutouts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each category")
    parser.add_argument("--count", type=int, default=1100, help="of the builds by one and by several workers")
    parser.add_argument("--workers", type=int, default=0, help="build whole sets with one and with so many workers")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    recipe = read_recipe(arguments.recipe, {"photos": [arguments.photos], "cutouts": [arguments.cutouts]})
    workshop = open_workshop(recipe)
    profile = cProfile.Profile()
    if arguments.profile:
        profile.enable()
    rates = measure_categories(workshop, arguments.seconds)
    if arguments.profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    together = mix(rates, recipe)
    for name, rate in {**rates, "all by share": together}.items():
        print(f"{name:18} {rate['made']:6.1f} made/s  {rate['kept']:6.1f} kept/s")
    found: dict[str, object] = {"categories": rates, "together": together}
    if arguments.workers:
        times = {n: time_build(arguments.recipe, arguments.photos, arguments.cutouts, arguments.count, n) for n in (1, arguments.workers)}
        found["builds"] = {n: {"seconds": spent, "kept_per_second": arguments.count / spent} for n, spent in times.items()}
        print(f"{arguments.count} triplets: " + ", ".join(f"{n} workers {spent:.1f} s" for n, spent in times.items()))
        print(f"{arguments.workers} workers are {times[1] / times[arguments.workers]:.2f} times as fast as one")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
