"""A server and a page that keep the model in little memory."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image
from serve_server import Server
from serve_uploads import encode

from step1x_edit import Editor
from step1x_edit.cli.main import run
from step1x_edit.memory import GIB, Placement, Plan
from step1x_edit.model.presets import PRESETS


def test_a_server_with_blocks_that_wait_says_what_an_editor_says(scene: Image.Image) -> None:
    server = Server("--weights-dtype", "int8", "--offload", "blocks", "--strips", "--split")
    try:
        client = openai.OpenAI(base_url=f"{server.root}/v1", api_key="none", max_retries=0)
        answer = client.images.edit(image=encode(scene), prompt="make it night", n=2, extra_body={"seed": 5})
        client.close()
    finally:
        server.stop()
    editor = Editor.open("mini", placement=Placement("int8", "blocks", True, True))
    expected = np.asarray(editor.edit(scene, "make it night", seed=5).image, np.int16)
    assert answer.data and answer.data[0].b64_json
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))), np.int16)
    assert np.abs(found - expected).max() <= 2  # threads differ, and with them the order of sums


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--vram", "2", "--batch", "4"], "--vram counts the memory of one picture at a time"),
        (["--vram", "2", "--split"], "--vram chooses the settings itself"),
        (["--offload", "moon"], "choose one of none, parts, blocks"),
    ],
)
def test_settings_that_cannot_be(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", "0", *options]) == 2
    assert sentence in capsys.readouterr().err


def test_the_page_takes_the_first_way_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Editor] = []
    monkeypatch.setattr("step1x_edit.serve.page_server.serve_page", lambda editor, *rest, **names: opened.append(editor))
    for options in (["--vram", "2"], ["--offload", "parts", "--cache", "every:2"]):
        assert run(["ui", "--no-browser", *options]) == 0
    assert [editor.placement.offload for editor in opened] == ["none", "parts"]
    assert opened[1].made_with["cache"] == "every:2"


def test_what_is_shown_on_the_way_is_counted() -> None:
    silent, showing = (Plan(PRESETS["v1.1"], 1024, previews=previews) for previews in (False, True))
    for place in ("none", "parts", "blocks"):
        one, other = (plan.need(Placement(offload=place)).stages["pictures"] for plan in (silent, showing))  # type: ignore[arg-type]
        resident: Any = {"none": 0, "parts": 20 * GIB, "blocks": 0.3 * GIB}[place]
        assert other - one >= resident and (other == one) == (place == "none")
