"""gedit-mini: a benchmark whose true results are known, made from pictures that nothing was trained on; it needs no judge.

Every question of a task is asked in English and in Chinese. A folder holds it all: `cases.jsonl`, the pictures to edit, the true results,
and the regions that should change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from step1x_edit.bench.gedit import TASKS, write_text
from step1x_edit.bench.heldout import LONGEST_SEARCH
from step1x_edit.data.split import Split
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

SIZE = 256
SEED = 2025
PER_TASK = 10


def make_mini(
    folder: Path,
    photos: Iterable[Path],
    cutouts: Iterable[Path],
    split: Path,
    *,
    per_task: int = PER_TASK,
    size: int = SIZE,
    seed: int = SEED,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write the benchmark into a folder; returns the number of questions. `cases.jsonl` appears last, so what is there is whole.

    Raises:
        UsageError: pictures are missing, or the folder holds another benchmark.
    """
    recipe = {"per_task": per_task, "size": size, "seed": seed, "photographs": sorted(Split.read(split).photographs)}
    record = folder / "gedit-mini.json"
    if (folder / "cases.jsonl").exists():
        if not record.exists() or json.loads(record.read_text(encoding="utf-8"))["recipe"] != recipe:
            raise UsageError(f"{folder} holds other cases; choose another folder.")
        return per_task * len(TASKS)
    stream = TripletStream(list(photos), list(cutouts), split=Split.read(split), part="heldout", size=size, seed=seed)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    counts: dict[EditCategory, int] = dict.fromkeys(EditCategory, 0)
    rows: list[dict[str, Any]] = []
    index = 0
    while min(counts.values()) < per_task:
        if index > LONGEST_SEARCH * per_task * len(TASKS):
            raise UsageError("These pictures do not give enough cases of every task; add photographs or cut-outs.")
        triplet = stream.sample(index)
        index += 1
        if counts[triplet.category] >= per_task:
            continue
        rows += _write(folder, triplet, counts[triplet.category])
        counts[triplet.category] += 1
        progress(sum(counts.values()), per_task * len(TASKS))
    write_text(record, json.dumps({"recipe": recipe}, indent=1) + "\n")
    write_text(folder / "cases.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    return sum(counts.values())


def _write(folder: Path, triplet: Triplet, number: int) -> list[dict[str, Any]]:
    key = f"{number:03d}"
    stem = f"pictures/{triplet.category}-{key}"
    region = triplet.region.astype(np.uint8) * 255
    for name, pixels in (("source", triplet.source), ("target", triplet.target), ("region", region)):
        Image.fromarray(pixels).save(folder / f"{stem}-{name}.png")
    pictures = {"input_image": f"{stem}-source.png", "target": f"{stem}-target.png", "region": f"{stem}-region.png"}
    word = triplet.edit.split(" to ")[-1] if triplet.edit.startswith("text ") and " to " in triplet.edit else None
    facts = {"edit": triplet.edit, **({"reads": word} if word else {})}
    texts = (("en", triplet.instruction_en), ("cn", triplet.instruction_zh))
    shared = {"task_type": triplet.category.value, "key": key, "Intersection_exist": True, **pictures, "facts": facts}
    return [{**shared, "instruction": text, "instruction_language": language} for language, text in texts]
