"""Turns, masks and the desk that edits, without a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from step1x_edit.editor import Editor
from step1x_edit.errors import UsageError
from step1x_edit.image_io import read_image
from step1x_edit.serve.session import MOST_KEPT, MOST_TURNS, Desk, Session, Shelf, Step, Stopped, Turn, ask, read_mask
from step1x_edit.settings import read_settings


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk(Editor.open("mini"))
    yield made
    folder = made.folder
    made.close()
    assert not folder.exists()


def test_turns_are_added_undone_and_gone_back_to(scene: Image.Image) -> None:
    session = Session.begin(scene, Path("start.png"))
    for number in range(3):
        session = session.add(Turn(scene, f"turn {number}"))
    assert session.present.words == "turn 2" and session.before.words == "turn 1"
    assert session.undo().present.words == "turn 1"
    assert session.go_to(0).undo() == session.go_to(0) and session.go_to(0).present.words == "The picture"
    assert session.undo().go_to(3) == session  # what was undone is still there
    other = session.go_to(1).add(Turn(scene, "another"))
    assert [turn.words for turn in other.turns] == ["The picture", "turn 0", "another"] and other.before.words == "turn 0"


def test_of_very_many_turns_the_start_and_the_last_are_kept(scene: Image.Image) -> None:
    session = Session.begin(scene, Path("start.png"))
    for number in range(2 * MOST_TURNS):
        session = session.add(Turn(scene, f"turn {number}"))
    assert len(session.turns) == MOST_TURNS
    assert session.turns[0].words == "The picture" and session.present.words == f"turn {2 * MOST_TURNS - 1}"
    assert session.source == session.undo().source == Path("start.png")


def test_the_shelf_keeps_the_last_sessions_of_a_few_tabs(scene: Image.Image) -> None:
    shelf, sessions = Shelf(), {str(number): Session.begin(scene, Path(f"{number}.png")) for number in range(MOST_KEPT)}
    for key, session in sessions.items():
        shelf.put(key, session)
    assert {key: shelf.get(key) for key in sessions} == sessions
    shelf.put("0", sessions["0"].add(Turn(scene, "night")))
    shelf.put("another", Session.begin(scene))
    assert not shelf.get("1").turns and shelf.get("0").present.words == "night" and shelf.get("2") == sessions["2"]
    assert not shelf.get("").turns


def test_without_a_picture_nothing_is_asked() -> None:
    with pytest.raises(UsageError, match="no picture yet"):
        ask(Session(), "make it night", None, {})


def test_values_that_are_left_out_are_the_models_own(scene: Image.Image) -> None:
    request = ask(Session.begin(scene), "make it night", None, {"seed": 3, "steps": None, "negative": ""})
    assert (request.seed, request.steps, request.negative) == (3, None, "")


def test_without_paint_the_settings_of_masks_are_left_out(scene: Image.Image) -> None:
    session, values = Session.begin(scene), {"zoom": True, "feather": 8}
    far, near = (ask(session, "make it night", mask, values) for mask in (None, Image.new("L", scene.size, 255)))
    assert (far.zoom, far.feather, near.zoom, near.feather) == (False, 0, True, 8)


def test_paint_becomes_a_mask_of_the_pictures_size() -> None:
    layer = Image.new("RGBA", (50, 40))
    assert read_mask([layer], (100, 80)) is None and read_mask([], (100, 80)) is None
    layer.paste((20, 184, 166, 255), (10, 10, 20, 20))
    mask = read_mask([layer, Image.new("RGBA", (50, 40))], (100, 80))
    assert mask is not None and mask.size == (100, 80) and set(np.unique(np.asarray(mask))) == {0, 255}
    assert mask.getpixel((30, 30)) == 255 and mask.getpixel((60, 60)) == 0


def test_an_edit_shows_its_steps_and_leaves_a_file_with_its_settings(desk: Desk, scene: Image.Image) -> None:
    session = Session.begin(scene)
    *steps, last = desk.work(session, ask(session, "make it night", None, {"steps": 3, "seed": 5}), threading.Event())
    assert [(step.done, step.total) for step in steps if isinstance(step, Step)] == [(1, 3), (2, 3)]
    assert isinstance(last, Session) and len(last.turns) == 2 and last.present.file is not None
    expected = desk.editor.edit(scene, "make it night", steps=3, seed=5).image
    assert np.array_equal(np.asarray(read_image(last.present.file).image), np.asarray(expected))
    assert read_settings(last.present.file).options["seed"] == 5


def test_how_the_photograph_was_taken_stays_with_every_turn(desk: Desk, scene: Image.Image, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Ada"
    exif[ExifTags.Base.Orientation] = 6
    scene.save(tmp_path / "photo.jpg", exif=exif)
    picture = read_image(tmp_path / "photo.jpg")
    session = Session.begin(picture.image, tmp_path / "photo.jpg", picture.origin)
    for words in ("make it night", "make it black and white"):
        *_, last = desk.work(session, ask(session, words, None, {"steps": 1}), threading.Event())
        assert isinstance(last, Session) and last.present.file is not None
        session = last
        with Image.open(last.present.file) as taken_home:
            kept = taken_home.getexif()
        assert kept[ExifTags.Base.Artist] == "Ada" and ExifTags.Base.Orientation not in kept


def test_an_edit_that_nobody_waits_for_ends_at_its_next_step(desk: Desk, scene: Image.Image) -> None:
    session = Session.begin(scene)
    work = desk.work(session, ask(session, "make it night", None, {"steps": 500}), threading.Event())
    assert isinstance(next(work), Step)
    work.close()
    begun = time.monotonic()
    *_, last = desk.work(session, ask(session, "make it night", None, {"steps": 1}), threading.Event())
    assert isinstance(last, Session) and time.monotonic() - begun < 100  # 500 steps would take several minutes
    assert threading.active_count() < 20


def test_an_edit_that_is_stopped_shows_no_further_step(desk: Desk, scene: Image.Image) -> None:
    session, stopped = Session.begin(scene), threading.Event()
    shown = []
    with pytest.raises(Stopped):
        for step in desk.work(session, ask(session, "make it night", None, {"steps": 500}), stopped):
            shown.append(step)
            stopped.set()
    assert len(shown) == 1


def test_an_edit_that_waits_for_its_turn_can_be_given_up(desk: Desk, scene: Image.Image) -> None:
    session, stopped = Session.begin(scene), threading.Event()
    first = desk.work(session, ask(session, "make it night", None, {"steps": 500}), threading.Event())
    assert isinstance(next(first), Step) and desk.busy
    threading.Timer(1.0, stopped.set).start()
    with pytest.raises(Stopped):
        list(desk.work(session, ask(session, "make it day", None, {"steps": 1}), stopped))
    assert isinstance(next(first), Step), "the one before it goes on"
    first.close()


def test_what_the_model_cannot_do_is_said(desk: Desk, scene: Image.Image) -> None:
    session = Session.begin(scene)
    with pytest.raises(UsageError, match="Steps must be"):
        ask(session, "make it night", None, {"steps": 0})


def test_examples_are_the_repositorys_unless_a_folder_is_given(tmp_path: Path) -> None:
    from step1x_edit.cli.ui import list_photos

    assert len(list_photos(None)) == 12
    assert list_photos(tmp_path) == []
    for name in ("a.JPG", "b.png", "c.webp", "d.tif", ".e.jpg", "f.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_photos(tmp_path)] == ["a.JPG", "b.png", "c.webp"]
    with pytest.raises(UsageError, match="does not exist"):
        list_photos(tmp_path / "missing")


def test_without_a_key_nothing_is_kept(scene: Image.Image) -> None:
    shelf = Shelf()
    shelf.put("", Session.begin(scene))
    assert not shelf.get("").turns
