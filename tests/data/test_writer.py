"""Words by an MLLM behind a real server: rounds that build on each other, both languages, nothing asked twice."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
from chat_service import ChatService, serve_chat
from PIL import Image

from step1x_edit.data.asking import Asker
from step1x_edit.data.building import build, read_set
from step1x_edit.data.candidates import Candidate
from step1x_edit.data.recipe import DataRecipe, Endpoint
from step1x_edit.data.remaking import remake
from step1x_edit.data.shards import read_records
from step1x_edit.data.slots import COMPOSED, Slot
from step1x_edit.data.stream import TripletStream
from step1x_edit.data.writer import write_words
from step1x_edit.errors import Step1XError
from step1x_edit.types import EditCategory


def answer_well(text: str, pictures: list[Image.Image]) -> str:
    assert [picture.mode for picture in pictures] == ["RGB", "RGB"]
    if "Answer with one JSON object" in text:
        word = text.partition('Put "')[2].partition('"')[0]
        return "Sure:\n" + json.dumps({"en": f'Do it "{word}" please.', "zh": f"请这样做“{word}”。"}, ensure_ascii=False)
    return "round two" if "round one" in text else "round one"


@pytest.fixture
def service() -> Iterator[ChatService]:
    with serve_chat(answer_well) as running:
        yield running


@pytest.fixture
def candidate(stream: TripletStream) -> Candidate:
    triplet = stream.variant(size=96, mixture={EditCategory.TEXT_MODIFICATION: 1}, difficulty=0.0).sample(1)
    triplet = dataclasses.replace(triplet, parameters={**triplet.parameters, "text_after": "OPEN"})
    return Candidate("text_change-0000001", Slot(EditCategory.TEXT_MODIFICATION, COMPOSED), 1, triplet)


def open_asker(service: ChatService, folder: Path) -> Asker:
    return Asker.open(Endpoint(url=service.url, model="some-model"), "secret", folder)


def test_the_server_speaks_the_protocol_of_the_real_client(service: ChatService) -> None:
    service.answer = lambda text, pictures: f"you said {text}"
    with openai.OpenAI(base_url=service.url, api_key="k", max_retries=0) as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}])
    assert answer.choices[0].message.content == "you said hello"
    assert service.keys == {"k"}


def test_each_round_is_given_what_the_former_one_said(service: ChatService, candidate: Candidate, tmp_path: Path) -> None:
    worded = write_words(candidate, open_asker(service, tmp_path), rounds=2, examples=3)
    first, second, last = service.asked
    assert "This is what was said of it before" not in first
    assert "round one" in second
    assert "round two" in last
    assert last.count('"zh"') == 4  # three examples and the form of the answer
    assert worded.triplet is not None
    assert worded.triplet.instruction_en == 'Do it "OPEN" please.'
    assert worded.triplet.instruction_zh == "请这样做“OPEN”。"
    assert worded.provenance["writer"]["rounds"] == ["round one", "round two"]
    assert service.keys == {"secret"}


def test_nothing_is_asked_twice(service: ChatService, candidate: Candidate, tmp_path: Path) -> None:
    one = write_words(candidate, open_asker(service, tmp_path), rounds=2, examples=3)
    asked = len(service.asked)
    two = write_words(candidate, open_asker(service, tmp_path), rounds=2, examples=3)
    assert len(service.asked) == asked == 3
    assert one.triplet is not None and two.triplet is not None
    assert one.triplet.instruction_en == two.triplet.instruction_en
    assert "secret" not in "".join(path.read_text() for path in tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("no JSON", "not the JSON"),
        ('{"en": "do OPEN"}', "not the JSON"),
        ('{"en": "", "zh": "做OPEN"}', "empty"),
        ('{"en": "做 OPEN", "zh": "做OPEN"}', "not English"),
        ('{"en": "do OPEN", "zh": "do OPEN"}', "not Chinese"),
        ('{"en": "do it", "zh": "做OPEN"}', "does not say OPEN"),
        ('{"en": "do OPEN \\ud83d", "zh": "做OPEN"}', "half of a character"),
        (json.dumps({"en": "do OPEN" * 100, "zh": "做OPEN"}), "too long"),
    ],
)
def test_words_that_cannot_be_used_are_asked_for_again_and_then_rejected(
    service: ChatService, candidate: Candidate, tmp_path: Path, answer: str, problem: str
) -> None:
    service.answer = lambda text, pictures: answer
    worded = write_words(candidate, open_asker(service, tmp_path), rounds=1, examples=0)
    assert worded.rejection is not None
    assert worded.rejection.stage == "writer"
    assert problem in worded.rejection.reason
    assert len(service.asked) == 3
    assert problem in service.asked[-1]


def test_a_set_is_written_by_the_model_and_comes_again(
    service: ChatService, recipe: DataRecipe, tmp_path: Path, digest_folder: Callable[[Path], dict[str, str]]
) -> None:
    values = json.loads(recipe.model_dump_json()) | {
        "count": 4,
        "categories": {"style_change": {"share": 1}, "tone_transfer": {"share": 1}},
    }
    values["writer"] = {"endpoint": {"url": service.url, "model": "m"}, "rounds": 1}
    for name in ("one", "two"):
        build(DataRecipe.model_validate(values), tmp_path / name, read_key=_read_key)
    assert digest_folder(tmp_path / "one") == digest_folder(tmp_path / "two")
    assert service.keys == {"from the environment"}
    for record, _ in read_records(tmp_path / "one"):
        assert record.instruction_zh == "请这样做“”。"
        assert remake(tmp_path / "one", record.id).differing == ()
    assert read_set(tmp_path / "one")["count"] == 4


def _read_key() -> str:
    return "from the environment"


def test_no_server_is_one_sentence(recipe: DataRecipe, tmp_path: Path) -> None:
    values = json.loads(recipe.model_dump_json()) | {"count": 1}
    values["writer"] = {"endpoint": {"url": "http://127.0.0.1:9/v1", "model": "m", "attempts": 1}}
    with pytest.raises(Step1XError, match="does not answer"):
        build(DataRecipe.model_validate(values), tmp_path / "set")
