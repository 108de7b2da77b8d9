"""Build a set: rounds of candidates until every category has as many triplets as asked for, then shards, then the books.

What is kept follows from the recipe and the pictures alone. Candidates are taken in one order, by round, number and category; the first
ones that pass every filter and are near no earlier one fill the category. Nothing depends on which worker made them, or on a kill.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from step1x_edit.data.asking import ReadKey, no_key
from step1x_edit.data.candidates import list_versions
from step1x_edit.data.duplicates import Neighbours
from step1x_edit.data.executors import run_tasks
from step1x_edit.data.jobs import INPUTS, Block, Job, cut_blocks, interleave
from step1x_edit.data.photographs import list_inputs
from step1x_edit.data.pipeline import assemble, make, order_key, pack_small, read_stretch, survey
from step1x_edit.data.recipe import DataRecipe, check_recipe
from step1x_edit.data.shards import SHARDS, decode_picture, find_picture, read_sample, to_tar, write_tar
from step1x_edit.data.storage import read_lines, sweep, write_json, write_lines
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.types import EditCategory

SET, RECIPE, PHOTOGRAPHS, REJECTED = "set.json", "recipe.json", "photographs.jsonl", "rejected.jsonl"
REJECTED_PICTURES = "rejected.tar"

_SPARE = 1.15
"""Candidates drawn for every one that is needed, given how many survived so far."""

_MOST = 40
"""Candidates drawn for every triplet asked for, after which a category is given up. Source: paper, 1 of 20 was kept."""

Progress = Callable[[str, int, int], None]
"""What is done, how far it is, and how far it will go."""


@dataclass(frozen=True)
class _Row:
    """A candidate as the selection sees it, and where its bytes lie."""

    order: tuple[int, int, int]
    values: dict[str, Any]
    file: str


def build(recipe: DataRecipe, out: Path, progress: Progress = lambda what, done, total: None, read_key: ReadKey = no_key) -> dict[str, Any]:
    """Build a set into `out`, or go on where an earlier run stopped; returns what `set.json` says.

    Args:
        recipe: what to build.
        out: a new folder, or one that was begun with the same recipe.
        progress: told what is done, how far it is, and how far it will go.
        read_key: gives the key of the recipe's endpoints, in the process that asks them.

    Raises:
        UsageError: the folder holds something else, another process works on it, or the pictures do not allow the set.
        Step1XError: a worker failed; the same command goes on.
    """
    places = {key: [folder.resolve() for folder in getattr(recipe, key)] for key in ("photos", "cutouts", "videos")}
    job = Job(out.resolve(), recipe.model_copy(update=places), read_key)
    out.mkdir(parents=True, exist_ok=True)
    with _lock(job.out):
        if not _begin(job):
            shutil.rmtree(job.work, ignore_errors=True)  # what a kill at the very end has left
            return read_set(out)
        inputs = list_inputs(job.recipe.photos)
        _run(job, "looking at photographs", survey(job), math.ceil(len(inputs) / INPUTS), "survey", progress)
        rows = _draw(job, progress)
        kept = [row for row in rows if not row.values["stage"]]
        picks = sorted(kept, key=lambda row: order_key(recipe.seed, row.values["id"]))
        write_json(job.work / "picks.json", [[row.values["id"], row.file, row.values["at"]] for row in picks])
        shards = math.ceil(len(picks) / recipe.shard)
        _run(job, "writing shards", assemble(job), shards, "shards", progress)
        facts = _finish(job, rows, shards)
        shutil.rmtree(job.work)
        return facts


def read_set(folder: Path) -> dict[str, Any]:
    """What a finished set says of itself; raises UsageError where there is none."""
    try:
        facts: dict[str, Any] = json.loads((folder / SET).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        unfinished = (folder / RECIPE).exists()
        do = "run its build command again to finish it" if unfinished else f"make one: step1x data build RECIPE.toml --out {folder}"
        raise UsageError(f"{folder} holds no finished set; {do}.") from error
    return facts


def read_recipe_of(folder: Path) -> DataRecipe:
    """The recipe that a set was built from; raises UsageError where it was not built but brought in from elsewhere."""
    try:
        values = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} has no {RECIPE}: it was not built here, and its triplets cannot be made again.") from error
    return check_recipe(values["recipe"], str(folder / RECIPE))


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    """Keep a second build out of the folder; a lock of the file system, so that a kill frees it."""
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"Another build is at work in {out}; wait for it, or choose another folder.") from error
        yield


def _begin(job: Job) -> bool:
    """Write the recipe down, or check that the folder's is the same; False where the set is finished already."""
    path = job.out / RECIPE
    # where the work runs changes nothing of the set, and may change between two runs
    values = job.recipe.model_dump(mode="json", exclude={"executor"})
    wanted = {"recipe": values, "versions": list_versions()}
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["recipe"] != values:
            changed = next(key for key in values if known["recipe"].get(key) != values[key])
            raise UsageError(f"{job.out} was begun with another recipe ({changed} differs); choose another folder or the same recipe.")
        if known["versions"] != wanted["versions"] and not (job.out / SET).exists():
            raise UsageError(f"{job.out} was begun with other versions of the tools; begin again in another folder.")
    elif [entry for entry in job.out.iterdir() if entry.name != ".lock"]:
        raise UsageError(f"The folder {job.out} is not empty and holds no set; choose another one.")
    else:
        write_json(path, wanted)
    sweep(job.out)
    return not (job.out / SET).exists()


def _run(job: Job, what: str, steps: list[Any], tasks: int, name: str, progress: Progress) -> None:
    where = job.recipe.executor
    run_tasks(steps, tasks, job.work / "logs" / name, where, lambda done, total: progress(what, done, total))


def _draw(job: Job, progress: Progress) -> list[_Row]:
    """Rounds of candidates until the wanted numbers are kept; returns every candidate, with stage and reason of those that are not."""
    wanted = job.recipe.wanted()
    drawn = dict.fromkeys(wanted, 0)
    kept: Counter[EditCategory] = Counter()
    rows: list[_Row] = []
    neighbours = Neighbours(job.recipe.limits.distance)
    number = 0
    while missing := {key: count - kept[key] for key, count in wanted.items() if kept[key] < count}:
        plan = []
        for category, count in missing.items():
            survival = max(kept[category] / drawn[category], 1 / _MOST) if drawn[category] else 1.0
            most = _MOST * wanted[category] + 100 - drawn[category]
            if most <= 0:
                raise UsageError(_give_up(category, wanted[category], kept[category], rows))
            more = min(math.ceil(count / survival * _SPARE) + 2, most)
            plan.append(cut_blocks(category, drawn[category], more, job.recipe.executor.block))
            drawn[category] += more
        blocks = interleave(plan)
        _write_plan(job, number, blocks)
        tasks = len(blocks)
        _run(job, f"making candidates, round {number + 1}", make(job, number), tasks, f"round-{number}", progress)
        fresh = _read_round(job, number, tasks)
        _select(fresh, wanted, kept, neighbours)
        rows += fresh
        number += 1
    return rows


def _write_plan(job: Job, number: int, blocks: list[Block]) -> None:
    path = job.round(number) / "plan.json"
    values = [[block.category.value, block.first, block.count] for block in blocks]
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != values:
        raise UsageError(f"{job.out} was begun with blocks of another size; give executor.block as it was.")
    write_json(path, values)


def _read_round(job: Job, number: int, tasks: int) -> list[_Row]:
    order = {category: i for i, category in enumerate(EditCategory)}
    rows = []
    for rank in range(tasks):
        for values in read_lines(job.round(number) / f"{rank:05d}.jsonl"):
            index = int(values["id"].rpartition("-")[2])
            rows.append(_Row((number, index, order[EditCategory(values["category"])]), values, f"round-{number}/{rank:05d}.tar"))
    return sorted(rows, key=lambda row: row.order)


def _select(rows: list[_Row], wanted: dict[EditCategory, int], kept: Counter[EditCategory], neighbours: Neighbours) -> None:
    """Mark near-duplicates, and what is not needed, with stage and reason; the others are kept."""
    for row in rows:
        values, category = row.values, EditCategory(row.values["category"])
        if values["stage"]:
            continue
        if kept[category] >= wanted[category]:
            values |= {"stage": "spare", "reason": "the category was full already"}
            continue
        value = int(values["hash"], 16)
        found = neighbours.find(value)
        if found is not None:
            name, apart = found
            values["numbers"]["duplicates"] = {"of": name, "bits": apart}
            values |= {"stage": "duplicates", "reason": "nearly the same pictures as an earlier triplet"}
            continue
        neighbours.take(value, values["id"])
        kept[category] += 1


def _give_up(category: EditCategory, wanted: int, kept: int, rows: list[_Row]) -> str:
    reasons = Counter(row.values["reason"] for row in rows if row.values["category"] == category and row.values["stage"])
    worst = ", ".join(f"{count} because {reason}" for reason, count in reasons.most_common(3))
    return (
        f"Only {kept} of {wanted} triplets of the category {category} passed ({worst}); "
        "add photographs, loosen the recipe's limits, or ask for fewer."
    )


def _finish(job: Job, rows: list[_Row], shards: int) -> dict[str, Any]:
    """Write the books of a set: inputs, what was rejected and why, and `set.json`, last of all."""
    inputs = job.read_inputs()
    write_lines(job.out / PHOTOGRAPHS, [entry.to_row() for entry in inputs])
    rejected = [row for row in rows if row.values["stage"] not in ("", "spare")]
    hidden = ("hash", "at", "small")
    write_lines(job.out / REJECTED, [{k: v for k, v in row.values.items() if k not in hidden} for row in rejected])
    write_tar(job.out / REJECTED_PICTURES, _small_pictures(job, rejected))
    kept = [row.values for row in rows if not row.values["stage"]]
    facts = {
        "count": len(kept),
        "categories": _count(kept, "category"),
        "routes": _count(kept, "route"),
        "drawn": _count([row.values for row in rows], "category"),
        "rejected": _count_stages(rejected),
        "spare": _count([row.values for row in rows if row.values["stage"] == "spare"], "category"),
        "photographs": {"taken": sum(not entry.skipped for entry in inputs), "skipped": _count_skipped(inputs)},
        "licences": dict(sorted(Counter(entry.credit.licence or "unknown" for entry in inputs if not entry.skipped).items())),
        "shards": [json.loads((job.work / "shards" / f"{i:05d}.json").read_text(encoding="utf-8")) for i in range(shards)],
        "versions": list_versions(),
    }
    if len(list((job.out / SHARDS).glob("*.tar"))) != shards:
        raise Step1XError(f"{job.out / SHARDS} holds shards of something else; build into an empty folder.")
    write_json(job.out / SET, facts)
    return facts


def _small_pictures(job: Job, rejected: list[_Row]) -> Iterator[bytes]:
    """Pictures of the first rejected candidates of each category and reason."""
    shown: Counter[tuple[str, str]] = Counter()
    for row in rejected:
        values = row.values
        key = values["category"], values["reason"]
        if shown[key] >= job.recipe.rejected_pictures:
            continue
        if "small" in values:
            yield read_stretch((job.work / row.file).with_suffix(".small"), *values["small"])
        elif "at" in values:
            yield _reduce(read_stretch(job.work / row.file, *values["at"]), values["id"])
        else:
            continue
        shown[key] += 1


def _reduce(stretch: bytes, name: str) -> bytes:
    """A whole triplet's stretch of tar as that of a rejected one."""
    files = read_sample(stretch)
    return to_tar(name, pack_small(*(decode_picture(find_picture(files, which)) for which in ("source", "target"))))


def _count(rows: list[dict[str, Any]], key: str) -> dict[str, int]:
    return dict(sorted(Counter(row[key] for row in rows).items()))


def _count_stages(rejected: list[_Row]) -> dict[str, dict[str, dict[str, int]]]:
    """Category -> stage -> reason -> how many."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for row in rejected:
        stages = found.setdefault(row.values["category"], {})
        stages.setdefault(row.values["stage"], Counter())[row.values["reason"]] += 1
    return {
        category: {stage: dict(sorted(reasons.items())) for stage, reasons in sorted(stages.items())}
        for category, stages in sorted(found.items())
    }


def _count_skipped(inputs: list[Any]) -> dict[str, int]:
    return dict(sorted(Counter(entry.skipped for entry in inputs if entry.skipped).items()))
