"""Figures of several systems put together: what `step1x bench score`, `compare` and the report print.

A summary is plain data that goes to JSON as it is; a figure that cannot be worked out is None, never a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from step1x_edit.bench import statistics
from step1x_edit.bench.gedit import LANGUAGES, TASK_SIZES, TASKS
from step1x_edit.bench.score_tables import TableSet, find_tables, read_set
from step1x_edit.bench.scores import METRICS, CaseScore, Means, Metric, Subset, average, choose, mark_intersection, values_of
from step1x_edit.errors import UsageError

SUBSETS: tuple[Subset, ...] = ("full", "intersection")

Scores = dict[str, list[CaseScore]]
"""By system, or by "system (judge)" where there are several judges."""


def read_scores(folders: Sequence[Path], judge: str | None = None) -> Scores:
    """Every score table in some folders.

    Args:
        folders: searched with their subfolders.
        judge: only the tables in folders of this name.

    Raises:
        UsageError: there is none, one of them cannot be read, or one judge was asked by different rubrics.
    """
    return {name: read_set(each) for name, each in _find(folders, judge).items()}


def find_folders(folders: Sequence[Path], judge: str | None = None) -> dict[str, Path]:
    """The result folder of every system that `read_scores` finds, where its tables lie in `scores/<judge>` of it."""
    return {name: each.folder.parent.parent for name, each in _find(folders, judge).items()}


def _find(folders: Sequence[Path], judge: str | None) -> dict[str, TableSet]:
    sets = [each for folder in folders for each in find_tables(folder) if judge in (None, each.judge)]
    if not sets:
        which = f" by {judge}" if judge else ""
        raise UsageError(
            f"There are no score tables{which} in {', '.join(map(str, folders))}; step1x bench score --judge makes them. "
            "The judge called reference makes none: it prints its figures and comparisons itself."
        )
    names = [each.system for each in sets]
    several = len({each.known_judge for each in sets if each.known_judge}) > 1
    found: dict[str, TableSet] = {}
    for each in sets:
        name = f"{each.system} ({each.judge})" if names.count(each.system) > 1 or (several and each.known_judge) else each.system
        if name in found:
            raise UsageError(f"Two folders hold tables of {name}; give one of them.")
        found[name] = each
    _check_rubrics(found.values())
    return found


def _check_rubrics(sets: Iterable[TableSet]) -> None:
    first: dict[str, TableSet] = {}
    for each in sets:
        other = first.setdefault(each.judge, each) if each.rubric else each
        if other.rubric != each.rubric:
            raise UsageError(
                f"{each.judge} judged {other.system} by the {other.rubric} and {each.system} by the {each.rubric}, whose figures cannot be "
                "compared; judge both with the same --prompts, or without."
            )


def summarise(scores: Mapping[str, Sequence[CaseScore]], common: bool = False) -> dict[str, Any]:
    """Averages of every system by language and subset, with intervals and what is missing.

    Args:
        scores: judgements by system.
        common: work the intersection out anew, from these systems; else it is what the tables say.
    """
    chosen = mark_intersection(scores) if common else {system: list(cases) for system, cases in scores.items()}
    return {"systems": {system: _summarise_system(cases) for system, cases in chosen.items()}, "tasks": list(TASKS)}


def compare_systems(
    scores: Mapping[str, Sequence[CaseScore]], metric: Metric = "o", language: str = "all", subset: Subset = "full"
) -> list[dict[str, Any]]:
    """Every pair of systems on the cases that both have a judgement of, by one judge; p corrected over the pairs.

    Raises:
        UsageError: there are fewer than two systems, or no two that one judge judged.
    """
    if len(scores) < 2:
        raise UsageError(f"A comparison takes at least two systems, and {', '.join(scores) or 'none'} is all there is.")
    marked = mark_intersection(scores) if subset == "intersection" else scores
    values = {system: values_of(choose(cases, language, subset), metric) for system, cases in marked.items()}
    judges = {system: next((case.judge for case in cases), "") for system, cases in scores.items()}
    pairs = [pair for pair in combinations(values, 2) if len({judges[system] for system in pair} - {""}) < 2]
    if not pairs:
        raise UsageError(f"No two systems were judged by one judge: {', '.join(values)}; have them judged by the same.")
    return compare_values(values, pairs)


def compare_values(values: Mapping[str, statistics.Values], pairs: Sequence[tuple[str, str]] | None = None) -> list[dict[str, Any]]:
    """Some pairs of systems, or every pair, by a figure of every case."""
    pairs = list(combinations(values, 2)) if pairs is None else pairs
    found = [statistics.compare(values[one], values[other]) for one, other in pairs]
    corrected = statistics.correct([difference.p for difference in found])
    rows = []
    for (one, other), difference, p in zip(pairs, found, corrected, strict=True):
        rows.append(
            {
                "first": one,
                "second": other,
                "difference": number(difference.interval.value),
                "low": number(difference.interval.low),
                "high": number(difference.interval.high),
                "p": number(p),
                "wins": difference.wins,
                "ties": difference.ties,
                "losses": difference.losses,
            }
        )
    return rows


def number(value: float) -> float | None:
    """None for what is no number, so that JSON stays JSON."""
    return None if math.isnan(value) else value


def _summarise_system(cases: Sequence[CaseScore]) -> dict[str, Any]:
    views: dict[str, Any] = {}
    for language in (*LANGUAGES, "all"):
        for subset in SUBSETS:
            chosen = choose(cases, language, subset)
            if not chosen:
                continue
            averages = average(chosen)
            intervals = {metric: statistics.interval_of(values_of(chosen, metric)) for metric in METRICS}
            views[f"{language}/{subset}"] = {
                **_means(averages.total),
                "interval": {metric: [number(each.low), number(each.high)] for metric, each in intervals.items()},
                "tasks": {task: _means(means) for task, means in averages.tasks.items()},
                "absent_tasks": list(averages.absent),
            }
    reasons: dict[str, int] = {}
    for case in cases:
        if not case.known:
            reasons[case.reason or "no judgement"] = reasons.get(case.reason or "no judgement", 0) + 1
    whole = {task: len({case.key for case in cases if case.task == task}) for task in TASKS} == TASK_SIZES
    return {"views": views, "missing": reasons, "whole_benchmark": whole}


def _means(means: Means) -> dict[str, Any]:
    return {**{metric: number(means.get(metric)) for metric in METRICS}, "cases": means.cases, "missing": means.missing}
