"""What photographs must show is looked for where it is needed, and no more often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.data.photographs import Input
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
from step1x_edit.data.suitability import NEEDS, choose_needs, find_faces, find_names, look, suits
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box, Face
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels
from step1x_edit.types import EditCategory

EXAMPLES = Path(__file__).parents[2] / "examples" / "photos"
TEXT = Slot(EditCategory.TEXT_MODIFICATION, PHOTOGRAPH)
PORTRAIT = Slot(EditCategory.PORTRAIT_EDITING, PHOTOGRAPH)
TONE = Slot(EditCategory.TONE_TRANSFORMATION, PHOTOGRAPH)


def test_only_what_a_slot_needs_is_looked_for() -> None:
    assert choose_needs({TONE: 10, TEXT.composed: 10}, 0, 100) == []
    assert choose_needs({PORTRAIT: 1}, 7, 100) == [NEEDS[EditCategory.PORTRAIT_EDITING]]


@pytest.mark.parametrize(("count", "total", "looked"), [(1, 40, 40), (1, 1000, 50), (20, 1000, 200), (500, 1000, 1000)])
def test_slow_looks_are_bounded_by_what_is_wanted(count: int, total: int, looked: int) -> None:
    assert sum(bool(choose_needs({TEXT: count}, index, total)) for index in range(total)) == looked


def test_names_come_of_the_topic_without_looking() -> None:
    blank = np.zeros((300, 300, 3), np.uint8)
    tools = Toolbox.offline()
    for topic, named in {"roses": True, "dog": True, "something else": False, None: False}.items():
        assert find_names(Input("a.jpg", "", topic=topic), blank, tools).named is named


class Doubtful:
    """Takes a flower for a face, without being sure."""

    def find_faces(self, picture: Pixels, smallest: float = 0.0) -> tuple[Face, ...]:
        return (Face(Box(20, 20, 120, 130), 0.45),)


def test_a_face_that_is_not_sure_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    tools = Toolbox({"faces": ToolChoice("centerface")})
    tools.__dict__["faces"] = Doubtful()
    entry = find_faces(Input("a.jpg", ""), np.zeros((300, 300, 3), np.uint8), tools)
    assert entry.faces == ()
    assert not suits(PORTRAIT, entry)
    assert suits(TONE, entry)


def test_a_portrait_is_found() -> None:
    pixels = np.asarray(Image.open(EXAMPLES / "astronaut.jpg").convert("RGB"))
    entry = look(Input("astronaut.jpg", ""), pixels, Toolbox.offline(), choose_needs({PORTRAIT: 1}, 0, 1))
    assert suits(PORTRAIT, entry)
    assert suits(Slot(EditCategory.PORTRAIT_EDITING, COMPOSED), entry)
    assert not suits(TEXT, entry)
