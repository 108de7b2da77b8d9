"""Memory that a build keeps for its candidates: for each triplet of the set, and for each one that is rejected, beside keeping all rows.

    python benchmarks/data_books.py [--candidates 200000] [--kept 20]

The candidates are made up: rows as workers write them, whose hashes are chance. One in `--kept` passes all filters, as in the paper.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

from step1x_edit.data.books import Books
from step1x_edit.data.jobs import Job
from step1x_edit.data.recipe import DataRecipe, Limits
from step1x_edit.data.selection import Row, Selection
from step1x_edit.data.slots import COMPOSED, Slot, name_candidate
from step1x_edit.types import EditCategory

ROOT = Path(__file__).parents[1]
SLOT = Slot(EditCategory.COLOR_ALTERATION, COMPOSED)
DISTANCE = Limits().distance


def make_rows(count: int, one_in: int) -> Iterator[Row]:
    """Rows as they come from the blocks' files, decoded anew each."""
    chance = random.Random(0)
    for index in range(count):
        values = {
            "id": name_candidate(SLOT, index),
            "category": SLOT.category.value,
            "route": COMPOSED,
            "stage": "sharpness" if index % one_in else "",
            "reason": "the pictures are not sharp" if index % one_in else "",
            "numbers": {name: {"inside": 24.5, "outside": 0.25, "bound": 12.0} for name in ("change", "outside", "sharpness", "balance")},
            "edit": "color: the bird on the left, red",
            "instruction_en": "Change the colour of the bird on the left of the picture to red.",
            "instruction_zh": "把画面左边的那只鸟变成红色。",
            "hash": f"{chance.getrandbits(128):032x}",
            "at": [512 * index, 51_200],
        }
        yield Row((0, index, SLOT.order), SLOT, json.loads(json.dumps(values)), f"round-0/{index // 64:05d}.tar")


def measure(work: Callable[[], object]) -> tuple[object, int]:
    """What the work gives, and the bytes that are held by it afterwards."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    held = work()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held, after - before


def keep_books(folder: Path, count: int, one_in: int) -> tuple[Selection, Books]:
    """What a build does with them."""
    recipe = DataRecipe(count=count, photos=[ROOT / "examples" / "photos"], cutouts=[ROOT / "examples" / "cutouts"])
    selection, books = Selection({SLOT: count}, DISTANCE), Books(Job(folder, recipe))
    books.enter(map(selection.settle, make_rows(count, one_in)))
    return selection, books


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=200_000, help="how many are made up")
    parser.add_argument("--kept", type=int, default=20, help="one in so many is kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        (_, books), held = measure(lambda: keep_books(Path(folder), options.candidates, options.kept))
        _, none = measure(lambda: keep_books(Path(folder), options.candidates, options.candidates))
    _, rows = measure(lambda: [*make_rows(options.candidates, options.kept)])
    kept = len(books.picks)
    print(f"{options.candidates} candidates, {kept} of them kept, near-duplicates {DISTANCE} bits apart")
    print(f"  bytes held for each kept triplet     {(held - none) / kept:8.0f}")
    print(f"  bytes held for each rejected one     {none / options.candidates:8.1f}")
    print(f"  bytes held for each, keeping rows    {rows / options.candidates:8.0f}   {rows / held:.0f} times as many")


if __name__ == "__main__":
    main()
