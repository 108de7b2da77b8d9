"""Run a system over cases: resumable case by case, with progress and cost.

A case is done when its result lies under its name; it is then never asked again. What happened to every case is a line of `run.jsonl` in
the system's folder, and what was run is in `run.json`; nothing of the key is written.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL.Image import Image

from step1x_edit import __version__
from step1x_edit.bench.calls import BudgetReached, Limits, Pace, Passing, Prices, Purse, Refused, Stopped, Usage, call, work_through
from step1x_edit.bench.gedit import BenchCase, CaseName, describe_cases, find_picture, name_row, place_result, place_source, write_text
from step1x_edit.bench.systems.system import System
from step1x_edit.errors import ImageError, Step1XError, UsageError
from step1x_edit.image_io import read_image, write_image
from step1x_edit.locking import hold
from step1x_edit.tables import read_json_lines

CASES = "cases.jsonl"
LOG = "run.jsonl"
RECORD = "run.json"


@dataclass(frozen=True)
class RunState:
    """How far a run is: cases in all, edited, refused, failed for now, and dollars spent, earlier runs included."""

    total: int
    edited: int
    refused: int
    failed: int
    spent: float

    @property
    def left(self) -> int:
        """Cases without an answer."""
        return self.total - self.edited - self.refused


class Journal:
    """Lines of JSON that several threads append to; a line torn by a kill is passed over when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._torn = self._ends_torn()

    def read(self) -> list[dict[str, Any]]:
        """Every whole line of a case; what other programs write into such a file is passed over."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if isinstance(row, dict) and isinstance(name := row.get("case"), list) and all(isinstance(part, str) for part in name):
                    rows.append(row)
        return rows

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a line; a new one begins even where the last was torn.

        Raises:
            Step1XError: the disk is full or refuses.
        """
        text = json.dumps(row, ensure_ascii=False)
        with self._lock:
            begin, self._torn = "\n" if self._torn else "", True
            try:
                with self.path.open("a", encoding="utf-8", errors="replace") as file:  # services send halves of characters, too
                    file.write(f"{begin}{text}\n")
            except OSError as error:
                raise Step1XError(f"{self.path} could not be written ({error.strerror or error}); make room, and run it again.") from error
            self._torn = False

    def _ends_torn(self) -> bool:
        if not self.path.exists() or not self.path.stat().st_size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() != b"\n"


def run_system(
    system: System,
    cases: Sequence[BenchCase],
    folder: Path,
    *,
    limits: Limits,
    prices: Prices,
    seed: int = 0,
    again: bool = False,
    progress: Callable[[RunState], None] = lambda state: None,
) -> RunState:
    """Edit every case that has no result yet.

    Args:
        system: who edits.
        cases: what to edit.
        folder: the system's result folder; made where it is missing.
        limits: rate, attempts, time-outs and cost cap.
        prices: what calls cost.
        seed: every case's seed.
        again: ask once more for the cases that were refused.
        progress: told after each case.

    Raises:
        UsageError: the folder belongs to another run, one is at work in it, or it holds answers to other questions, or the limits cannot
            be kept.
        BudgetReached: the cost cap is reached; what is done is kept.
        Step1XError: the service turns all cases down.
    """
    limits.check(prices)
    busy = f"Another run is at work in {folder}; wait for it, or choose another --out or --name."
    with hold(folder / ".lock", busy):  # two at once would ask, and pay for, the same cases twice
        _claim(folder, system, seed)
        journal = Journal(folder / LOG)
        earlier = journal.read()
        refused = {tuple(row["case"]) for row in earlier if row.get("outcome") == "refused"} if not again else set()
        done = {case.name for case in cases if find_picture(place_result(folder, case.name))}
        turned_down = {case.name for case in cases if case.name in refused and case.name not in done}
        _keep_cases(folder, cases, done | turned_down)
        costs = [float(row.get("cost") or 0) for row in earlier]
        purse = Purse(prices, limits.budget, sum(costs), max(costs, default=0.0))
        worker = _Worker(system, folder, journal, limits, purse, Pace(limits.per_minute), seed)
        counts = Counter(edited=len(done), refused=len(turned_down), failed=0)

        def state() -> RunState:
            return RunState(len(cases), counts["edited"], counts["refused"], counts["failed"], purse.spent)

        progress(state())
        waiting = deque(case for case in cases if case.name not in done and case.name not in turned_down)
        problem: Step1XError | None = None
        with closing(work_through(waiting, worker.answer, limits.concurrency or system.concurrency, worker.pace)) as answers:
            for _, future in answers:
                try:
                    counts[future.result()] += 1
                except Stopped:
                    continue
                except Step1XError as error:
                    problem = problem or error
                    waiting.clear()
                    worker.pace.stop()
                progress(state())
        if problem is not None:
            raise BudgetReached(purse.describe_end()) if isinstance(problem, BudgetReached) else problem
        return state()


@dataclass(frozen=True)
class _Worker:
    system: System
    folder: Path
    journal: Journal
    limits: Limits
    purse: Purse
    pace: Pace
    seed: int

    def answer(self, case: BenchCase) -> str:
        """Edit one case and write what came of it; returns the outcome."""
        started = time.perf_counter()
        row: dict[str, Any] = {"case": list(case.name)}
        usage: Usage | None = None
        outcome, reason = "edited", ""
        try:
            picture = read_image(case.source.read()).image
            shown = picture if case.shown is case.source else read_image(case.shown.read()).image
        except ImageError as error:
            return self._note(row, "failed", f"the source cannot be read: {error}", started)  # it may be mended; nobody was asked
        self.purse.begin()
        try:
            edited, attempts = call(lambda: self.system.edit(case, picture, self.seed), self.limits, self.pace)
            usage = edited.usage
            row |= {"attempts": attempts, "model": edited.model, "usage": asdict(edited.usage)}
            self._write(case, shown, edited.image)
        except Refused as error:
            usage, outcome, reason = error.usage, "refused", str(error)
        except Passing as error:
            outcome, reason = "failed", str(error)
        finally:
            row["cost"] = self.purse.end(usage)
        return self._note(row, outcome, reason, started)

    def _write(self, case: BenchCase, shown: Image, image: Image) -> None:
        result, source = place_result(self.folder, case.name), place_source(self.folder, case.name)
        result.parent.mkdir(parents=True, exist_ok=True)
        if not source.exists():
            write_image(shown, source, overwrite=True)
        write_image(image if image.mode in ("RGB", "RGBA") else image.convert("RGB"), result, overwrite=True)

    def _note(self, row: dict[str, Any], outcome: str, reason: str, started: float) -> str:
        seconds = round(time.perf_counter() - started, 3)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self.journal.add({**row, "outcome": outcome, "reason": reason, "seconds": seconds, "when": when})
        return outcome


def read_missing(folder: Path, cases: Sequence[CaseName]) -> dict[CaseName, str]:
    """Cases without a result, and why, as the last run told."""
    reasons = {tuple(row["case"]): str(row.get("reason") or "") for row in Journal(folder / LOG).read()}
    return {name: reasons.get(name) or "no result" for name in cases if not find_picture(place_result(folder, name))}


def _claim(folder: Path, system: System, seed: int) -> None:
    record = {"system": system.name, **dict(system.facts), "seed": seed}
    path = folder / RECORD
    if path.exists():
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"{path} is damaged; choose another folder.") from error
        wanted = json.loads(json.dumps(record))
        for key in [*wanted, *(key for key in earlier if key not in ("version", "started"))]:
            before, now = (f"{key} {each[key]!r}" if key in each else f"no {key}" for each in (earlier, wanted))
            if before != now:
                raise UsageError(f"{folder} holds a run with {before} and this one has {now}; choose another --out or --name.")
        return
    if (folder / "fullset").exists():
        raise UsageError(f"{folder} holds results that no run of this command made; choose another --out or --name.")
    started = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(path, json.dumps({**record, "version": __version__, "started": started}, ensure_ascii=False, indent=1) + "\n")


def check_asked(folder: Path, cases: Sequence[BenchCase]) -> None:
    """Refuse to score answers by questions that are not those they were given to, where the folder tells what was asked.

    Raises:
        UsageError: an answer was given to another instruction or picture.
    """
    earlier = _read_asked(folder)
    answered = [case for case in cases if case.name in earlier and find_picture(place_result(folder, case.name))]
    if other := _find_other(earlier, describe_cases(answered)):
        raise UsageError(f"{folder} holds an answer to {other}; give the --cases that it answers.")


def _keep_cases(folder: Path, cases: Sequence[BenchCase], answered: Set[CaseName]) -> None:
    """Add to what the folder says was asked; refused where an answer that lies there was given to another instruction or picture."""
    earlier, asked = _read_asked(folder), describe_cases(cases)
    if other := _find_other(earlier, {name: asked[name] for name in answered}):
        raise UsageError(f"{folder} holds an answer to {other}; choose another --out or --name.")
    rows = {**earlier, **asked}
    write_text(folder / CASES, "".join(json.dumps(rows[name], ensure_ascii=False) + "\n" for name in sorted(rows)))


def _read_asked(folder: Path) -> dict[CaseName, Mapping[str, object]]:
    path = folder / CASES
    return {name_row(row): row for row in read_json_lines(path)} if path.exists() else {}


def _find_other(earlier: Mapping[CaseName, Mapping[str, object]], asked: Mapping[CaseName, Mapping[str, object]]) -> str:
    """What of which case was another before, in words; empty where all is as it was."""
    for name, row in asked.items():
        before = earlier.get(name, {})
        for column, what in (("instruction", "instruction"), ("source_sha256", "picture")):
            if column in before and before[column] != row[column]:
                return f"another {what} of {'/'.join(name)}"
    return ""
