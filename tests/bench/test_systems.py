"""Every system against a server that speaks its protocol, through the client library that is used in earnest."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench_services import Service
from PIL import Image

from step1x_edit.bench.calls import Limits, Pace, Passing, Refused, Usage, call
from step1x_edit.bench.gedit import BenchCase
from step1x_edit.bench.judges.judge import Question
from step1x_edit.bench.judges.openai_chat import ChatJudge
from step1x_edit.bench.systems import SYSTEMS, Settings, System, open_system, openai_images
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.image_io import read_image

HOSTED = {"openai": "/v1", "endpoint": "/v1", "gemini": "", "seededit": "/api/v3"}


@pytest.fixture(scope="module")
def case(make_cases: Callable[..., list[BenchCase]]) -> BenchCase:
    return make_cases(1, ("subject-add",))[1]


def hosted(name: str, service: Service, timeout: float = 30.0, **options: object) -> System:
    return open_system(f"{name}:some-model", Settings(url=service.url + HOSTED[name], key="secret-key", timeout=timeout, options=options))


def edit(system: System, case: BenchCase, seed: int = 3):
    return system.edit(case, read_image(case.source.read()).image, seed)


@pytest.mark.parametrize("name", HOSTED)
def test_a_hosted_system_sends_the_picture_and_takes_the_result(name: str, service: Service, case: BenchCase) -> None:
    system = hosted(name, service)
    found = edit(system, case)
    source = read_image(case.source.read()).image
    assert np.array_equal(np.asarray(found.image), 255 - np.asarray(source))
    assert found.usage.pictures == 1
    assert found.usage.output_tokens in (1000, 1290, 5000)
    sent = service.calls[0]
    assert "make it night 0" in str(sent["body"]) or "变成夜晚0" in str(sent["body"])
    assert "some-model" in str(sent["body"]) + sent["route"]
    assert "secret-key" in sent["headers"].get("authorization", "") + sent["headers"].get("x-goog-api-key", "")
    assert "secret-key" not in str(system.facts)
    if name == "seededit":
        assert (sent["body"]["seed"], found.model) == (3, "seededit-dated")
    if name == "gemini":
        assert (sent["body"]["generationConfig"]["seed"], found.model) == (3, "gemini-x-001")


@pytest.mark.parametrize("name", HOSTED)
def test_what_transparency_hides_is_not_sent(name: str, service: Service, case: BenchCase) -> None:
    found = hosted(name, service).edit(case, Image.new("RGBA", (20, 10), (255, 0, 0, 0)), 3)
    assert found.image.getpixel((5, 5)) == (0, 0, 0)  # the service sends the negative of what it got


def test_options_go_to_the_service_as_they_are(service: Service, case: BenchCase) -> None:
    edit(hosted("endpoint", service, quality="high"), case)
    assert service.calls[0]["body"]["quality"] == "high"


def test_an_option_takes_away_what_is_sent_otherwise(service: Service, case: BenchCase) -> None:
    edit(hosted("seededit", service, size="2K", seed=None), case)
    assert service.calls[0]["body"]["size"] == "2K" and "seed" not in service.calls[0]["body"]
    judge = ChatJudge("m", f"{service.url}/v1", "key", 20, {"temperature": None, "max_tokens": None, "max_completion_tokens": 9})
    judge.ask(Question("What?", ()), 0)
    asked = service.calls[1]["body"]
    assert asked["max_completion_tokens"] == 9 and not {"temperature", "max_tokens"} & set(asked)


@pytest.mark.parametrize("name", HOSTED)
@pytest.mark.parametrize("word", ["429", "500", "503", "garbage"])
def test_what_passes_is_asked_again(name: str, word: str, service: Service, case: BenchCase) -> None:
    service.script = [word]
    system = hosted(name, service)
    with pytest.raises(Passing):
        edit(system, case)
    assert len(service.calls) == 1  # the client itself must not try again, else attempts and costs are hidden
    _, attempts = call(lambda: edit(system, case), Limits(first_wait=0.01), Pace())
    assert attempts == 1


@pytest.mark.parametrize("name", HOSTED)
def test_a_slow_service_times_out(name: str, service: Service, case: BenchCase) -> None:
    service.script = ["slow"]
    with pytest.raises(Passing, match="too long"):
        edit(hosted(name, service, timeout=0.4), case)


@pytest.mark.parametrize("name", HOSTED)
@pytest.mark.parametrize("word", ["refuse", "nopicture"])
def test_a_refusal_is_this_cases_answer(name: str, word: str, service: Service, case: BenchCase) -> None:
    service.script = [word]
    with pytest.raises(Refused):
        edit(hosted(name, service), case)


def test_an_option_that_the_service_lacks_ends_the_run(service: Service, case: BenchCase) -> None:
    service.script = ["option:quality:invalid_value"] * 2
    with pytest.raises(Step1XError, match="does not take a setting of this call"):
        edit(hosted("openai", service, quality="ultra"), case)
    with pytest.raises(Refused):  # where it was not asked for, it is something about this case
        edit(hosted("openai", service), case)


@pytest.mark.parametrize(
    ("name", "word", "outcome"),
    [
        ("gemini", "no:User location is not supported for the API use.", Step1XError),
        ("gemini", "no:Model does not support the requested response modalities: text,image", Step1XError),
        ("gemini", "no:Unable to process input image.", Refused),
        ("seededit", "param:size", Step1XError),
        ("seededit", "param:image", Refused),
    ],
)
def test_what_holds_for_every_case_is_no_refusal_of_one(
    name: str, word: str, outcome: type[Step1XError], service: Service, case: BenchCase
) -> None:
    service.script = [word]
    with pytest.raises(Step1XError) as caught:
        edit(hosted(name, service), case)
    assert type(caught.value) is outcome


@pytest.mark.parametrize(("name", "word"), [("openai", "broken"), ("gemini", "stopped")])
def test_other_answers_without_a_picture(name: str, word: str, service: Service, case: BenchCase) -> None:
    service.script = [word]
    with pytest.raises(Refused):
        edit(hosted(name, service), case)


@pytest.mark.parametrize("name", HOSTED)
@pytest.mark.parametrize(
    "answer",
    ["null", "[]", "5", "{}", '{"data": 5, "candidates": 5}', '{"data": [[]], "error": 5}', '{"data": [{"url": "http://["}]}', "[" * 9999],
)
def test_odd_answers_are_no_tracebacks(name: str, answer: str, service: Service, case: BenchCase) -> None:
    service.script = [f"raw:{answer}"]
    with pytest.raises((Passing, Refused)):
        edit(hosted(name, service), case)


@pytest.mark.parametrize("usage", [None, [], {"output_tokens": None}, {"input_tokens": "many", "total_tokens": 5}])
def test_counts_that_are_missing_are_none(usage: object, service: Service, case: BenchCase) -> None:
    picture = base64.b64encode(case.source.read()).decode()
    service.script = [f"raw:{json.dumps({'data': [{'b64_json': picture}], 'usage': usage})}"] * 2
    for name in ("openai", "seededit"):
        assert edit(hosted(name, service), case).usage == Usage(pictures=1)


def test_thoughts_of_gemini_are_paid_and_their_drafts_are_no_results(service: Service, case: BenchCase) -> None:
    service.script = ["thinking"]
    found = edit(hosted("gemini", service), case)
    assert np.array_equal(np.asarray(found.image), 255 - np.asarray(read_image(case.source.read()).image))
    assert found.usage == Usage(260, 2000, 1)


@pytest.mark.parametrize(("options", "sentence"), [({"colour": 1}, r"\(colour: Extra inputs"), ({"top_p": "a"}, r"\(top_p: Input should")])
def test_options_that_the_client_of_gemini_does_not_take_are_one_sentence(
    options: dict[str, object], sentence: str, service: Service, case: BenchCase
) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        edit(hosted("gemini", service, **options), case)
    assert "\n" not in str(caught.value) and not service.calls


def test_a_picture_behind_an_address_is_fetched(service: Service, case: BenchCase) -> None:
    service.script = ["url"]
    assert edit(hosted("openai", service), case).image.size == (20, 10)


@pytest.mark.parametrize(("name", "path"), [("openai", "/nothing.png"), ("seededit", "/nothing.png"), ("openai", "")])
def test_a_picture_that_is_paid_for_and_not_to_be_had_is_no_reason_to_pay_again(
    name: str, path: str, service: Service, case: BenchCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_images, "FETCH_PAUSES", (0.01, 0.01))
    address = f"{service.url}{path}" if path else "http://127.0.0.1:9/file.png"
    service.script = [f"raw:{json.dumps({'data': [{'url': address}]})}"]
    with pytest.raises(Refused, match="the picture's address") as caught:
        edit(hosted(name, service), case)
    assert caught.value.usage.pictures == 1


@pytest.mark.parametrize(
    ("name", "word"), [*((name, word) for name in HOSTED for word in ("401", "402")), ("openai", "quota"), ("seededit", "quota-ark")]
)
def test_a_wrong_key_or_an_empty_account_ends_the_run(name: str, word: str, service: Service, case: BenchCase) -> None:
    service.script = [word]
    with pytest.raises(Step1XError) as caught:
        edit(hosted(name, service), case)
    assert not isinstance(caught.value, Passing | Refused)


@pytest.mark.parametrize("name", HOSTED)
def test_a_service_that_is_not_there_passes(name: str, case: BenchCase) -> None:
    with pytest.raises(Passing, match="out of reach"):
        edit(hosted(name, Service(url="http://127.0.0.1:9")), case)


def test_the_time_that_the_service_names_is_waited(service: Service, case: BenchCase) -> None:
    for name in ("openai", "gemini"):
        service.calls.clear()
        service.script = ["429-after"]
        system = hosted(name, service)
        _, attempts = call(lambda system=system: edit(system, case), Limits(first_wait=0.001), Pace())
        first, second = (each["when"] for each in service.calls)
        assert attempts == 2
        assert second - first >= 1.0


def test_attempts_are_bounded(service: Service, case: BenchCase) -> None:
    service.script = ["503"] * 10
    system = hosted("openai", service)
    with pytest.raises(Passing, match="3 attempts"):
        call(lambda: edit(system, case), Limits(attempts=3, first_wait=0.01), Pace())
    assert len(service.calls) == 3


def test_a_service_that_names_no_time_worth_the_word_is_given_time_all_the_same() -> None:
    def busy() -> None:
        raise Passing("busy", after=0.0)

    began = time.monotonic()
    with pytest.raises(Passing):
        call(busy, Limits(attempts=2, first_wait=0.2), Pace())
    assert time.monotonic() - began >= 0.1


def test_leaving_it_and_a_folder(case: BenchCase, tmp_path: Path) -> None:
    source = read_image(case.source.read()).image
    assert np.array_equal(np.asarray(edit(open_system("leave-as-is", Settings()), case).image), np.asarray(source))
    folder = open_system(f"folder:{tmp_path}", Settings())
    with pytest.raises(Refused):
        edit(folder, case)
    Image.new("RGB", (5, 5), "red").save(tmp_path / f"{case.key}_{case.language}.png")
    assert edit(folder, case).image.size == (5, 5)
    (tmp_path / f"{case.key}_{case.language}.png").write_bytes(b"broken")
    with pytest.raises(Refused):
        edit(folder, case)


def test_our_own_editor_is_passed_in(case: BenchCase, random_mini: Path) -> None:
    from step1x_edit.editor import Editor

    def opener(model: str) -> tuple[Editor, dict[str, str]]:
        return Editor.open(model, "cpu", folder=random_mini), {"weights": "random"}

    system = open_system("step1x:mini", Settings(open_editor=opener))
    found = edit(system, case)
    assert (system.name, found.image.size) == ("step1x-mini", (48, 32))
    assert np.asarray(found.image).std() > 0
    changed = open_system("step1x:mini", Settings(open_editor=opener, options={"steps": 2, "guidance": 3}))
    assert changed.facts == {**system.facts, "options": {"steps": 2, "guidance": 3}}
    assert not np.array_equal(np.asarray(edit(changed, case).image), np.asarray(found.image))


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("step1x:mini", {"step": 4}, "The system step1x has no option step; it takes steps, guidance, size."),
        ("step1x:mini", {"steps": "many"}, "The option steps must be a number, not 'many'."),
        ("leave-as-is", {"steps": 4}, "The system leave-as-is has no option steps; it takes none."),
        ("folder:.", {"steps": 4}, "The system folder has no option steps; it takes none."),
    ],
)
def test_options_that_would_do_nothing_are_refused(name: str, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_system(name, Settings(options=options, open_editor=lambda model: pytest.fail("opened")))
    assert str(caught.value) == sentence


def test_every_system_says_what_it_lacks(tmp_path: Path) -> None:
    assert len(SYSTEMS) == 8
    for name in ("openai", "gemini", "seededit", "endpoint:m", "diffusers", f"folder:{tmp_path / 'none'}", "unknown"):
        with pytest.raises(UsageError):
            open_system(name, Settings())
