"""Triplets a second on one core, of each category, composed and from photographs, and of all of them by the recipe's shares.

    python benchmarks/data_throughput.py --photos PHOTOS --cutouts CUTOUTS [--profile] [--only text_change]

A triplet counts from drawing it to its stretch of tar, with every filter and both instructions. "made" counts candidates, "kept" those that
every filter lets pass. Photographs are looked over before, and that is not counted; of large folders, `--sample` photographs are taken.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import random
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
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
from step1x_edit.data.suitability import choose_needs, look
from step1x_edit.types import EditCategory

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "recipes" / "data_small.toml"


def make_one(workshop: Workshop, slot: Slot, index: int) -> bool:
    """What a worker does for one candidate; whether it was kept."""
    candidate: Candidate = workshop.draw(slot, index)
    if candidate.triplet is not None:
        view = workshop.view(candidate)
        for name in FILTERS:
            if candidate.rejection is None:
                candidate = sift(candidate, view, name, workshop.recipe.limits)
        hash_pair(candidate.triplet.source, candidate.triplet.target)
        if candidate.rejection is None:
            to_tar(candidate.id, pack(candidate.triplet, candidate.record(), workshop.recipe.format))
    return candidate.rejection is None


def open_workshop(recipe: DataRecipe, slots: list[Slot], sample: int) -> Workshop:
    """A workshop over a sample of the recipe's photographs, looked over for what the slots need."""
    credits = Credits(recipe.photos)
    files = list_inputs(recipe.photos)
    random.Random(0).shuffle(files)
    tools, needs, inputs = recipe.open_tools(), choose_needs(dict.fromkeys(slots, sample), 0, sample), []
    for folder, path in files[:sample]:
        entry, pixels = examine(folder, path, credits.find(path), recipe.smallest_side, recipe.largest_area)
        inputs.append(look(entry, pixels, tools, needs) if pixels is not None else entry)
    return Workshop(recipe, inputs)


def measure(workshop: Workshop, slot: Slot, seconds: float) -> dict[str, float]:
    """Rates of a slot; processor time, so that a busy machine does not change them."""
    for index in range(3):
        make_one(workshop, slot, 10_000 + index)  # opens what is opened once
    begun, made, kept = time.process_time(), 0, 0
    while time.process_time() - begun < seconds:
        kept += make_one(workshop, slot, made)
        made += 1
    spent = time.process_time() - begun
    return {"made": made / spent, "kept": kept / spent}


def mix(rates: dict[str, dict[str, float]], recipe: DataRecipe, route: str) -> dict[str, float]:
    """Rates of all categories that a route can make, by the recipe's shares of kept triplets."""
    shares = {Slot(key, route).name: value.share for key, value in recipe.categories.items()}
    shares = {name: share for name, share in shares.items() if rates.get(name, {}).get("kept")}
    total = sum(shares.values())
    seconds = sum(share / total / rates[name]["kept"] for name, share in shares.items())
    made = sum(share / total * rates[name]["made"] / rates[name]["kept"] for name, share in shares.items())
    return {"made": made / seconds, "kept": 1 / seconds}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("photos", "cutouts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each category and route")
    parser.add_argument("--sample", type=int, default=150, help="photographs to look over")
    parser.add_argument("--only", action="append", help="category, or category-photograph; may be repeated")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    recipe = read_recipe(arguments.recipe, {"photos": [arguments.photos], "cutouts": [arguments.cutouts]})
    slots = [Slot(category, route) for route in (COMPOSED, PHOTOGRAPH) for category in EditCategory]
    slots = [slot for slot in slots if not arguments.only or slot.name in arguments.only]
    workshop = open_workshop(recipe, slots, arguments.sample)
    profile = cProfile.Profile()
    rates = {}
    for slot in slots:
        if arguments.profile:
            profile.enable()
        rates[slot.name] = measure(workshop, slot, arguments.seconds)
        profile.disable()
        print(f"{slot.name:28} {rates[slot.name]['made']:6.1f} made/s  {rates[slot.name]['kept']:6.1f} kept/s", flush=True)
    if arguments.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
    if not arguments.only:
        for route in (COMPOSED, PHOTOGRAPH):
            rates[route] = mix(rates, recipe, route)
            print(f"all by share, {route:14} {rates[route]['made']:6.1f} made/s  {rates[route]['kept']:6.1f} kept/s")
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
