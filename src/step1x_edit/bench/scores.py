"""From judgements to published figures: SC, PQ and O by case, task and language, over the full set or the intersection.

    O of a case = sqrt(SC * PQ);   of a task = the mean of its cases;   of a system = the plain mean of its tasks

A case without a judgement is missing: counted, shown, and never replaced by a number.

Source: reference facts, "GEdit-Bench facts".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from step1x_edit.bench.gedit import TASKS, CaseName
from step1x_edit.errors import UsageError

Subset = Literal["full", "intersection"]
Metric = Literal["sc", "pq", "o"]
METRICS: tuple[Metric, ...] = ("sc", "pq", "o")


@dataclass(frozen=True)
class CaseScore:
    """What a judge said of one case.

    Attributes:
        task: one of the benchmark's tasks.
        language: "en" or "cn".
        key: name within the task.
        sc: semantic consistency, 0..10; None where there is no judgement.
        pq: perceptual quality, 0..10; None where there is no judgement.
        intersection: whether every system answered this case.
        instruction: what was asked.
        reason: why there is no judgement.
        source: path of the source, as the table says it.
        edited: path of the result, as the table says it.
        judge: who judged; empty where that is not known, as of published tables.
    """

    task: str
    language: str
    key: str
    sc: float | None
    pq: float | None
    intersection: bool = False
    instruction: str = ""
    reason: str = ""
    source: str = ""
    edited: str = ""
    judge: str = ""

    def __post_init__(self) -> None:
        for value in (self.sc, self.pq):
            if value is not None and not 0 <= value <= 10:
                raise UsageError(f"A score of {self.task}/{self.language}/{self.key} is {value}, which is not within 0 and 10.")

    @property
    def name(self) -> CaseName:
        """Task, language, key."""
        return self.task, self.language, self.key

    @property
    def o(self) -> float | None:
        """Overall: the geometric mean."""
        return None if self.sc is None or self.pq is None else math.sqrt(self.sc * self.pq)

    @property
    def known(self) -> bool:
        """Whether both parts were judged: only then does the case count, in every column alike."""
        return self.sc is not None and self.pq is not None

    def get(self, metric: Metric) -> float:
        """A figure of a known case."""
        return float(getattr(self, metric))


@dataclass(frozen=True)
class Means:
    """Mean SC, PQ and O, of so many cases; so many others are missing. NaN where there is none."""

    sc: float
    pq: float
    o: float
    cases: int
    missing: int

    def get(self, metric: Metric) -> float:
        """A figure by name."""
        return float(getattr(self, metric))


@dataclass(frozen=True)
class Averages:
    """A system's figures.

    Attributes:
        tasks: by task, in the benchmark's order, those that have any case.
        total: the plain mean of the tasks that have a known case.
        absent: tasks without a known case; where there are any, the total is not comparable with published ones.
    """

    tasks: Mapping[str, Means]
    total: Means
    absent: tuple[str, ...]


def choose(cases: Iterable[CaseScore], language: str = "all", subset: Subset = "full") -> list[CaseScore]:
    """The cases of a language, or "all", and of a subset."""
    return [case for case in cases if language in ("all", case.language) and (subset == "full" or case.intersection)]


def values_of(cases: Iterable[CaseScore], metric: Metric = "o") -> dict[CaseName, float]:
    """A metric of every case that has a judgement."""
    return {case.name: case.get(metric) for case in cases if case.known}


def average(cases: Iterable[CaseScore], language: str = "all", subset: Subset = "full") -> Averages:
    """Average as published."""
    chosen = choose(cases, language, subset)
    tasks = {task: _mean([case for case in chosen if case.task == task]) for task in TASKS if any(c.task == task for c in chosen)}
    known = [means for means in tasks.values() if means.cases]
    sc, pq, o = (fmean(means.get(metric) for means in known) if known else math.nan for metric in METRICS)
    total = Means(sc, pq, o, sum(means.cases for means in tasks.values()), sum(means.missing for means in tasks.values()))
    return Averages(tasks, total, tuple(task for task in TASKS if task not in tasks or not tasks[task].cases))


def mark_intersection(systems: Mapping[str, Sequence[CaseScore]]) -> dict[str, list[CaseScore]]:
    """The same scores, with the intersection worked out anew: the cases that every one of these systems has a judgement of."""
    common = set.intersection(*({case.name for case in cases if case.known} for cases in systems.values())) if systems else set()
    return {system: [replace(case, intersection=case.name in common) for case in cases] for system, cases in systems.items()}


def _mean(cases: Sequence[CaseScore]) -> Means:
    known = [case for case in cases if case.known]
    sc, pq, o = (fmean(case.get(metric) for case in known) if known else math.nan for metric in METRICS)
    return Means(sc, pq, o, len(known), len(cases) - len(known))
