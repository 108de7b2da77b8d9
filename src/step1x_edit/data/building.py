"""Build a set: rounds of candidates until every category has as many triplets as asked for, then shards, then the books.

What is kept follows from the recipe and the pictures alone. Candidates are taken in one order, by round, number and category; the first
ones that pass every filter and are near no earlier one fill the category. Nothing depends on which worker made them, or on a kill.
"""

from __future__ import annotations

import heapq
import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.pipeline.base import PipelineStep

from step1x_edit.data.asking import ReadKey, no_key
from step1x_edit.data.avoidance import Avoided
from step1x_edit.data.books import Books
from step1x_edit.data.candidates import list_versions
from step1x_edit.data.clips import list_clips
from step1x_edit.data.executors import Workers, open_workers, run_tasks
from step1x_edit.data.inventory import Inventory
from step1x_edit.data.jobs import INPUTS, Block, Job
from step1x_edit.data.licences import Credits
from step1x_edit.data.materials import list_cutouts
from step1x_edit.data.photographs import Input
from step1x_edit.data.pipeline import assemble, make, order_key, survey
from step1x_edit.data.recipe import DataRecipe, check_recipe
from step1x_edit.data.selection import KEPT, SPARE, Fate, Row, Selection
from step1x_edit.data.shards import RECIPE, SET, SHARDS
from step1x_edit.data.slots import Slot, parse_id
from step1x_edit.data.storage import make_folder, read_lines, sweep, write_json, write_lines
from step1x_edit.data.suitability import find_need, suits
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.locking import hold

PHOTOGRAPHS = "photographs.jsonl"

Progress = Callable[[str, int, int], None]
"""What is done, how far it is, and how far it will go."""

Run = Callable[[str, list[PipelineStep], int, str], None]
"""Runs a list of blocks: how it is called for people, the blocks, the number of tasks, the folder of its logs."""


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
    job = Job(out.resolve(), recipe.resolve(), read_key)
    make_folder(out)
    with hold(job.out / ".lock", f"Another build is at work in {job.out}; wait for it, or choose another folder."):
        if not _begin(job):
            shutil.rmtree(job.work, ignore_errors=True)  # what a kill at the very end has left
            return read_set(out)
        with open_workers(recipe.executor) as workers:
            selection, shards = _make(job, partial(_run, job, workers, progress))
        facts = _finish(job, selection, shards)
        shutil.rmtree(job.work)
        sweep(job.out)
        return facts


def _make(job: Job, run: Run) -> tuple[Selection, int]:
    """All the work of a build but `set.json`: every candidate, the books of the rejected ones, and shards, of which it says how many."""
    if not job.avoided.exists():
        Avoided.take(job.recipe.avoid).write(job.avoided)
    run("looking at photographs", survey(job), math.ceil(len(Inventory.read(job.inventory).photographs) / INPUTS), "survey")
    selection, books = _draw(job, run)
    books.close()
    shards = job.write_picks(sorted(books.picks, key=lambda pick: order_key(job.recipe.seed, pick[0])))
    run("writing shards", assemble(job), shards, "shards")
    return selection, shards


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
        values = _read_begun(folder)
    except OSError as error:
        raise UsageError(f"{folder} has no {RECIPE}: it was not built here, and its triplets cannot be made again.") from error
    return check_recipe(values["recipe"], str(folder / RECIPE))


def _read_begun(folder: Path) -> dict[str, Any]:
    """The recipe and the versions of the tools that a set was begun with; raises UsageError where its file says something else."""
    try:
        values = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    except ValueError:
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("recipe"), dict) or "versions" not in values:
        raise UsageError(f"{folder} holds a {RECIPE} of something else; choose another folder.")
    return values


def _begin(job: Job) -> bool:
    """Write down what is built and of what, or check that an earlier run has begun the same; False where the set is finished already."""
    path, finished = job.out / RECIPE, (job.out / SET).exists()
    wanted = {"recipe": job.recipe.to_values(), "versions": list_versions()}
    if not path.exists() and [entry for entry in job.out.iterdir() if entry.name != ".lock"]:
        raise UsageError(f"The folder {job.out} is not empty and holds no set; choose another one.")
    inventory = None if finished else Inventory.take(job.recipe, job.out)
    differs = _find_difference(job, wanted, inventory)
    if differs and (finished or any(job.work.glob("round-*/*.jsonl"))):
        raise UsageError(differs)
    if differs or not path.exists():
        shutil.rmtree(job.work, ignore_errors=True)  # an earlier run came to nothing
        write_json(path, wanted)
    if inventory is not None:
        inventory.write(job.inventory)
    if finished or job.recipe.executor.kind != "slurm":  # an array that an earlier run has asked for may still be writing
        sweep(job.out)
    return not finished


def _find_difference(job: Job, wanted: dict[str, Any], inventory: Inventory | None) -> str:
    """Why the folder cannot be gone on with, or empty where it can or nothing was begun in it; a finished set has no inventory."""
    if not (job.out / RECIPE).exists():
        return ""
    known = _read_begun(job.out)
    for key in {**wanted["recipe"], **known["recipe"]}:
        if known["recipe"].get(key) != wanted["recipe"].get(key):
            return f"{job.out} was begun with another recipe ({key} differs); choose another folder or the same recipe."
    if inventory is None:
        return ""
    if known["versions"] != wanted["versions"]:
        return f"{job.out} was begun with other versions of the tools; begin again in another folder."
    if not job.inventory.exists():
        return f"Nothing tells of which files {job.out} was begun; begin again in another folder."
    change = Inventory.read(job.inventory).find_change(inventory)
    return f"{change} since {job.out} was begun; put all files back as they were, or build into another folder." if change else ""


def _run(job: Job, workers: Workers, progress: Progress, what: str, steps: list[PipelineStep], tasks: int, name: str) -> None:
    where = job.recipe.executor
    run_tasks(steps, tasks, job.work / "logs" / name, where, lambda done, total: progress(what, done, total), workers)


def _draw(job: Job, run: Run) -> tuple[Selection, Books]:
    """Rounds of candidates until the wanted numbers are kept."""
    limits = job.recipe.limits
    selection = Selection(job.recipe.slots(), None if "duplicates" in limits.off else limits.distance)
    inputs = job.read_inputs()
    for slot in job.recipe.slots():
        need = find_need(slot)
        if need and not all(entry.skipped for entry in inputs) and not any(suits(slot, entry) for entry in inputs):
            if find_need(slot.composed):
                blurred = ", or switch off privacy.faces" if job.recipe.privacy.faces else ""
                raise UsageError(
                    f"No photograph shows {need.words}, which {slot.category} needs; "
                    f"add some, or set the share of {slot.category} to 0{blurred}."
                )
            selection.hand_over(slot)
    books, number = Books(job), 0
    while blocks := selection.plan(job.recipe.executor.block):
        job.write_plan(number, blocks)
        run(f"making candidates, round {number + 1}", make(job, number), len(blocks), f"round-{number}")
        books.enter(map(selection.settle, _read_round(job, number, blocks)))
        number += 1
    return selection, books


def _read_round(job: Job, number: int, blocks: Sequence[Block]) -> Iterator[Row]:
    """A round's candidates in their order: what each slot has made, side by side."""
    ranks: dict[Slot, list[int]] = {}
    for rank in sorted(range(len(blocks)), key=lambda rank: blocks[rank].first):
        ranks.setdefault(blocks[rank].slot, []).append(rank)
    return heapq.merge(*(_read_slot(job, number, slot, found) for slot, found in ranks.items()), key=lambda row: row.order)


def _read_slot(job: Job, number: int, slot: Slot, ranks: Iterable[int]) -> Iterator[Row]:
    for rank in ranks:
        place = job.round(number) / f"{rank:05d}.jsonl"
        file = place.with_suffix(".tar").relative_to(job.work).as_posix()
        for values in read_lines(place):
            yield Row((number, parse_id(values["id"])[1], slot.order), slot, values, file)


def _finish(job: Job, selection: Selection, shards: int) -> dict[str, Any]:
    """Write the inputs, and `set.json`, last of all."""
    inputs, fates = job.read_inputs(), selection.fates
    write_lines(job.out / PHOTOGRAPHS, (entry.to_row() for entry in inputs))
    kept = {fate: count for fate, count in fates.items() if fate.stage == KEPT}
    spare = {fate: count for fate, count in fates.items() if fate.stage == SPARE}
    rejected = {fate: count for fate, count in fates.items() if fate.stage not in (KEPT, SPARE)}
    facts = {
        "count": sum(kept.values()),
        "categories": _add(kept, lambda fate: fate.slot.category.value),
        "routes": _add(kept, lambda fate: fate.route),
        "composed_instead": dict(sorted(selection.composed_instead.items())),
        "drawn": _add(fates, lambda fate: fate.slot.name),
        "rejected": _add_stages(rejected),
        "spare": _add(spare, lambda fate: fate.slot.name),
        "photographs": {"taken": sum(not entry.skipped for entry in inputs), "skipped": _count(filter(None, (e.skipped for e in inputs)))},
        "licences": _count(licence or "unknown" for licence in _list_licences(job.recipe, inputs)),
        "shards": [json.loads((job.work / "shards" / f"{i:05d}.json").read_text(encoding="utf-8")) for i in range(shards)],
        "versions": list_versions(),
    }
    if len(list((job.out / SHARDS).glob("*.tar"))) != shards:
        raise Step1XError(f"{job.out / SHARDS} holds shards of something else; build into an empty folder.")
    write_json(job.out / SET, facts)
    return facts


def _list_licences(recipe: DataRecipe, inputs: Iterable[Input]) -> Iterator[str]:
    """The licence of each photograph, cut-out and clip that the set could be made of, or empty."""
    yield from (entry.credit.licence for entry in inputs if not entry.skipped)
    cutouts, credits = list_cutouts(recipe.cutouts), Credits(recipe.cutouts)
    chosen = recipe.read_split().select((path.stem for path in cutouts), "train", photographs=False)
    yield from (credits.find(path).licence for path in cutouts if path.stem in chosen)
    if recipe.videos:
        yield from (clip.credit.licence for clip in list_clips(recipe.videos))


def _count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _add(fates: Mapping[Fate, int], key: Callable[[Fate], str]) -> dict[str, int]:
    """How many candidates there are of each key."""
    found: Counter[str] = Counter()
    for fate, count in fates.items():
        found[key(fate)] += count
    return dict(sorted(found.items()))


def _add_stages(rejected: Mapping[Fate, int]) -> dict[str, dict[str, dict[str, int]]]:
    """Slot -> stage -> reason -> how many candidates."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for fate, count in rejected.items():
        stages = found.setdefault(fate.slot.name, {})
        stages.setdefault(fate.stage, Counter())[fate.reason] += count
    return {
        name: {stage: dict(sorted(reasons.items())) for stage, reasons in sorted(stages.items())} for name, stages in sorted(found.items())
    }
