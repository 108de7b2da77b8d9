"""Editors that save memory or time: the same picture where that is promised, and nearly the same elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit import Editor, EditRequest
from step1x_edit.errors import UsageError
from step1x_edit.memory import Placement
from step1x_edit.model.caching import Shortcuts
from step1x_edit.model.step1x_edit import Step1XEdit


def draw(folder: Path, scene: Image.Image, placement: Placement = Placement(), shortcuts: Shortcuts = Shortcuts()) -> np.ndarray:  # noqa: B008
    editor = Editor.open("mini", device="cpu", dtype="float32", folder=folder, placement=placement)
    editor.shortcuts = shortcuts
    request = EditRequest(scene, "make it night", steps=4, guidance=2.0, size=128)
    first, again = editor.edit_seeds(request, [1, 1])
    assert first.raw.tobytes() == again.raw.tobytes()
    return np.asarray(first.raw).astype(float)


@pytest.fixture(scope="module")
def exact(random_mini: Path, scene: Image.Image) -> np.ndarray:
    return draw(random_mini, scene)


@pytest.mark.parametrize("placement", [Placement(offload="parts"), Placement(offload="blocks", split=True), Placement(strips=True)])
def test_saving_memory_leaves_the_picture(random_mini: Path, scene: Image.Image, exact: np.ndarray, placement: Placement) -> None:
    assert np.abs(draw(random_mini, scene, placement) - exact).max() <= 1  # a level, by rounding


@pytest.mark.parametrize(("weights", "most"), [("float8", 6.0), ("int8", 1.5), ("int4", 12.0)])
def test_narrow_weights_are_near(random_mini: Path, scene: Image.Image, weights: str, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step1XEdit, "settle", lambda _, change, gone: (change, gone))  # random weights are in doubt all over
    exact = draw(random_mini, scene)
    error = np.abs(draw(random_mini, scene, Placement(weights=weights, offload="blocks")) - exact).mean()  # type: ignore[arg-type]
    assert 0 < error < most


@pytest.mark.parametrize(("cache", "idle"), [("first-block:0.3", "first-block:0"), ("accumulated:0.3", "accumulated:0"), ("every:2", None)])
def test_caches_change_something(random_mini: Path, scene: Image.Image, exact: np.ndarray, cache: str, idle: str | None) -> None:
    never = draw(random_mini, scene, shortcuts=Shortcuts.read(idle, None))
    assert np.abs(never - exact).max() <= 1  # a level, by rounding
    assert 0 < np.abs(draw(random_mini, scene, shortcuts=Shortcuts.read(cache, None)) - exact).mean() < 30


def test_guidance_may_act_for_a_while(random_mini: Path, scene: Image.Image, exact: np.ndarray) -> None:
    assert np.array_equal(draw(random_mini, scene, shortcuts=Shortcuts.read(None, "0,1")), exact)
    assert not np.array_equal(draw(random_mini, scene, shortcuts=Shortcuts.read(None, "0.9,1")), exact)


@pytest.mark.parametrize(("cache", "guided"), [("first-block:0.12345678", "0.2000001,0.9"), ("every:5", ""), ("", "0.3,1")])
def test_what_is_written_is_read_as_the_same_numbers(cache: str, guided: str) -> None:
    assert Shortcuts.read(cache, guided).write() == {"cache": cache, "guided": guided}


@pytest.mark.parametrize(
    ("cache", "guided"),
    [
        ("first-block", None),
        ("every:1", None),
        ("every:2.5", None),
        ("every:inf", None),
        ("last:0.1", None),
        ("first-block:x", None),
        ("first-block:-1", None),
        (None, "1,0"),
        (None, "a"),
    ],
)
def test_options_that_make_no_sense(cache: str | None, guided: str | None) -> None:
    with pytest.raises(UsageError):
        Shortcuts.read(cache, guided)
