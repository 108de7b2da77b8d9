"""Batch files of `step1x edit`, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from step1x_edit.cli.batch import list_jobs, number_names, read_batch
from step1x_edit.cli.main import run
from step1x_edit.editor import Editor
from step1x_edit.errors import UsageError
from step1x_edit.settings import read_settings
from step1x_edit.types import EditResult


@pytest.fixture
def batch(tmp_path: Path, scene: Image.Image) -> Path:
    """Two pictures, one with an instruction and one with two turns."""
    scene.save(tmp_path / "one.png")
    scene.save(tmp_path / "two.png")
    (tmp_path / "batch.json").write_text(json.dumps({"one.png": "make it night", "two.png": ["make it night", "add rain"]}))
    return tmp_path / "batch.json"


def test_numbered_names() -> None:
    assert [str(path) for path in number_names(Path("a/b.jpg"), 3)] == ["a/b.jpg", "a/b-2.jpg", "a/b-3.jpg"]


def test_results_that_are_there_are_kept_and_those_that_are_not_are_made(
    batch: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = batch.with_name("out")
    asked = ["edit", str(batch), "-o", str(out), "--weights", str(random_mini)]
    assert run(asked) == 0
    assert capsys.readouterr().out.split() == [str(out / "one.png"), str(out / "two.png")]
    first = (out / "one.png").read_bytes()
    assert run([*asked, "--count", "3"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "one-2.png"), str(out / "one-3.png")]
    assert "2 of 4 results are there already and are kept;" in said.err
    (out / "one.png").unlink()
    assert run([*asked, "--count", "3"]) == 0
    assert (out / "one.png").read_bytes() == first


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a.png": "x", "a.jpg": "y"}', "would both be written to"),
        ('{"a.png": "x", "a-2.png": "y"}', r"a\.png and a-2\.png would both be written to"),
        ('{"a.png": "x", "a.png": "y"}', "is named twice"),
        ('{"../a.png": "x"}', "leads out of the folder"),
        ('{"a\\u0000.png": "x"}', "is no name that a file can have"),
        ('{"a\\ud800.png": "x"}', "is no name that a file can have"),
        ('{"a.png": []}', "has no instruction"),
        ('["a.png"]', "must be an object"),
        ("{", "is not JSON"),
    ],
)
def test_batch_files_that_cannot_be(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "batch.json").write_text(content)
    with pytest.raises(UsageError, match=sentence):
        read_batch(tmp_path / "batch.json", None, tmp_path / "out", count=2)


@pytest.fixture
def holiday(tmp_path: Path, scene: Image.Image) -> Path:
    """A folder of pictures, two of one stem, with what is in such folders too."""
    folder = tmp_path / "holiday"
    (folder / "more").mkdir(parents=True)
    for name in ("a.jpg", "a.png", "b.WEBP", "more/c.png"):
        scene.save(folder / name)
    (folder / "notes.txt").write_text("what we saw")
    (folder / "._a.jpg").write_bytes(b"of another system")
    return folder


def test_one_instruction_for_a_folder_and_what_is_there_is_kept(
    holiday: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["edit", str(holiday), "make it night", "--weights", str(random_mini)]
    assert run(asked) == 0
    out = holiday.with_name("holiday-edited")
    assert capsys.readouterr().out.split() == [str(out / name) for name in ("a.jpg.png", "a.png.png", "b.png")]
    assert read_settings(out / "b.png").options["instruction"] == "make it night"
    assert run(asked) == 0
    assert "3 of 3 results are there already and are kept;" in capsys.readouterr().err
    (out / "b.png").write_bytes(b"of somebody else")
    assert run(["edit", str(holiday), "make it day"]) == 0
    assert "3 of 3 results are there already and are kept, 2 of them of another instruction;" in capsys.readouterr().err


def test_a_picture_of_many_that_cannot_be_read_leaves_no_folder(holiday: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (holiday / "c.png").write_bytes(b"no picture")
    assert run(["edit", str(holiday), "make it night"]) == 1
    assert "c.png is not a whole picture" in capsys.readouterr().err
    assert not holiday.with_name("holiday-edited").exists()


def test_one_instruction_for_several_pictures_with_turns_and_the_settings_of_another(
    holiday: Path, tmp_path: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [str(holiday / name) for name in ("a.jpg", "b.WEBP")]
    out, weights = tmp_path / "out", ["--weights", str(random_mini)]
    assert run(["edit", *names, "make it night", "--then", "add rain", "-o", str(out), "--seed", "3", *weights]) == 0
    assert capsys.readouterr().out.split() == [str(out / "a.png"), str(out / "b.png")]
    again = tmp_path / "again"
    assert run(["edit", *names, "--like", str(out / "a.png"), "-o", str(again), *weights]) == 0
    made = read_settings(again / "b.png").options
    assert (made["instruction"], made["seed"]) == ("add rain", 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["a.jpg", "a.png"], "The instruction is missing"),
        (["a.jpg", "a.png", "make it night"], "need a folder for their results"),
        (["a.jpg", "b.WEBP", "make it night", "-o", "notes.txt"], "is a file"),
        (["a.jpg", "b.WEBP", "make it night", "-o", "out", "--box", "0,0,9,9"], "take no mask, box"),
        (["a.jpg", "b.WEBP", "make it night", "-o", "out", "--then", "add rain", "-n", "2"], "Several turns"),
        (["a.png", "b.WEBP", "make it night", "-o", "."], "would take the place of a picture"),
        (["nowhere/", "make it night"], "There is no file nowhere"),
    ],
)
def test_several_pictures_that_cannot_be(
    holiday: Path, words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(holiday)
    assert run(["edit", *words]) in (1, 2)
    assert sentence in capsys.readouterr().err
    assert not (holiday / "out").exists()


def test_names_of_many_pictures_do_not_collide(holiday: Path, tmp_path: Path) -> None:
    jobs = list_jobs([holiday, holiday / "a.jpg"], ("make it night",), tmp_path, 2)
    assert [[each.name for each in job.targets] for job in jobs] == [
        ["a.jpg.png", "a.jpg-2.png"],
        ["a.png.png", "a.png-2.png"],
        ["b.png", "b-2.png"],
    ]
    with pytest.raises(UsageError, match="holds no pictures"):
        list_jobs([tmp_path], ("make it night",), tmp_path)


def test_a_picture_that_is_added_later_is_not_taken_for_done(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (before,) = list_jobs([tmp_path], ("make it night",), tmp_path / "out")
    for name in ("a.jpg", "a.jpg.gif"):
        (tmp_path / name).touch()
    after = [job.targets[0].name for job in list_jobs([tmp_path], ("make it night",), tmp_path / "out")]
    assert after == ["a.jpg.png", "a.jpg.gif.png", "a.png.png"]
    assert before.targets[0].name == "a.png"


def test_no_result_takes_the_place_of_another_picture(
    tmp_path: Path, scene: Image.Image, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("x.jpg", "y.png", "sub/x.png"):
        scene.save(tmp_path / name)
    batch, rest = tmp_path / "batch.json", ["--overwrite", "--weights", str(random_mini)]
    batch.write_text(json.dumps({"x.jpg": "make it night", "sub/x.png": "make it night"}))
    before = (tmp_path / "sub/x.png").read_bytes()
    assert run(["edit", str(batch), "-o", str(tmp_path / "sub"), *rest]) == 2
    assert "would take the place of a picture" in capsys.readouterr().err
    assert (tmp_path / "sub/x.png").read_bytes() == before
    batch.write_text(json.dumps({"y.png": "make it night"}))
    assert run(["edit", str(batch), "-o", str(tmp_path), *rest]) == 0  # its own
    assert (tmp_path / "y.png").read_bytes() != before


def test_a_batch_file_of_an_editor_that_marks_its_encoding(batch: Path) -> None:
    batch.write_text(batch.read_text(), encoding="utf-8-sig")
    assert [job.image.name for job in read_batch(batch, None, batch.with_name("out"))] == ["one.png", "two.png"]


def test_what_is_done_to_a_picture_of_many_is_said_too(
    tmp_path: Path, scene: Image.Image, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.save(tmp_path / "moving.gif", save_all=True, append_images=[scene.rotate(90)])
    scene.save(tmp_path / "still.png")
    names = [str(tmp_path / name) for name in ("moving.gif", "still.png")]
    assert run(["edit", *names, "make it night", "-o", str(tmp_path / "out"), "--weights", str(random_mini)]) == 0
    assert "moving.gif: Only the first of its frames" in capsys.readouterr().err


def test_another_run_on_the_same_folder_meanwhile_stops_none(
    holiday: Path, random_mini: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, edit, others = ["edit", str(holiday), "make it night", "--weights", str(random_mini)], Editor.edit_seeds, []

    def edit_beside_another(*arguments: Any) -> Iterator[EditResult]:
        if not others:
            others.append("the run that is the quicker one")
            assert run(asked) == 0
            made.update({path: path.stat().st_ino for path in holiday.with_name("holiday-edited").iterdir()})
        return edit(*arguments)

    made: dict[Path, int] = {}
    monkeypatch.setattr(Editor, "edit_seeds", edit_beside_another)
    assert run(asked) == 0
    said = capsys.readouterr()
    assert len(said.out.split()) == 3 and said.err.count("meanwhile") == 3
    assert made == {path: path.stat().st_ino for path in holiday.with_name("holiday-edited").iterdir()}


def test_a_folder_is_where_the_result_goes(tmp_path: Path, batch: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    for name in ("one-edited.png", "one-edited-2.png"):
        assert run(["edit", str(tmp_path / "one.png"), "make it night", "-o", str(tmp_path / "out"), "--weights", str(random_mini)]) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / "out" / name)]
