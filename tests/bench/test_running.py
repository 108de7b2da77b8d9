"""Runs that are stopped, killed, refused, too dear, and gone on with."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from bench_services import Service

from step1x_edit.bench.calls import BudgetReached, Limits, Prices
from step1x_edit.bench.gedit import BenchCase, StoredFile, find_picture, name_row, place_result, write_text
from step1x_edit.bench.running import CASES, LOG, Journal, RunState, read_missing, run_system
from step1x_edit.bench.systems import Settings, open_system
from step1x_edit.cli.bench_options import own_editor
from step1x_edit.cli.economy import Economy
from step1x_edit.cli.main import run
from step1x_edit.errors import Step1XError, UsageError

FAST = Limits(concurrency=3, first_wait=0.01, attempts=2)
FREE = Prices()


@pytest.fixture(scope="module")
def cases(make_cases: Callable[..., list[BenchCase]]) -> list[BenchCase]:
    return make_cases(2)


def remote(service: Service):
    return open_system("endpoint:m", Settings(url=f"{service.url}/v1"))


def count_results(cases: list[BenchCase], folder: Path) -> int:
    return sum(find_picture(place_result(folder, case.name)) is not None for case in cases)


def asked(service: Service) -> Counter[str]:
    return Counter(call["body"]["prompt"] for call in service.calls)


def test_a_log_of_another_program_is_passed_over(tmp_path: Path) -> None:
    rows: list[object] = [{"case": 3}, {"case": None}, {"case": ["subject-add", ["en"], "k0"]}, {"step": 1}, 5]
    rows.append({"case": ["subject-add", "en", "k0"], "reason": "why"})
    (tmp_path / LOG).write_text("\n".join(map(json.dumps, rows)))
    keys = [("subject-add", "en", "k0"), ("subject-add", "en", "k1")]
    assert list(read_missing(tmp_path, keys).values()) == ["why", "no result"]


def test_a_disk_that_is_full_for_the_log_is_one_sentence_and_what_it_tore_costs_no_later_line(tmp_path: Path) -> None:
    journal, rows = Journal(tmp_path / LOG), [{"case": ["subject-add", "en", f"k{i}"]} for i in range(3)]
    journal.add(rows[0])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))  # bytes: for one line and a part of the next
    try:
        with pytest.raises(Step1XError, match=rf"{LOG} could not be written \(File too large\)"):
            journal.add(rows[1])
        with pytest.raises(Step1XError, match=rf"{CASES} could not be written"):
            write_text(tmp_path / CASES, "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.add(rows[2])
    assert journal.read() == [rows[0], rows[2]]
    assert [path.name for path in tmp_path.iterdir()] == [LOG]


def test_a_run_goes_on_where_it_stopped(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    service.script = ["ok", "refuse", "503", "503", "ok", "ok", "ok", "ok", "ok"]
    states: list[RunState] = []
    one = Limits(concurrency=1, first_wait=0.01, attempts=2)
    first = run_system(remote(service), cases, tmp_path / "m", limits=one, prices=FREE, progress=states.append)
    assert (first.edited, first.refused, first.failed, first.left) == (6, 1, 1, 1)
    assert [state.edited + state.refused for state in states] == [0, 1, 2, 2, 3, 4, 5, 6, 7]
    missing = read_missing(tmp_path / "m", [case.name for case in cases])
    assert sorted(missing.values()) == ["Your request was rejected by the safety system.", "no answer in 2 attempts: status 503"]
    with (tmp_path / "m" / LOG).open("a") as file:
        file.write('{"case": ["torn')  # as a kill leaves it
    before = asked(service)
    second = run_system(remote(service), cases, tmp_path / "m", limits=FAST, prices=FREE)
    assert (second.edited, second.refused, second.failed) == (7, 1, 0)
    assert sum((asked(service) - before).values()) == 1
    third = run_system(remote(service), cases, tmp_path / "m", limits=FAST, prices=FREE, again=True)
    assert (third.edited, third.refused) == (8, 0)
    assert count_results(cases, tmp_path / "m") == 8


def test_a_cost_cap_ends_the_run_before_it_is_exceeded(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    limits, prices = Limits(concurrency=2, budget=0.35), Prices(picture=0.1)
    with pytest.raises(BudgetReached):
        run_system(remote(service), cases, tmp_path / "m", limits=limits, prices=prices)
    rows = [json.loads(line) for line in (tmp_path / "m" / LOG).read_text().splitlines()]
    assert 0.2 <= sum(row["cost"] for row in rows) <= 0.35
    with pytest.raises(BudgetReached):
        run_system(remote(service), cases, tmp_path / "m", limits=limits, prices=prices)
    assert len(service.calls) <= 3
    with pytest.raises(UsageError, match="prices"):
        run_system(remote(service), cases, tmp_path / "n", limits=limits, prices=FREE)


def test_a_refusal_is_paid_for_too(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    answer = {"data": [], "usage": {"input_tokens": 200, "output_tokens": 1000}}
    service.script = [f"raw:{json.dumps(answer)}"]
    state = run_system(remote(service), cases[:1], tmp_path / "m", limits=FAST, prices=Prices(1, 2, 3))
    assert (state.refused, state.spent) == (1, pytest.approx(0.0022))
    again = run_system(remote(service), cases[:1], tmp_path / "m", limits=FAST, prices=Prices(1, 2, 3))
    assert again.spent == state.spent


@pytest.mark.parametrize("which", ["source", "shown"])
def test_a_damaged_picture_is_not_paid_for_and_tried_again(which: str, service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    damaged = replace(cases[0], **{which: StoredFile(tmp_path / "broken.png")})
    state = run_system(remote(service), [damaged, cases[1]], tmp_path / "m", limits=FAST, prices=FREE)
    assert (state.edited, state.failed, len(service.calls)) == (1, 1, 1)
    assert "cannot be read" in read_missing(tmp_path / "m", [damaged.name])[damaged.name]
    mended = run_system(remote(service), cases[:2], tmp_path / "m", limits=FAST, prices=FREE)
    assert (mended.edited, mended.failed, len(service.calls)) == (2, 0, 2)


def test_a_wrong_key_ends_the_run_at_once(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    service.script = ["401"] * 20
    with pytest.raises(Step1XError, match="key"):
        run_system(remote(service), cases, tmp_path / "m", limits=Limits(concurrency=1), prices=FREE)
    assert len(service.calls) <= 2


def test_calls_run_side_by_side_at_a_bounded_rate(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    service.delay = 0.3
    run_system(remote(service), cases, tmp_path / "m", limits=Limits(concurrency=4, per_minute=1200), prices=FREE)
    starts = sorted(call["when"] for call in service.calls)
    assert 2 <= service.most_at_once <= 4
    assert starts[-1] - starts[0] >= 7 * 0.05 * 0.7


def test_a_folder_belongs_to_one_run(cases: list[BenchCase], random_mini: Path, still_mini: Path, tmp_path: Path) -> None:
    system = open_system("leave-as-is", Settings())
    run_system(system, cases[:1], tmp_path / "m", limits=FAST, prices=FREE)
    with pytest.raises(UsageError, match="seed"):
        run_system(system, cases, tmp_path / "m", limits=FAST, prices=FREE, seed=1)
    for weights, complaint in ((random_mini, False), (still_mini, True)):
        (tmp_path / "weights").unlink(missing_ok=True)
        (tmp_path / "weights").symlink_to(weights)
        own = open_system("step1x", Settings(open_editor=own_editor(tmp_path / "weights", "cpu")))
        with pytest.raises(UsageError, match="fingerprint") if complaint else nullcontext():
            run_system(own, cases[:1], tmp_path / "own", limits=FAST, prices=FREE)
    quick = Settings(open_editor=own_editor(tmp_path / "weights", "cpu"), options={"steps": 1})
    run_system(open_system("step1x", quick), cases[:1], tmp_path / "quick", limits=FAST, prices=FREE)
    with pytest.raises(UsageError, match=r"holds a run with options .* and this one has no options"):
        run_system(own, cases[:1], tmp_path / "quick", limits=FAST, prices=FREE)
    narrow = Settings(open_editor=own_editor(tmp_path / "weights", "cpu", Economy(weights="int4")), options={"steps": 1})
    with pytest.raises(UsageError, match="weights_dtype"):
        run_system(open_system("step1x", narrow), cases[:1], tmp_path / "quick", limits=FAST, prices=FREE)
    (tmp_path / "other" / "fullset").mkdir(parents=True)
    with pytest.raises(UsageError, match="no run of this command"):
        run_system(system, cases, tmp_path / "other", limits=FAST, prices=FREE)


def test_an_instruction_that_is_too_long_is_that_cases_alone(random_mini: Path, cases: list[BenchCase], tmp_path: Path) -> None:
    own = open_system("step1x", Settings(open_editor=own_editor(random_mini, "cpu"), options={"steps": 1}))
    long = replace(cases[0], instruction="make it night " * 200)
    state = run_system(own, [long, cases[1]], tmp_path / "own", limits=FAST, prices=FREE)
    assert (state.edited, state.refused) == (1, 1)
    assert "2800 characters" in read_missing(tmp_path / "own", [long.name])[long.name]


@pytest.mark.parametrize("change", ["instruction", "source"])
def test_answers_to_other_questions_are_no_answers(change: str, cases: list[BenchCase], tmp_path: Path) -> None:
    system = open_system("leave-as-is", Settings())
    run_system(system, cases, tmp_path / "m", limits=FAST, prices=FREE)
    value = "make it day" if change == "instruction" else cases[-1].source
    other = [replace(cases[0], **{change: value}), *cases[1:]]
    with pytest.raises(UsageError, match="another"):
        run_system(system, other, tmp_path / "m", limits=FAST, prices=FREE)
    assert run_system(system, cases[:2], tmp_path / "m", limits=FAST, prices=FREE).edited == 2
    kept = [json.loads(line) for line in (tmp_path / "m" / CASES).read_text().splitlines()]
    assert {name_row(row): row["instruction"] for row in kept} == {case.name: case.instruction for case in cases}


def test_ends_of_lines_of_other_scripts_are_letters(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    text = "make\u2028it\u2029night\x85"
    service.script = [f"raw:{json.dumps({'data': [], 'error': text})}"]
    for _ in range(2):
        state = run_system(remote(service), [replace(cases[0], instruction=text)], tmp_path / "m", limits=FAST, prices=FREE)
    assert (state.refused, len(service.calls)) == (1, 1)
    row = {"case": list(cases[0].name), "text": text}
    Journal(tmp_path / "x.jsonl").add(row)
    assert Journal(tmp_path / "x.jsonl").read() == [row]


def test_two_runs_at_once_do_not_pay_twice(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    service.delay = 5.0
    with ThreadPoolExecutor(1) as other:
        first = other.submit(run_system, remote(service), cases, tmp_path / "m", limits=FAST, prices=FREE)
        while not service.calls:
            time.sleep(0.01)
        with pytest.raises(UsageError, match="Another run is at work in"):
            run_system(remote(service), cases, tmp_path / "m", limits=FAST, prices=FREE)
        service.delay = 0.0
        assert first.result().edited == len(cases)
    assert len(service.calls) == len(cases)
    assert run_system(remote(service), cases, tmp_path / "m", limits=FAST, prices=FREE).edited == len(cases)


def test_killed_at_random_no_finished_case_is_asked_twice(service: Service, cases: list[BenchCase], tmp_path: Path) -> None:
    service.delay = 0.3
    place = cases[0].source.path.parent
    arguments = [
        "bench",
        "run",
        "endpoint:m",
        "--url",
        f"{service.url}/v1",
        "--cases",
        str(place),
        "--out",
        str(tmp_path),
        "--concurrency",
        "1",
    ]
    code = "import sys; from step1x_edit.cli.main import main; main(sys.argv[1:])"
    finished = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        known = len(service.calls)
        limit = time.monotonic() + 120
        while len(service.calls) < known + 2 and time.monotonic() < limit:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert finished <= (finished := count_results(cases, tmp_path / "m"))
    before = len(service.calls)
    assert run(arguments) == 0
    assert len(service.calls) - before == len(cases) - finished
    assert count_results(cases, tmp_path / "m") == len(cases)
