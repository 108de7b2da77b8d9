"""Photographs get a mask and a name, or a reason why not; what has a mask is left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from step1x_edit.data.labels import LABELS
from step1x_edit.data.marking import RECORD, draw_sheets, judge_mask, mark_photographs, name_by_file, read_record
from step1x_edit.data.materials import read_materials
from step1x_edit.data.photographs import list_inputs
from step1x_edit.data.sheets import draw_sheet
from step1x_edit.data.split import Split
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.protocols import Box, Detection, ToolCard
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Pixels
from step1x_edit.errors import Step1XError, UsageError

BALL = (60, 50, 120, 110)
"""Left, top, right and bottom of the ball in the pictures here, which are of 180 x 160 pixels."""

EXAMPLES = Path(__file__).parents[2] / "examples"


class Namer:
    """A detector with one answer."""

    card = ToolCard("namer", "1")

    def __init__(self, label: str, box: Box) -> None:
        self.found = Detection(box, label, 0.9)

    def detect(self, picture: Pixels) -> tuple[Detection, ...]:
        return (self.found,)


def save_ball(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    picture = Image.new("RGB", (180, 160), (200, 205, 210))
    ImageDraw.Draw(picture).ellipse(BALL, fill=(200, 30, 30))
    picture.save(path, quality=95)


def read_names(folder: Path) -> dict[str, dict[str, str]]:
    names: dict[str, dict[str, str]] = json.loads((folder / "names.json").read_text(encoding="utf-8"))
    return names


def test_what_stands_out_is_marked_and_named_after_the_file(tmp_path: Path) -> None:
    save_ball(tmp_path / "ball-1.jpg")
    (marking,) = mark_photographs(tmp_path, Toolbox.offline())
    assert (marking.name, marking.reason) == ("ball", "")
    assert read_names(tmp_path) == {"ball-1.mask": {"en": "ball", "zh": "球", "kind": "object"}}
    wanted = Image.new("L", (180, 160))
    ImageDraw.Draw(wanted).ellipse(BALL, fill=255)
    found, true = (np.asarray(mask) > 127 for mask in (Image.open(tmp_path / "ball-1.mask.png"), wanted))
    assert (found & true).sum() / (found | true).sum() > 0.9
    (photograph,) = read_materials([tmp_path], [EXAMPLES / "cutouts"], Split(), "train").marked
    assert photograph.content is not None
    assert photograph.content.zh == "球"


def test_a_name_that_is_too_long_for_a_masks_is_left_out_with_a_reason_and_shorter_ones_are_marked(tmp_path: Path) -> None:
    just, too_long = f"ball-{'球' * 80}.jpg", f"ball-{'x' * 246}.jpg"  # their masks' names are of 254 and 260 bytes, of 255 at most
    for name in (just, too_long):
        save_ball(tmp_path / name)
    found = {marking.photograph.name: (marking.name, marking.reason) for marking in mark_photographs(tmp_path, Toolbox.offline())}
    assert found == {just: ("ball", ""), too_long: ("", "its file's name is too long for that of a mask")}
    assert mark_photographs(tmp_path, Toolbox.offline()) == []
    materials = read_materials([tmp_path], [EXAMPLES / "cutouts"], Split(), "train")
    assert [photograph.content is not None for photograph in materials.photographs] == [False, True]


def test_what_has_a_mask_stays_and_the_rest_is_gone_on_with(tmp_path: Path) -> None:
    save_ball(tmp_path / "ball-1.jpg")
    mark_photographs(tmp_path, Toolbox.offline())
    painted = Image.new("L", (180, 160), 255)
    painted.save(tmp_path / "ball-1.mask.png")
    (tmp_path / "further").mkdir()
    save_ball(tmp_path / "further" / "apple.png")
    told: list[tuple[str, int, int]] = []
    (marking,) = mark_photographs(tmp_path, Toolbox.offline(), lambda *done: told.append(done))
    assert marking.photograph == tmp_path / "further" / "apple.png"
    assert told == [("marking", 1, 1)]
    assert [one.name for one in read_record(tmp_path)] == ["ball", "apple"]
    assert {path.name for _, path in list_inputs([tmp_path])} == {"ball-1.jpg", "apple.png"}  # what a set is built from
    assert Image.open(tmp_path / "ball-1.mask.png").getextrema() == (255, 255)
    assert [*read_names(tmp_path / "further")] == ["apple.mask"]


def test_a_mask_that_was_thrown_away_comes_back_only_when_asked_for(tmp_path: Path) -> None:
    save_ball(tmp_path / "ball-1.jpg")
    (made,) = mark_photographs(tmp_path, Toolbox.offline())
    made.mask.unlink()
    assert mark_photographs(tmp_path, Toolbox.offline()) == []
    assert not made.mask.exists()
    assert mark_photographs(tmp_path, Toolbox.offline(), again=True) == [made]
    assert made.mask.exists()


def test_a_kill_loses_no_more_than_the_photograph_at_hand(tmp_path: Path) -> None:
    for name in ("ball-1", "ball-2", "ball-3"):
        save_ball(tmp_path / f"{name}.jpg")

    def stop(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mark_photographs(tmp_path, Toolbox.offline(), stop)
    with (tmp_path / RECORD).open("a") as record:
        record.write('{"photograph": "ball-')  # what a harder kill might leave
    assert [one.photograph.stem for one in mark_photographs(tmp_path, Toolbox.offline())] == ["ball-3"]
    assert [one.photograph.stem for one in read_record(tmp_path)] == ["ball-1", "ball-2", "ball-3"]
    assert len(read_materials([tmp_path], [EXAMPLES / "cutouts"], Split(), "train").marked) == 3


def test_a_full_disk_leaves_a_name_without_a_mask_but_no_mask_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_ball(tmp_path / "ball-1.jpg")

    def refuse(path: Path, data: bytes) -> None:
        raise Step1XError("No room.")

    monkeypatch.setattr("step1x_edit.data.marking.write_bytes", refuse)
    with pytest.raises(Step1XError):
        mark_photographs(tmp_path, Toolbox.offline())
    assert [*read_names(tmp_path)] == ["ball-1.mask"]
    assert read_materials([tmp_path], [EXAMPLES / "cutouts"], Split(), "train").marked == ()


def test_a_disk_that_is_full_for_the_record_is_one_sentence_and_the_rest_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}-{'x' * 200}.jpg").write_bytes(b"no picture")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, before[1]))  # bytes; the record has 250 to 300 a line
    try:
        with pytest.raises(Step1XError, match=rf"{RECORD} could not be written \(File too large\)"):
            mark_photographs(tmp_path, Toolbox.offline())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(mark_photographs(tmp_path, Toolbox.offline())) == 2
    assert len(read_record(tmp_path)) == 3


def test_another_file_of_the_records_name_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("marks: 5 of 6\n")
    with pytest.raises(UsageError, match="is no record of marked photographs"):
        mark_photographs(tmp_path, Toolbox.offline())


def test_a_photograph_taken_on_its_side_gets_an_upright_mask(tmp_path: Path) -> None:
    save_ball(tmp_path / "ball-1.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(tmp_path / "ball-1.jpg").convert("RGB").save(tmp_path / "ball-1.jpg", exif=exif, quality=95)
    (marking,) = mark_photographs(tmp_path, Toolbox.offline())
    assert np.asarray(Image.open(marking.mask)).shape == (180, 160)
    assert read_materials([tmp_path], [EXAMPLES / "cutouts"], Split(), "train").marked


def test_a_name_that_is_there_already_is_kept(tmp_path: Path) -> None:
    entry = {"en": "planet"}
    (tmp_path / "names.json").write_text(json.dumps({"img-7.mask": entry, "other": {"en": "other"}}), encoding="utf-8")
    save_ball(tmp_path / "img-7.jpg")
    (marking,) = mark_photographs(tmp_path, Toolbox.offline())
    assert marking.name == "planet"
    assert read_names(tmp_path) == {"img-7.mask": entry, "other": {"en": "other"}}


def test_a_name_that_is_there_in_part_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"ball-1.mask": {"zh": "皮球"}}', encoding="utf-8-sig")  # as some editors write it
    save_ball(tmp_path / "ball-1.jpg")
    mark_photographs(tmp_path, Toolbox.offline())
    assert read_names(tmp_path) == {"ball-1.mask": {"zh": "皮球", "en": "ball", "kind": "object"}}


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ({"img-7": {"en": "dog"}}, {"en": "dog", "zh": "狗", "kind": "animal"}),
        ({"img-7": {"en": "Roses"}}, {"en": "rose", "zh": "玫瑰", "kind": "plant"}),
        ({"img-7": {"en": "planet", "zh": "行星", "kind": "object"}}, {"en": "planet", "zh": "行星", "kind": "object"}),
        ({"img-7": {"en": "planet", "zh": "行星"}, "img-7.mask": {"zh": "火星"}}, {"en": "planet", "zh": "火星"}),
        ({"img-7": {"en": "planet", "zh": "行星"}, "img-7.mask": {"en": "Ball"}}, {"en": "Ball", "zh": "球", "kind": "object"}),
    ],
)
def test_the_photographs_own_name_does_where_the_mask_has_none(
    tmp_path: Path, names: dict[str, dict[str, str]], known: dict[str, str]
) -> None:
    (tmp_path / "names.json").write_text(json.dumps(names), encoding="utf-8")
    save_ball(tmp_path / "img-7.jpg")
    (marking,) = mark_photographs(tmp_path, Toolbox.offline())
    assert (marking.name, marking.reason) == (known["en"], "")
    assert read_names(tmp_path) == {**names, "img-7.mask": known}


def test_what_cannot_be_marked_is_left_out_with_a_reason(tmp_path: Path) -> None:
    Image.new("RGB", (90, 90), "navy").save(tmp_path / "ball-plain.png")
    (tmp_path / "ball-broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    save_ball(tmp_path / "img-7.jpg")
    reasons = {one.photograph.name: one.reason for one in mark_photographs(tmp_path, Toolbox.offline())}
    assert reasons.pop("ball-broken.jpg").startswith("it cannot be read: ")
    assert reasons == {"ball-plain.png": "nothing stands out", "img-7.jpg": "nothing says what it is"}
    assert not [*tmp_path.glob("*.mask.png")]
    assert not (tmp_path / "names.json").exists()


@pytest.mark.parametrize(
    ("label", "box", "reason"),
    [
        ("ball", Box(*BALL), ""),
        ("ball", Box(0, 0, 180, 160), "nothing says what it is"),
        ("spheroid", Box(*BALL), "nothing says what it is"),
    ],
)
def test_a_detector_names_what_fills_the_masks_box(tmp_path: Path, label: str, box: Box, reason: str) -> None:
    save_ball(tmp_path / "img-7.jpg")
    tools = Toolbox({"detector": ToolChoice("florence2")})
    tools.__dict__["detector"] = Namer(label, box)  # in place of the one that would be opened
    (marking,) = mark_photographs(tmp_path, tools)
    assert marking.reason == reason


def test_masks_are_judged_by_size_and_sharpness() -> None:
    def disc(radius: float, soft: float) -> np.ndarray:
        rows, columns = np.mgrid[0:100, 0:100] - 50
        return np.clip((radius - np.hypot(rows, columns)) / soft + 0.5, 0, 1).astype(np.float32)

    assert judge_mask(disc(25, 2)) == ""
    assert judge_mask(disc(5, 2)) == "nothing stands out"
    assert judge_mask(disc(90, 2)) == "it fills the picture"
    assert judge_mask(disc(25, 30)) == "its outline is vague"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("cat-1", "cat"),
        ("IMG_2041", ""),
        ("our Teddy Bear at home", "teddy bear"),
        ("catalogue", ""),
        ("roses-102501987", "rose"),
        ("two buses", "bus"),
        ("leaves", "leaf"),
        ("knives", "knife"),
        ("three women", "woman"),
        ("children", "child"),
        ("my glasses", "glasses"),
        ("grass", "grass"),
        ("dog and cat", ""),
        ("cat on a sofa", ""),
        ("Übus", ""),
        ("", ""),
    ],
)
def test_a_files_name_says_what_it_shows(stem: str, name: str) -> None:
    assert name_by_file(stem) == name


def test_two_markings_of_a_folder_do_not_lose_names(tmp_path: Path) -> None:
    for number in range(2):
        save_ball(tmp_path / f"ball-{number}.jpg")

    def come_second(what: str, done: int, total: int) -> None:
        with pytest.raises(UsageError, match="Another marking is at work"):
            mark_photographs(tmp_path, Toolbox.offline())

    assert len(mark_photographs(tmp_path, Toolbox.offline(), come_second)) == 2
    assert len(read_names(tmp_path)) == 2


def test_workers_write_what_one_process_writes(tmp_path: Path) -> None:
    for number in range(12):
        save_ball(tmp_path / "one" / f"ball-{number}.jpg")
    Image.new("RGB", (90, 90), "navy").save(tmp_path / "one" / "apple.png")
    (tmp_path / "one" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    told: list[tuple[str, int, int]] = []
    alone = mark_photographs(tmp_path / "one", Toolbox.offline())
    shared = mark_photographs(tmp_path / "two", Toolbox.offline(), lambda *done: told.append(done), workers=2)
    assert [(one.photograph.name, one.name, one.reason) for one in alone] == [(one.photograph.name, one.name, one.reason) for one in shared]
    assert told == [("marking", done, 14) for done in range(1, 15)]
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_of_a_folder_of_many_names_photographs_are_kept_several_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        save_ball(tmp_path / "one" / f"ball-{number}.jpg")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    each = mark_photographs(tmp_path / "one", Toolbox.offline())
    monkeypatch.setattr("step1x_edit.data.marking.NAMES", 2)
    told: list[int] = []
    several = mark_photographs(tmp_path / "two", Toolbox.offline(), lambda _, done, total: told.append(done))
    assert told == [1, 2, 4, 7, 9]  # with 1, 2, 4 and 7 names
    assert [one.photograph.name for one in each] == [one.photograph.name for one in several]
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_a_worker_that_is_killed_is_one_sentence_and_the_rest_is_gone_on_with(tmp_path: Path) -> None:
    for number in range(20):
        save_ball(tmp_path / f"ball-{number}.jpg")

    def kill(what: str, done: int, total: int) -> None:
        if done == 2:
            for process in multiprocessing.active_children():
                process.kill()

    with pytest.raises(Step1XError, match="A worker was killed"):
        mark_photographs(tmp_path, Toolbox.offline(), kill, workers=2)
    left = mark_photographs(tmp_path, Toolbox.offline(), workers=2)
    assert 0 < len(left) < 20 and len(read_record(tmp_path)) == 20
    assert len(read_names(tmp_path)) == len([*tmp_path.glob("*.mask.png")]) == 20


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".thumbnails").mkdir()
    for name in ("ball.jpg", "._ball.jpg", ".thumbnails/ball.jpg"):
        save_ball(tmp_path / name)
    (tmp_path / ".DS_Store").write_bytes(b"Bud1")
    assert [marking.photograph.name for marking in mark_photographs(tmp_path, Toolbox.offline())] == ["ball.jpg"]
    assert [path for _, path in list_inputs([tmp_path])] == [tmp_path / "ball.jpg"]


@given(st.text(max_size=40))
def test_a_name_is_one_of_the_labels_or_none(stem: str) -> None:
    assert name_by_file(stem) in {"", *LABELS}


def test_sheets_show_all_that_is_marked_and_take_the_place_of_older_ones(tmp_path: Path) -> None:
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets/marked-007.jpg").write_bytes(b"old")
    (tmp_path / "sheets/marked-by-hand.jpg").write_bytes(b"mine")
    (tmp_path / "photos").mkdir()
    save_ball(tmp_path / "photos/ball-1.jpg")
    save_ball(tmp_path / "photos/img-7.jpg")
    mark_photographs(tmp_path / "photos", Toolbox.offline())
    (sheet,) = draw_sheets(tmp_path / "photos", tmp_path / "sheets")
    assert {*(tmp_path / "sheets").iterdir()} == {sheet, tmp_path / "sheets/marked-by-hand.jpg"}
    colours = np.asarray(Image.open(sheet)).reshape(-1, 3).astype(int)
    assert (np.abs(colours - (255, 0, 255)).max(1) < 40).any()  # what lies behind the ball


def test_what_cannot_be_read_is_called_so_on_its_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos, words = tmp_path / "photos", list[str]()
    photos.mkdir()
    for name in ("ball-1", "ball-2", "ball-3", "ball-4"):
        save_ball(photos / f"{name}.jpg")
    mark_photographs(photos, Toolbox.offline())
    (photos / "ball-1.mask.png").write_bytes(b"no mask")
    (photos / "ball-2.mask.png").write_bytes((photos / "ball-2.mask.png").read_bytes()[:90])
    (photos / "ball-3.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (photos / "ball-4.jpg").rename(photos / os.fsdecode(b"\xe9.jpg"))
    (photos / "ball-4.mask.png").rename(photos / os.fsdecode(b"\xe9.mask.png"))

    def draw(pairs: Iterable[tuple[str, Image.Image, Image.Image]]) -> Image.Image:
        cells = [*pairs]
        words.extend(cell[0] for cell in cells)
        return draw_sheet(cells)

    monkeypatch.setattr("step1x_edit.data.marking.draw_sheet", draw)
    assert len(draw_sheets(photos, tmp_path / "sheets")) == 1
    assert words == [
        "the mask cannot be read: ball-1.jpg",
        "the mask cannot be read: ball-2.jpg",
        "the photograph cannot be read: ball-3.jpg",
        "?: \\udce9.jpg",
    ]


def test_old_sheets_stay_until_the_new_ones_are_written(tmp_path: Path) -> None:
    (tmp_path / "sheets").mkdir()
    (tmp_path / "sheets/marked-002.jpg").write_bytes(b"old")
    save_ball(tmp_path / "photos" / "ball-1.jpg")
    mark_photographs(tmp_path / "photos", Toolbox.offline())
    (tmp_path / "sheets/marked-001.jpg").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        draw_sheets(tmp_path / "photos", tmp_path / "sheets")
    assert (tmp_path / "sheets/marked-002.jpg").read_bytes() == b"old"
    (tmp_path / "sheets/marked-001.jpg").rmdir()
    assert draw_sheets(tmp_path / "photos", tmp_path / "sheets") == [*(tmp_path / "sheets").iterdir()]


@pytest.mark.parametrize("place", ["", "sheets", "../photos"])
def test_sheets_do_not_lie_among_the_photographs(tmp_path: Path, place: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/marked-001.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="would lie among the photographs"):
        draw_sheets(tmp_path / "photos", tmp_path / "photos" / place)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["marked-001.jpg"]


def test_a_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        mark_photographs(tmp_path / "none", Toolbox.offline())
