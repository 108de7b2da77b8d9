"""Write accepted candidates as a folder of cases, which `step1x bench run` and `score` take, with a log that leads back to nobody.

The log says how many requests came to what end, and of each case what was done to it. Cases are numbered in an order drawn at random, so
that a number says nothing of when or from whom a request came; there are no names of files, no hashes and no times in it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from step1x_edit.bench.building.grouping import balance
from step1x_edit.bench.building.store import PICTURES, STATES, Candidate, Store
from step1x_edit.bench.gedit import TASK_SIZES, write_text
from step1x_edit.errors import UsageError

AUDIT = "audit.json"


def write_accepted(store: Store, folder: Path, targets: Mapping[str, int] = TASK_SIZES) -> dict[str, int]:
    """Write the cases; `cases.jsonl` appears last, so what is there is whole. Returns how many of each task.

    Raises:
        UsageError: nothing is accepted, or the folder is in use.
    """
    candidates = store.read()
    accepted = [each for each in candidates if each.state == "accepted"]
    if not accepted:
        raise UsageError("Nothing is accepted yet; review the candidates with step1x bench build review.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} is not empty; choose another for the cases.")
    random.SystemRandom().shuffle(accepted)
    chosen = balance(((each.task, each.intent, each) for each in accepted), targets)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    cases: dict[str, dict[str, Any]] = {}
    for task, group in sorted(chosen.items()):
        for number, candidate in enumerate(group):
            key = f"{number:03d}"
            picture = f"{PICTURES}/{task}-{key}.png"
            shutil.copyfile(store.folder / PICTURES / f"{candidate.name}.png", folder / picture)
            shared = {"task_type": task, "key": key, "input_image": picture}
            rows += [
                {**shared, "instruction": text, "instruction_language": language}
                for language, text in (("en", candidate.english), ("cn", candidate.chinese))
            ]
            cases[f"{task}/{key}"] = _describe(candidate)
    log = {"requests": _count(candidates), "in_the_benchmark": len(cases), "cases": cases}
    write_text(folder / AUDIT, json.dumps(log, ensure_ascii=False, indent=1) + "\n")
    write_text(folder / "cases.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n")
    return {task: len(group) for task, group in chosen.items()}


def _describe(candidate: Candidate) -> dict[str, Any]:
    return {
        "picture": "public look-alike" if candidate.replaced else "own, with consent",
        "hidden": dict(Counter(candidate.hidden)),
        "reviewed": True,
    }


def _count(candidates: list[Candidate]) -> dict[str, Any]:
    return {
        "all": len(candidates),
        **{state: sum(each.state == state for each in candidates) for state in STATES},
        "skipped_because": dict(Counter(each.reason for each in candidates if each.state == "skipped")),
    }
