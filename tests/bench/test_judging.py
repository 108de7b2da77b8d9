"""Judging through an OpenAI-compatible server: cache, repeats, refusals, cost cap, noise, and tables that hold no guess."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from bench_services import Service
from PIL import Image

from step1x_edit.bench.calls import Limits, Prices, Purse
from step1x_edit.bench.gedit import BenchCase, place_result
from step1x_edit.bench.judges.judge import Question
from step1x_edit.bench.judges.judging import judge_results, open_purse
from step1x_edit.bench.judges.local import LocalJudge
from step1x_edit.bench.judges.openai_chat import ChatJudge
from step1x_edit.bench.judges.rubric import OWN, Rubric, fetch_published, read_published
from step1x_edit.bench.reference import score_results
from step1x_edit.bench.running import LOG, Journal, run_system
from step1x_edit.bench.score_tables import find_tables, read_tables
from step1x_edit.bench.systems import Settings, open_system
from step1x_edit.cli.main import run
from step1x_edit.errors import Step1XError, UsageError

FAST = Limits(concurrency=4, first_wait=0.01, attempts=2)
PRICES = Prices(input=2, output=8)


@pytest.fixture(scope="module")
def cases(make_cases: Callable[..., list[BenchCase]]) -> list[BenchCase]:
    return make_cases(2)


@pytest.fixture
def results(cases: list[BenchCase], tmp_path: Path) -> Path:
    folder = tmp_path / "leave-as-is"
    run_system(open_system("leave-as-is", Settings()), cases, folder, limits=FAST, prices=Prices())
    return folder


def judge(service: Service) -> ChatJudge:
    return ChatJudge("judge", f"{service.url}/v1", "key", 20, {})


def judged(service: Service, cases: list[BenchCase], results: Path, limits: Limits = FAST, **options):
    purse = open_purse(judge(service), [results], limits, PRICES)
    return judge_results(judge(service), OWN, cases, results, limits=limits, purse=purse, **options)


def answer_by_part(body: dict) -> str:
    content = body["messages"][0]["content"]
    return json.dumps({"score": [9, 4] if len(content) == 3 else [8, 9]})


def test_every_case_is_scored_once_and_kept(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.answer = answer_by_part
    found = judged(service, cases, results)
    assert [(case.sc, case.pq) for case in found.cases] == [(4, 8)] * 8
    assert found.cases[0].o == pytest.approx(32**0.5)
    assert found.state.answered == 16
    assert len(service.calls) == 12  # both languages left the picture as it is, so they share one question of quality
    assert found.state.spent == pytest.approx(12 * (1000 * 2 + 100 * 8) / 1e6)
    texts = [call["body"]["messages"][0]["content"][0]["text"] for call in service.calls]
    assert sum("make it night 0" in text for text in texts) == 2
    again = judged(service, cases, results)
    assert len(service.calls) == 12
    assert (again.cases, again.state.spent) == (found.cases, found.state.spent)
    (tables,) = find_tables(results)
    assert (tables.system, tables.judge) == ("leave-as-is", "judge")
    assert [(c.sc, c.pq) for c in read_tables(tables.tables)] == [(4, 8)] * 8
    record = json.loads((results / "scores" / "judge" / "judge.json").read_text())
    assert record["models_that_answered"] == {"judge-2026-11-01": 16}
    assert record["first_answer"].startswith("20")
    assert "key" not in record


def test_refusals_and_nonsense_are_missing_and_never_a_number(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.answer = answer_by_part
    service.script = ["refuse", "words", "filter", "503", "503"]
    found = judged(service, cases, results, Limits(concurrency=1, first_wait=0.01, attempts=2))
    missing = [case for case in found.cases if not case.known]
    assert 3 <= len(missing) <= 8
    reasons = " ".join(case.reason for case in missing)
    for words in ("refused", "no scores", "filtered", "503"):
        assert words in reasons
    assert all(case.sc in (4, None) and case.pq in (8, None) for case in found.cases)
    calls = len(service.calls)
    later = judged(service, cases, results)
    assert len(service.calls) == calls + 1  # what passes is asked again, what was refused is not
    assert sum(not case.known for case in later.cases) <= len(missing)


def chat(content: object, **more: object) -> str:
    return "raw:" + json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}], **more})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        *((f"raw:{text}", "cannot be read") for text in ("null", "[]", "5", '{"choices": [{}]}', '{"choices": [{"message": null}]}')),
        (chat(f'{{"score": [{"9" * 400}, 1]}}'), "not within"),
        (chat('\ud83d {"score": [8, 7]}'), ""),
        (chat([{"type": "text", "text": '{"score": [8,'}, {"type": "text", "text": "7]}"}]), ""),
        (chat([5, None]), "no scores"),
        (chat('{"score": [8, 7]}', usage={"prompt_tokens": 5, "completion_tokens": None}), ""),
        (chat('{"score": [8, 7]}', usage={"total_tokens": 5}), ""),
        (chat('{"score": [8, 7]}', usage=[]), ""),
    ],
)
def test_odd_answers_are_read_or_missing(answer: str, reason: str, service: Service, cases: list[BenchCase], results: Path) -> None:
    service.script = [answer] * 2
    (case,) = judged(service, cases[:1], results, Limits(concurrency=2, attempts=1, budget=1.0)).cases
    assert (case.known, reason in case.reason) == (not reason, True)


def test_an_empty_account_ends_judging_and_is_no_answer(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.script = ["402"] * 4
    with pytest.raises(Step1XError, match="money"):
        judged(service, cases, results)
    service.script.clear()
    assert all(case.known for case in judged(service, cases, results).cases)


@pytest.mark.parametrize("word", ["option:max_tokens:unsupported_parameter", "option:temperature:invalid_value"])
def test_a_setting_that_the_service_lacks_is_no_refusal(word: str, service: Service, cases: list[BenchCase], results: Path) -> None:
    service.script = [word] * 8
    with pytest.raises(Step1XError, match=rf"not take a setting of this call .*{word.split(':')[1]}' will not do.*--option NAME=null"):
        judged(service, cases, results)
    service.script.clear()
    assert all(case.known for case in judged(service, cases, results).cases)
    service.calls.clear()
    ChatJudge("judge", f"{service.url}/v1", "key", 20, {"max_tokens": None}).ask(Question("?", ()), 0)
    assert "max_tokens" not in service.calls[0]["body"] and service.calls[0]["body"]["temperature"] == 0


@pytest.mark.parametrize(("ending", "told"), [(".png", "png"), (".jpg", "jpeg"), (".webp", "webp")])
def test_pictures_are_called_what_they_are(ending: str, told: str, service: Service, cases: list[BenchCase], results: Path) -> None:
    place = place_result(results, cases[0].name)
    with Image.open(place) as picture:
        picture.convert("RGB").save(place.with_suffix(ending))
    if ending != ".png":
        place.unlink()
    judged(service, cases[:1], results)
    assert {url.partition(";")[0] for url in sent_pictures(service)} == {"data:image/png", f"data:image/{told}"}


@pytest.mark.parametrize("change", ["larger", "transparent"])
def test_a_result_is_shown_as_published(change: str, service: Service, cases: list[BenchCase], results: Path) -> None:
    place = place_result(results, cases[0].name)
    with Image.open(place) as picture:
        size, plain = picture.size, picture.convert("RGB")
    (plain.resize((3 * size[0], 2 * size[1])) if change == "larger" else plain.convert("RGBA")).save(place)
    judged(service, cases[:1], results)
    assert len(service.calls) == 2
    for url in sent_pictures(service):
        with Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) as seen:
            assert (seen.size, seen.mode) == (size, "RGB")
    plain.resize((5 * size[0], size[1])).save(place)
    judged(service, cases[:1], results)
    assert len(service.calls) == 4


def test_only_whole_pictures_of_kinds_that_services_take_are_sent(
    service: Service, cases: list[BenchCase], results: Path, tmp_path: Path
) -> None:
    shown: list[Image.Image] = []

    def look(body: dict[str, Any]) -> str:
        addresses = [part["image_url"]["url"] for part in body["messages"][0]["content"] if part["type"] == "image_url"]
        shown.extend(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))) for address in addresses)
        return '{"score": [8, 7]}'

    service.answer = look
    (tmp_path / "private.txt").write_text("nobody's business")
    tiff, damaged, linked = (place_result(results, case.name) for case in cases[:3])
    with Image.open(tiff) as picture:
        picture.convert("RGB").save(tiff, "TIFF")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    linked.unlink()
    linked.symlink_to(tmp_path / "private.txt")
    found = judged(service, cases[:3], results).cases
    assert [case.known for case in found] == [True, False, False] and all("cannot be read" in case.reason for case in found[1:])
    assert [picture.format for picture in shown] == ["PNG"] * 3
    assert b"business" not in repr(service.calls).encode()


def test_a_result_that_is_cut_short_is_missing(service: Service, cases: list[BenchCase], results: Path) -> None:
    place = place_result(results, cases[0].name)
    Image.new("RGB", (64, 64), "red").save(place)
    place.write_bytes(place.read_bytes()[:-40])
    (case,) = judged(service, cases[:1], results).cases
    assert not case.known and "a picture cannot be read" in case.reason and not service.calls


def sent_pictures(service: Service) -> list[str]:
    return [part["image_url"]["url"] for call in service.calls for part in call["body"]["messages"][0]["content"][1:]]


def test_the_reasons_for_missing_cases_are_shown(
    service: Service, cases: list[BenchCase], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.script = ["words"] * 12
    place_result(results, cases[0].name).unlink()
    Journal(results / LOG).add({"case": list(cases[0].name), "outcome": "refused", "reason": "safety_violations=[sexual] [/INST]"})
    judged(service, cases, results)
    assert run(["bench", "score", str(results)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "1 cases are missing: no result: safety_violations=[sexual] [/INST]." in shown and "sc: the answer holds no scores" in shown
    assert run(["bench", "report", str(results), "--out", str(results / "report.html")]) == 0
    assert "sc: the answer holds no scores" in (results / "report.html").read_text()


def test_two_commands_at_once_do_not_pay_twice(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.delay = 5.0
    with ThreadPoolExecutor(1) as other:
        first = other.submit(judged, service, cases, results)
        while not service.calls:
            time.sleep(0.01)
        with pytest.raises(UsageError, match=r"judge is asked about .* by another command"):
            judged(service, cases, results)
        service.delay = 0.0
        assert all(case.known for case in first.result().cases)
    assert len(service.calls) == 12


def test_a_cost_cap_holds_and_the_same_call_goes_on(service: Service, cases: list[BenchCase], results: Path) -> None:
    one = (1000 * 2 + 100 * 8) / 1e6
    found = judged(service, cases, results, Limits(concurrency=1, budget=5.5 * one))
    assert "cost cap" in found.ended
    assert len(service.calls) == 5
    assert found.state.spent <= 5.5 * one
    assert any("cost cap" in case.reason for case in found.cases)
    rest = judged(service, cases, results)
    assert (len(service.calls), rest.ended) == (12, "")
    assert all(case.known for case in rest.cases)


def test_a_cost_cap_is_for_all_folders_together(
    service: Service, cases: list[BenchCase], results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(results, results.with_name("other"))
    one = (1000 * 2 + 100 * 8) / 1e6
    arguments = ["bench", "score", str(results.parent), "--cases", str(cases[0].source.path.parent), "--judge", "endpoint:judge"]
    limits = ["--url", f"{service.url}/v1", "--budget", str(15.5 * one), "--price-in", "2", "--price-out", "8", "--json"]
    for _ in range(2):
        assert run([*arguments, *limits]) == 0
        assert len(service.calls) == 15
        assert f"{15 * one:.4f} are spent" in capsys.readouterr().err
    spent = [json.loads(path.read_text())["spent"] for path in results.parent.glob("*/scores/judge/judge.json")]
    assert sorted(spent) == pytest.approx([3 * one, 12 * one])


def test_a_refusal_is_paid_for_too(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.script = ["refuse", "filter"]
    assert judged(service, cases, results).state.spent == pytest.approx(12 * (1000 * 2 + 100 * 8) / 1e6)


def test_the_noise_of_repeats_and_of_the_order_is_measured(service: Service, cases: list[BenchCase], results: Path) -> None:
    counter = iter(range(10_000))

    def answer(body: dict) -> str:
        content = body["messages"][0]["content"]
        if "other order" in content[0]["text"]:
            return json.dumps({"score": [2, 9]})
        return json.dumps({"score": [6 + 2 * (next(counter) % 2), 10]} if len(content) == 3 else {"score": [5, 5]})

    service.answer = answer
    found = judged(service, cases[:2], results, Limits(concurrency=1), repeats=2, swap=True)
    assert len(service.calls) == 2 * (4 + 1)
    assert [case.sc for case in found.cases] == [7, 7]  # the other order never enters the score
    assert found.noise["sc_repeats"]["standard_deviation"] == pytest.approx(2**0.5)  # of one answer, told from twos of 6 and 8
    assert found.noise["pq_repeats"]["same"] == 1
    assert found.noise["sc_position"]["mean_shift"] == -5


def test_a_changed_result_or_rubric_is_asked_anew(service: Service, cases: list[BenchCase], results: Path) -> None:
    judged(service, cases, results)
    Image.new("RGB", (48, 32)).save(place_result(results, cases[0].name))
    judged(service, cases, results)
    assert len(service.calls) == 14
    other = Rubric("other", OWN.sc + " ", OWN.pq)
    judge_results(judge(service), other, cases, results, limits=FAST, purse=Purse(PRICES))
    assert len(service.calls) == 14 + 13


def test_a_system_whose_folder_was_renamed_counts_once(service: Service, cases: list[BenchCase], results: Path) -> None:
    judged(service, cases, results)
    renamed = results.rename(results.with_name("renamed"))
    asked = len(service.calls)
    judged(service, cases, renamed)
    assert len(service.calls) == asked and [found.system for found in find_tables(renamed)] == ["renamed"]


def test_tables_of_another_rubric_do_not_stay_beside_new_ones(service: Service, cases: list[BenchCase], results: Path) -> None:
    service.answer = answer_by_part
    judged(service, cases, results)
    one = [case for case in cases if case.task == cases[0].task]
    judged(service, one, results)
    assert {task for found in find_tables(results) for task, _ in found.tables} == {case.task for case in cases}
    other = Rubric("other", OWN.sc + " ", OWN.pq)
    judge_results(judge(service), other, one, results, limits=FAST, purse=Purse(PRICES))
    assert [task for found in find_tables(results) for task, _ in found.tables] == [cases[0].task]


@pytest.mark.parametrize("change", ["instruction", "source"])
def test_answers_are_not_judged_by_other_questions(change: str, service: Service, cases: list[BenchCase], results: Path) -> None:
    value = "make it day" if change == "instruction" else cases[-1].source
    other = [replace(cases[0], **{change: value}), *cases[1:]]
    for score in (lambda: judged(service, other, results), lambda: score_results(other, results)):
        with pytest.raises(UsageError, match=r"holds an answer to another \w+ of .* give the --cases that it answers"):
            score()
    assert service.calls == []


def test_the_published_prompts_are_read_and_never_run(tmp_path: Path, service: Service) -> None:
    names = ("_context_no_delimit", "_prompts_0shot_two_image_edit_rule", "_prompts_0shot_tie_rule_SC", "_prompts_0shot_rule_PQ")
    path = tmp_path / "vie_prompts.py"
    trap = tmp_path / "trap"
    path.write_text("\n".join(f'{name} = """{name} <instruction>"""' for name in names) + f"\nopen({str(trap)!r}, 'w')\n")
    rubric = read_published(path)
    assert rubric.fill("sc", "smile").startswith("_context_no_delimit smile\n_prompts_0shot_two_image")
    assert rubric.fill("pq", "x").endswith("_prompts_0shot_rule_PQ x")
    assert not trap.exists()
    for text in ("x = 1", "def broken("):
        path.write_text(text)
        with pytest.raises(UsageError):
            read_published(path)
    with pytest.raises(UsageError):
        fetch_published(tmp_path / "new.py", f"{service.url}/file.png")
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_judges_and_prints(service: Service, cases: list[BenchCase], results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service.answer = answer_by_part
    place = str(cases[0].source.path.parent)
    arguments = ["bench", "score", str(results), "--cases", place, "--judge", "endpoint:judge", "--url", f"{service.url}/v1", "--json"]
    assert run(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["systems"]["leave-as-is"]["views"]["en/full"]["o"] == pytest.approx(32**0.5)
    assert run(["bench", "score", str(results), "--judge", "endpoint:judge"]) == 2
    assert run(["bench", "score", str(results), "--judge", "oracle", "--cases", place]) == 2


def test_a_password_in_the_address_is_written_nowhere(
    service: Service, cases: list[BenchCase], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(cases[0].source.path.parent)
    url = f"{service.url.replace('://', '://me:SECRET@')}/v1"
    service.script = ["garbage"] * 24
    for command in (
        ["bench", "score", str(results), "--cases", place, "--judge", "endpoint:judge", "--url", url, "--attempts", "1"],
        ["bench", "run", "endpoint:m", "--cases", place, "--out", str(results.parent), "--url", url, "--attempts", "1"],
    ):
        monkeypatch.setattr("sys.argv", ["step1x", *command])
        run(command)
    files = [file for file in results.parent.rglob("*") if file.is_file()]
    assert {"judge.json", "commands.txt", "run.json", "run.jsonl"} <= {file.name for file in files}
    assert [file for file in files if b"SECRET" in file.read_bytes()] == []


def test_a_local_judge_is_not_shown_what_is_damaged(cases: list[BenchCase], results: Path) -> None:
    class Silent:
        def speak(self, pictures: Sequence[Image.Image], text: str, most_tokens: int) -> tuple[str, int, int]:
            return "nothing", 1, 1

    place = place_result(results, cases[0].name)
    place.write_bytes(place.read_bytes()[:-40])
    found = judge_results(LocalJudge("silent", Silent(), {}), OWN, cases[:2], results, limits=Limits(), purse=Purse(Prices()))
    reasons = {case.name: case.reason for case in found.cases}
    assert "a picture cannot be read" in reasons[cases[0].name] and "no scores" in reasons[cases[1].name]


def test_a_local_qwen_judges(random_mini: Path, cases: list[BenchCase], results: Path) -> None:
    from step1x_edit.cli.bench_judges import open_judge
    from step1x_edit.model.weights import MLLM_FOLDER

    local = open_judge(f"local:{random_mini / MLLM_FOLDER}", None, 10, {})
    local.most_tokens = 4
    found = judge_results(local, OWN, cases[:1], results, limits=Limits(), purse=Purse(Prices()))
    assert found.state.answered == 2
    assert found.cases[0].sc is None  # random weights speak nonsense
    assert "no scores" in found.cases[0].reason
    assert len(local.facts["fingerprint"]) == 12
    with pytest.raises(UsageError, match="takes no options; leave out --option max_tokens"):
        open_judge(f"local:{random_mini / MLLM_FOLDER}", None, 10, {"max_tokens": 9})


@pytest.mark.parametrize("name", ["gpt-4.1", "openai:", "reference:gpt-4.1"])
def test_a_judge_that_there_is_not_is_not_looked_for_at_a_service(name: str) -> None:
    from step1x_edit.cli.bench_judges import open_judge

    with pytest.raises(UsageError, match="There is no judge"):
        open_judge(name, None, 10, {})
