"""Inputs of every unfit kind are left out with a reason, and the fit ones are decoded when they are drawn."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from step1x_edit.data.deidentification import Switches
from step1x_edit.data.licences import Credit, Credits
from step1x_edit.data.materials import mask_of, read_names
from step1x_edit.data.photographs import Input, PhotographFolder, examine, hide, list_inputs
from step1x_edit.data.suitability import find_faces
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.errors import UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"
DrawScene = Callable[..., Image.Image]


@pytest.fixture
def inputs(tmp_path: Path, draw_scene: DrawScene, png_with_header: Callable[[int, int], bytes]) -> Path:
    """A folder with one file of each kind."""
    scene = draw_scene(320, 280)
    scene.save(tmp_path / "fit.jpg")
    scene.save(tmp_path / "whole.png")
    scene.convert("CMYK").save(tmp_path / "print.jpg")
    scene.resize((90, 60)).save(tmp_path / "tiny.jpg")
    scene.save(tmp_path / "moving.gif", save_all=True, append_images=[scene.rotate(5), scene.rotate(9)])
    moving = (tmp_path / "moving.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(moving[: moving.index(b"\x21\xf9\x04", 1000) + 9])  # within the second picture's header
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "fit.jpg").read_bytes()[:3000])
    (tmp_path / "noise.jpg").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0 ftypisom" + bytes(400))
    (tmp_path / "vast.png").write_bytes(png_with_header(20_000, 20_000))
    (tmp_path / "README.md").write_text("not an input")
    return tmp_path


REASONS = {
    "fit.jpg": "",
    "whole.png": "",
    "print.jpg": "CMYK, made for print",
    "tiny.jpg": "tiny",
    "moving.gif": "animated",
    "cut.gif": "damaged or cut off",
    "cut.jpg": "damaged or cut off",
    "noise.jpg": "not a picture",
    "empty.png": "not a picture",
    "film.mp4": "not a picture",
    "vast.png": "huge",
}


def look(folder: Path) -> list[Input]:
    return [examine(place, path, Credit("CC0"), 200, 50_000_000)[0] for place, path in list_inputs([folder])]


def test_each_kind_has_its_reason(inputs: Path) -> None:
    found = look(inputs)
    assert {entry.file: entry.skipped for entry in found} == REASONS
    for entry in found:
        assert Input.from_row(entry.to_row()) == entry
        assert len(entry.sha256) == 64


def test_the_folder_holds_the_fit_ones_and_decodes_them_smaller(inputs: Path) -> None:
    folder = PhotographFolder(look(inputs), side=140)
    assert [folder[i].name for i in range(len(folder))] == ["fit.jpg", "whole.png"]
    assert folder[0].pixels.shape == (140, 160, 3)
    assert folder[0] is folder[0]
    entry = folder.find("fit.jpg")
    assert entry is not None
    assert entry.provenance()["licence"] == "CC0"


def test_a_photograph_that_changes_or_goes_is_noticed(inputs: Path, draw_scene: DrawScene) -> None:
    folder = PhotographFolder(look(inputs), side=140)
    draw_scene(300, 300, seed=2).save(inputs / "fit.jpg")
    (inputs / "whole.png").unlink()
    with pytest.raises(UsageError, match="changed"):
        folder[0]
    with pytest.raises(UsageError, match="has gone"):
        folder[1]


def test_what_is_to_be_hidden_is_blurred_whenever_it_is_drawn(inputs: Path) -> None:
    fit = next(entry for entry in look(inputs) if entry.file == "whole.png")
    hidden = dataclasses.replace(fit, hidden=(("number plate", 60, 60, 160, 120, 0.9),))
    assert Input.from_row(json.loads(json.dumps(hidden.to_row()))) == hidden
    plain, blurred = (PhotographFolder([entry], side=280)[0].pixels for entry in (fit, hidden))
    detail = [float(np.abs(np.diff(pixels[70:110, 70:150].astype(int), axis=1)).mean()) for pixels in (plain, blurred)]
    assert detail[1] < 0.3 * detail[0]
    assert np.array_equal(blurred[150:], plain[150:])


def test_faces_are_found_blurred_and_counted() -> None:
    path = EXAMPLES / "photos" / "astronaut.jpg"
    tools = Toolbox.offline()
    entry, pixels = examine(path.parent, path, Credit(), 200, 50_000_000)
    assert pixels is not None
    faces = find_faces(entry, pixels, tools).faces
    assert len(faces) == 1
    assert 0.1 < faces[0] < 0.3
    hidden = hide(entry, pixels, tools, Switches(faces=True, plates=False, text="keep"))
    assert [found[0] for found in hidden.hidden] == ["face"]
    assert not tools.faces.find_faces(PhotographFolder([hidden], side=512)[0].pixels)


def test_photographs_of_one_name_are_told_apart(tmp_path: Path, draw_scene: DrawScene) -> None:
    folders = [tmp_path / "one", tmp_path / "two" / "pictures", tmp_path / "three" / "pictures"]
    for folder in folders:
        folder.mkdir(parents=True)
        draw_scene(300, 300).save(folder / "x.jpg")
    draw_scene(300, 300).save(folders[0] / "y.jpg")
    entries = [examine(place, path, Credit(str(path)), 200, 50_000_000)[0] for place, path in list_inputs(folders)]
    assert [entry.file for entry in entries] == ["one/x.jpg", "y.jpg", "two/pictures/x.jpg", "three/pictures/x.jpg"]
    folder = PhotographFolder(entries, side=140)
    for photograph, entry in zip(folder, entries, strict=True):
        assert folder.find(photograph.name) is entry
        assert entry.credit.licence == str(entry.path)


def test_links_to_folders_are_followed_and_one_that_leads_nowhere_has_its_reason(tmp_path: Path, draw_scene: DrawScene) -> None:
    for name in ("photos/own", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        draw_scene(300, 300).save(tmp_path / name / "x.jpg")
    photos = tmp_path / "photos"
    (tmp_path / "elsewhere" / "CREDITS.md").write_text("| file | licence |\n|---|---|\n| x.jpg | CC0 |\n", encoding="utf-8")
    for name, to in {"all": tmp_path / "elsewhere", "again": tmp_path / "elsewhere", "loop": photos, "gone.jpg": tmp_path / "no"}.items():
        (photos / name).symlink_to(to)
    credits = Credits([photos])
    found = [examine(folder, path, credits.find(path), 200, 50_000_000)[0] for folder, path in list_inputs([photos])]
    assert {entry.file: (entry.skipped, entry.credit.licence) for entry in found} == {
        "again/x.jpg": ("", "CC0"),
        "gone.jpg": ("cannot be opened: No such file or directory", ""),
        "own/x.jpg": ("", ""),
    }


@pytest.fixture
def marked(tmp_path: Path, draw_scene: DrawScene) -> Path:
    """A photograph of 320 x 280 whose mask marks a robin in its upper left."""
    draw_scene(320, 280).save(tmp_path / "robin-1.jpg")
    mask = Image.new("L", (320, 280))
    mask.paste(255, (40, 20, 140, 120))
    mask.save(tmp_path / "robin-1.mask.png")
    (tmp_path / "names.json").write_text('{"robin-1.mask": {"en": "robin", "zh": "知更鸟", "kind": "animal"}}', encoding="utf-8")
    return tmp_path / "robin-1.jpg"


def look_with_names(path: Path) -> Input:
    names = read_names([path, mask_of(path)])
    return examine(path.parent, path, Credit("CC0"), 200, 50_000_000, names)[0]


def test_what_a_mask_marks_comes_with_the_photograph(marked: Path) -> None:
    entry = look_with_names(marked)
    assert entry.mark is not None
    assert (entry.mark.en, entry.mark.zh, entry.mark.kind) == ("robin", "知更鸟", "animal")
    row = json.loads(json.dumps(entry.to_row()))
    assert Input.from_row(row) == entry
    del row["mark"]
    assert Input.from_row(row) == dataclasses.replace(entry, mark=None)
    content = PhotographFolder([entry], side=140)[0].content
    assert content is not None
    assert content.alpha.shape == (140, 160)
    assert (content.en, content.zh, content.kind) == ("robin", "知更鸟", "animal")
    assert (content.alpha[11:59, 21:69] == 255).all()
    assert not content.alpha[61:].any()
    assert not content.alpha[:, 71:].any()


def test_a_mask_that_changes_or_goes_is_noticed(marked: Path) -> None:
    entry, mask = look_with_names(marked), mask_of(marked)
    Image.new("L", (320, 280), 255).save(mask)
    with pytest.raises(UsageError, match=r"robin-1\.mask\.png has changed"):
        PhotographFolder([entry], side=140)[0]
    mask.unlink()
    with pytest.raises(UsageError, match="has gone"):
        PhotographFolder([entry], side=140)[0]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda mask: (mask.parent / "names.json").unlink(), "its mask has no name, or marks nothing"),
        (lambda mask: Image.new("L", (320, 280)).save(mask), "its mask has no name, or marks nothing"),
        (lambda mask: mask.write_bytes(b"no picture"), "its mask cannot be read"),
        (lambda mask: Image.new("L", (320, 240), 255).save(mask), "its mask has not its size"),
    ],
)
def test_a_mask_that_cannot_be_used_is_a_reason(spoil: Callable[[Path], None], reason: str, marked: Path) -> None:
    spoil(mask_of(marked))
    assert look_with_names(marked).skipped == reason


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no-such"):
        list_inputs([tmp_path / "no-such"])
