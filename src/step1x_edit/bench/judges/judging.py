"""Have a system's results judged: cached, repeated, bounded in rate and cost, resumable question by question.

    SC of a case = mean over repeats of min(followed, restraint);   PQ = mean over repeats of min(natural, free of artefacts)

A case of which any question has no readable answer is missing, with the reason. With `swap`, every SC question is asked once more with the
pictures in the other order; that answer never enters a score, it measures how much the order matters.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from step1x_edit import __version__
from step1x_edit.bench.calls import BudgetReached, Limits, Pace, Passing, Prices, Purse, Refused, Stopped, call, work_through
from step1x_edit.bench.gedit import BenchCase, CaseName, find_picture, place_result, place_source, write_text
from step1x_edit.bench.judges.cache import AnswerCache, Kept, name_answer
from step1x_edit.bench.judges.judge import Judge, Question, Reply
from step1x_edit.bench.judges.parsing import Unreadable, parse_scores
from step1x_edit.bench.judges.rubric import PARTS, Part, Rubric
from step1x_edit.bench.judges.showing import Shown, show_result
from step1x_edit.bench.running import check_asked, read_missing
from step1x_edit.bench.score_tables import RECORD, drop_other_tables, write_tables
from step1x_edit.bench.scores import CaseScore
from step1x_edit.errors import ImageError, Step1XError
from step1x_edit.locking import hold

ANSWERS = "answers.sqlite"
SWAPPED = "\n\nThe pictures come in the other order here: the edited picture first, the original second."


@dataclass(frozen=True)
class JudgeState:
    """How far judging is: questions in all, answered, without an answer for now, and dollars spent, earlier runs included.

    While it is under way the dollars are those of all folders that share the purse, at the end those of this one.
    """

    total: int
    answered: int
    failed: int
    spent: float


@dataclass(frozen=True)
class Judged:
    """Scores of every case, why the cost cap ended it if it did, and what the judge's noise is."""

    cases: list[CaseScore]
    state: JudgeState
    ended: str
    noise: dict[str, Any]


@dataclass(frozen=True)
class _Asked:
    case: BenchCase
    part: Part
    repeat: int
    swapped: bool
    pictures: tuple[Shown, ...]
    name: str


def judge_results(
    judge: Judge,
    rubric: Rubric,
    cases: Sequence[BenchCase],
    folder: Path,
    *,
    limits: Limits,
    purse: Purse,
    repeats: int = 1,
    swap: bool = False,
    progress: Callable[[JudgeState], None] = lambda state: None,
) -> Judged:
    """Ask what has no cached answer yet, and write the score tables into `<folder>/scores/<judge>`.

    Args:
        judge: who is asked.
        rubric: what is asked.
        cases: what the system was asked.
        folder: of the system's results.
        limits: rate, attempts and time-outs.
        purse: what this folder and others cost, see `open_purse`.
        repeats: how often each question is asked.
        swap: ask with the pictures in the other order, too.
        progress: told after each answer.

    Raises:
        UsageError: the results answer other questions, or another command has them judged by the same judge.
        Step1XError: the judge answers no question; what it answered before is kept.
    """
    check_asked(folder, cases)
    place = folder / "scores" / judge.name
    busy = f"{judge.name} is asked about {folder} by another command; wait for it."
    with hold(place / ".lock", busy), closing(AnswerCache(place / ANSWERS)) as cache:
        missing = read_missing(folder, [case.name for case in cases])
        questions = _list_questions(judge, rubric, [c for c in cases if c.name not in missing], folder, cache, repeats, swap)
        answers = cache.read()
        failures, ended = _ask_all(judge, rubric, questions, answers, cache, limits, purse, progress)
        found = [_score(case, [q for q in questions.get(case.name, ()) if not q.swapped], answers, failures, missing) for case in cases]
        flat = [question for group in questions.values() for question in group]
        noise = _measure_noise(flat, answers)
        state = JudgeState(len(flat), sum(q.name in answers for q in flat), len(failures), sum(kept.cost for kept in answers.values()))
        system = folder.resolve().name
        drop_other_tables(place, system, {**judge.facts, "rubric_digest": rubric.digest})
        write_tables(place, system, found)
        judged = Judged(found, state, ended, noise)
        _write_record(place / RECORD, judge, rubric, [answers[q.name] for q in flat if q.name in answers], repeats, judged)
    return judged


def open_purse(judge: Judge, folders: Iterable[Path], limits: Limits, prices: Prices) -> Purse:
    """One purse for some result folders, out of which their answers so far were paid.

    Raises:
        UsageError: the limits cannot be kept.
    """
    limits.check(prices)
    costs = []
    for folder in folders:
        cache = AnswerCache(folder / "scores" / judge.name / ANSWERS)
        costs += [kept.cost for kept in cache.read().values()]
        cache.close()
    return Purse(prices, limits.budget, sum(costs), max(costs, default=0.0))


def _list_questions(
    judge: Judge, rubric: Rubric, cases: Sequence[BenchCase], folder: Path, cache: AnswerCache, repeats: int, swap: bool
) -> dict[CaseName, list[_Asked]]:
    questions: dict[CaseName, list[_Asked]] = {}
    for case in cases:
        result, source = find_picture(place_result(folder, case.name)), find_picture(place_source(folder, case.name))
        if result is None or source is None:
            raise Step1XError(f"{place_source(folder, case.name)} is missing: the source must lie beside the result.")
        before, after = Shown(source), show_result(result, source)
        for repeat in range(repeats):
            for part in PARTS:
                for swapped in (False, True) if swap and part == "sc" else (False,):
                    pictures = (after,) if part == "pq" else (after, before) if swapped else (before, after)
                    digests = tuple(cache.digest(shown.path) for shown in pictures)
                    instruction = case.instruction if part == "sc" else ""
                    mark = f"{rubric.digest}{'/swapped' if swapped else ''}{f'/{after.size}' if after.size else ''}"
                    name = name_answer(judge.facts, mark, part, instruction, digests, repeat)
                    questions.setdefault(case.name, []).append(_Asked(case, part, repeat, swapped, pictures, name))
    return questions


def _ask_all(
    judge: Judge,
    rubric: Rubric,
    questions: Mapping[CaseName, Sequence[_Asked]],
    answers: dict[str, Kept],
    cache: AnswerCache,
    limits: Limits,
    purse: Purse,
    progress: Callable[[JudgeState], None],
) -> tuple[dict[str, str], str]:
    """Fill `answers`; returns why some questions have none, and the sentence that ended it early, if one did."""
    pending = {q.name: q for group in questions.values() for q in group if q.name not in answers}
    total = sum(len(group) for group in questions.values())
    waiting, pace = deque(reversed(pending.values())), Pace(limits.per_minute)
    failures: dict[str, str] = {}
    unasked: list[_Asked] = []
    ended, problem = False, None

    def ask(question: _Asked) -> Kept:
        purse.begin()
        reply, refusal = Reply(""), ""
        try:
            text = rubric.fill(question.part, question.case.instruction) + (SWAPPED if question.swapped else "")
            asked = Question(text, tuple(shown.read() for shown in question.pictures))
            reply, _ = call(lambda: judge.ask(asked, question.repeat), limits, pace)
        except Refused as error:
            refusal, reply = str(error), Reply("", error.usage)
        except ImageError as error:
            refusal = f"a picture cannot be read: {error}"
        finally:
            cost = purse.end(reply.usage)
        return cache.keep(question.name, reply, cost, refusal)

    def tell() -> None:
        progress(JudgeState(total, total - len(pending) + done, len(failures), purse.spent))

    done = 0
    tell()
    with closing(work_through(waiting, ask, limits.concurrency or judge.concurrency, pace)) as answered:
        for question, future in answered:
            try:
                answers[question.name] = future.result()
                done += 1
            except BudgetReached:
                ended = True
                failures[question.name] = "not asked: the cost cap was reached"
                unasked += waiting
                waiting.clear()
            except Passing as error:
                failures[question.name] = str(error)
            except Stopped:
                failures[question.name] = "not asked"
            except Step1XError as error:
                problem = problem or error
                waiting.clear()
                pace.stop()
            tell()
    if problem is not None:
        raise problem
    failures.update({question.name: "not asked: the cost cap was reached" for question in unasked})
    return failures, purse.describe_end() if ended else ""


def _read(kept: Kept) -> float:
    if kept.refusal:
        raise Unreadable(kept.refusal)
    return min(parse_scores(kept.text))


def _score(
    case: BenchCase,
    questions: Sequence[_Asked],
    answers: Mapping[str, Kept],
    failures: Mapping[str, str],
    missing: Mapping[CaseName, str],
) -> CaseScore:
    values: dict[Part, list[float]] = {part: [] for part in PARTS}
    reasons: dict[Part, str] = {}
    for question in questions:
        try:
            values[question.part].append(_read(answers[question.name]))
        except KeyError:
            reasons[question.part] = failures.get(question.name, "not asked")
        except Unreadable as error:
            reasons[question.part] = str(error)
    sc, pq = (fmean(values[part]) if values[part] and part not in reasons else None for part in PARTS)
    reason = f"no result: {missing[case.name]}" if case.name in missing else "; ".join(f"{part}: {why}" for part, why in reasons.items())
    return CaseScore(case.task, case.language, case.key, sc, pq, bool(case.intersection), case.instruction, reason)


def _measure_noise(questions: Sequence[_Asked], answers: Mapping[str, Kept]) -> dict[str, Any]:
    """How far repeats of one question lie apart, as the standard deviation of one answer, and what the pictures' order does."""
    groups: dict[tuple[Any, ...], dict[bool, list[float]]] = {}
    for question in questions:
        try:
            value = _read(answers[question.name])
        except (KeyError, Unreadable):
            continue
        groups.setdefault((*question.case.name, question.part), {}).setdefault(question.swapped, []).append(value)
    found: dict[str, Any] = {}
    for part in PARTS:
        spreads = [variance(g[False]) for name, g in groups.items() if name[-1] == part and len(g.get(False, ())) > 1]
        if spreads:
            found[f"{part}_repeats"] = {
                "questions": len(spreads),
                "standard_deviation": fmean(spreads) ** 0.5,
                "same": spreads.count(0) / len(spreads),
            }
    shifts = [fmean(g[True]) - fmean(g[False]) for g in groups.values() if g.get(True) and g.get(False)]
    if shifts:
        found["sc_position"] = {"questions": len(shifts), "mean_shift": fmean(shifts), "mean_absolute_shift": fmean(map(abs, shifts))}
    return found


def _write_record(path: Path, judge: Judge, rubric: Rubric, used: Sequence[Kept], repeats: int, judged: Judged) -> None:
    days = sorted(kept.when for kept in used)
    record = {
        "judge": judge.name,
        **dict(judge.facts),
        "models_that_answered": dict(Counter(kept.model for kept in used if kept.model)),
        "first_answer": days[0] if days else None,
        "last_answer": days[-1] if days else None,
        "rubric": rubric.name,
        "rubric_digest": rubric.digest,
        "repeats": repeats,
        "questions": judged.state.total,
        "answered": judged.state.answered,
        "spent": judged.state.spent,
        "noise": judged.noise,
        "missing": {"/".join(case.name): case.reason for case in judged.cases if not case.known},
        "version": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_text(path, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
