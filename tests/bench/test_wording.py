"""Sorting and rewording by a model behind a server: what is sent, what is never sent, and what of its answers is taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench_services import Service
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from step1x_edit.bench.building.clearing import Cleared
from step1x_edit.bench.building.collecting import collect
from step1x_edit.bench.building.requests import GAP, Request
from step1x_edit.bench.building.store import Store
from step1x_edit.bench.building.wording import UNREAD, reword
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.endpoint import EndpointThinker
from step1x_edit.errors import Step1XError

GOOD = {"task": "subject-add", "en": "Add a hat to the dog", "cn": "给狗加一顶帽子"}


def cleared(scene: Image.Image, replaced: bool = True, english: str = "add a hat", questions: tuple[str, ...] = ()) -> Cleared:
    return Cleared(scene, english, "", replaced, 0.9 if replaced else None, (), questions)


def sent_pictures(service: Service) -> int:
    content = service.calls[-1]["body"]["messages"][0]["content"]
    return sum(part["type"] == "image_url" for part in content)


def test_the_models_words_are_taken(service: Service, scene: Image.Image) -> None:
    service.answer = lambda body: f"Here you are: {json.dumps(GOOD)}"
    thinker = EndpointThinker(f"{service.url}/v1", "m")
    found = reword(cleared(scene, questions=("The Chinese instruction is missing.",)), thinker)
    assert (found.task, found.cleared.english, found.cleared.chinese) == ("subject-add", GOOD["en"], GOOD["cn"])
    assert found.cleared.questions == ("A model chose these words.",)
    assert sent_pictures(service) == 1


def test_a_persons_picture_and_name_are_never_sent(service: Service, scene: Image.Image) -> None:
    service.answer = lambda body: json.dumps(GOOD)
    thinker = EndpointThinker(f"{service.url}/v1", "m")
    reword(cleared(scene, replaced=False), thinker)
    assert sent_pictures(service) == 0
    count = len(service.calls)
    for one in (cleared(scene, english=f"remove {GAP}"), cleared(scene, english="Anna Schmidt should smile")):
        assert reword(one, thinker).cleared == one
    assert len(service.calls) == count


class Says:
    def __init__(self, text: str) -> None:
        self.text = text

    def ask(self, text: str, images: object, most_tokens: int) -> str:
        return self.text


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "{",
        "[]",
        "{" * 100_000,
        json.dumps({**GOOD, "cn": "English"}),
        json.dumps({**GOOD, "en": "call +46 70 123 45 67"}),
        json.dumps({**GOOD, "en": "x" * 600}),
        json.dumps({**GOOD, "en": 5}),
        json.dumps({"task": "subject-add"}),
    ],
)
def test_what_cannot_be_used_is_left_to_the_reviewer(text: str, scene: Image.Image) -> None:
    found = reword(cleared(scene), Says(text))
    assert found.task == "" and found.cleared.english == "add a hat" and found.cleared.questions == (UNREAD,)


@given(st.text(max_size=200))
def test_any_answer_is_taken_or_left(text: str) -> None:
    found = reword(cleared(Image.new("RGB", (8, 8))), Says(text))
    assert found.cleared.english == "add a hat" or found.cleared.chinese


def test_collecting_stops_and_goes_on_when_the_model_is_away(service: Service, scene: Image.Image, tmp_path: Path) -> None:
    scene.save(tmp_path / "a.png")
    requests = [Request(str(n), tmp_path / "a.png", text, "", "", ()) for n, text in enumerate(("add a hat", "make it night"))]
    store = Store(tmp_path / "work", create=True)
    service.answer = lambda body: json.dumps(GOOD)
    service.script = ["ok", "401"]
    thinker = EndpointThinker(f"{service.url}/v1", "m")
    with pytest.raises(Step1XError, match="refused the question"):
        collect(requests, store, None, Toolbox.offline(), thinker=thinker)
    assert [each.task for each in store.read()] == ["subject-add"]
    collect(requests, store, None, Toolbox.offline(), thinker=thinker)
    assert len(store.read()) == 2 and len(service.calls) == 3
    assert len(list((tmp_path / "work" / "pictures").iterdir())) == 2
    store.close()
