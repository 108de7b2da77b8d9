"""Sets of several proportions: pictures have them, things keep their form, and all else is as in sets of squares."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.building import build, read_recipe_of
from step1x_edit.data.categories import addition, colour, motion, replacement, style
from step1x_edit.data.categories.category import Category
from step1x_edit.data.categories.tone import TONES
from step1x_edit.data.formats import EXPORTS, import_set, open_foreign
from step1x_edit.data.materials import Content, Materials, Photograph
from step1x_edit.data.recipe import CategoryShare, DataRecipe, Executor, check_recipe
from step1x_edit.data.remaking import remake
from step1x_edit.data.report import write_report
from step1x_edit.data.routes import replacement as photographed
from step1x_edit.data.routes.subjects import describe_box, take_frame
from step1x_edit.data.shapes import draw_shape
from step1x_edit.data.shards import decode_mask, decode_picture, find_picture, read_records, read_triplets
from step1x_edit.data.sheets import write_sheets
from step1x_edit.data.slots import PHOTOGRAPH, parse_id
from step1x_edit.data.stream import find_region
from step1x_edit.data.tools.filtering import grow
from step1x_edit.data.tools.protocols import Box
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Mask, Shape, fit_shape
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

Digest = Callable[[Path], dict[str, str]]
ROOT = Path(__file__).parents[2]
WIDE, HIGH = (118, 78), (78, 118)
"""Shapes of the areas of 96 x 96 pixels, 1.5 and 0.67 times as wide as high."""


@given(size=st.integers(64, 2048), aspect=st.floats(0.25, 4))
def test_a_shape_has_the_area_of_the_square_and_even_sides(size: int, aspect: float) -> None:
    width, height = fit_shape(size, aspect)
    assert width * height == pytest.approx(size * size, rel=0.05)
    assert width / height == pytest.approx(aspect, rel=0.05)
    assert aspect == 1 or width % 2 == height % 2 == 0
    assert fit_shape(size, 1.0) == (size, size)


@pytest.mark.parametrize("aspects", [[0], [9], [1.0, -1.5], [float("nan")], [], ["wide"]])
def test_bad_values_are_one_sentence(aspects: list[object]) -> None:
    with pytest.raises(UsageError, match=r"^The recipe r\.toml is wrong at aspects[^\n]*\.$"):
        check_recipe({"count": 1, "photos": ["p"], "aspects": aspects}, "r.toml")


@pytest.fixture(scope="module")
def mixed(recipe: DataRecipe) -> DataRecipe:
    """The recipe of the other tests, in two proportions, and without loss, with photographs in which something is marked."""
    photos = [*recipe.photos, ROOT / "examples" / "marked"]
    return recipe.model_copy(update={"aspects": [1.5, 0.67], "format": "png", "count": 22, "photos": photos, "seed": 3})


@pytest.fixture(scope="module")
def mixed_set(mixed: DataRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixed") / "set"
    build(mixed, out)
    return out


def test_squares_are_what_a_recipe_without_aspects_makes(recipe: DataRecipe, tmp_path: Path, digest_folder: Digest) -> None:
    values = json.loads(recipe.model_dump_json(exclude={"aspects"})) | {"count": 6}
    for name, aspects in (("left out", {}), ("given", {"aspects": [1.0]})):
        build(DataRecipe.model_validate(values | aspects), tmp_path / name)
    assert digest_folder(tmp_path / "left out") == digest_folder(tmp_path / "given")
    assert "aspects" not in json.loads((tmp_path / "given" / "recipe.json").read_text())["recipe"]
    assert read_recipe_of(tmp_path / "given").aspects == [1.0]
    assert all("aspect" not in record.provenance for record, _ in read_records(tmp_path / "given"))


def test_pictures_have_the_proportions_and_differ_inside_their_masks_alone(mixed_set: Path) -> None:
    shapes: Counter[tuple[float, Shape]] = Counter()
    for record, files in read_records(mixed_set):
        source, target = (decode_picture(find_picture(files, name)) for name in ("source", "target"))
        height, width = source.shape[:2]
        assert source.shape == target.shape
        shapes[record.provenance["aspect"], (width, height)] += 1
        if "mask.png" in files:
            mask = decode_mask(files["mask.png"])
            assert mask.shape == (height, width)
            assert np.array_equal(source[~mask], target[~mask])
        boxes = [item["box"] for item in record.parameters.get("subjects", [])] + [record.parameters.get("found", {"box": [0] * 4})["box"]]
        assert all(right <= width + 1 and bottom <= height + 1 for _, _, right, bottom in boxes)
    assert set(shapes) == {(1.5, WIDE), (0.67, HIGH)}
    assert min(shapes.values()) >= 5


def test_readers_exports_and_pages_take_both_proportions(mixed_set: Path, tmp_path: Path) -> None:
    shapes = {triplet.source.shape[1::-1] for triplet in read_triplets(mixed_set)}
    assert shapes == {WIDE, HIGH}
    for name in ("folder", "parquet"):
        assert EXPORTS[name](mixed_set, tmp_path / name) == 22
        import_set(open_foreign(tmp_path / name, None), tmp_path / f"{name} back", shard=10)
        for path in sorted((mixed_set / "shards").glob("*.tar")):
            assert (tmp_path / f"{name} back" / "shards" / path.name).read_bytes() == path.read_bytes()
    EXPORTS["finetune"](mixed_set, tmp_path / "finetune")
    assert {decode_picture(path.read_bytes()).shape[1::-1] for path in (tmp_path / "finetune" / "target").iterdir()} == {WIDE, HIGH}
    write_report(mixed_set, tmp_path / "report.html", each=22)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count('data-state="kept"') == 22
    assert write_sheets(mixed_set, tmp_path / "sheets")


def test_any_triplet_is_made_again(mixed_set: Path) -> None:
    one_of_each = {parse_id(record.id)[0]: (record.id, files) for record, files in read_records(mixed_set)}
    assert {slot.route == PHOTOGRAPH for slot in one_of_each} == {True, False}
    for name, files in one_of_each.values():
        made = remake(mixed_set, name)
        assert (made.known, made.differing) == (True, ())
        assert made.files == files


BUILD = """
import sys, json
from pathlib import Path
from step1x_edit.data.building import build
from step1x_edit.data.recipe import check_recipe
if __name__ == "__main__":
    build(check_recipe(json.loads(sys.argv[1]), "test"), Path(sys.argv[2]))
"""


def test_neither_two_workers_nor_kills_change_the_set(mixed: DataRecipe, mixed_set: Path, tmp_path: Path, digest_folder: Digest) -> None:
    (tmp_path / "run.py").write_text(BUILD)
    other = mixed.model_copy(update={"executor": Executor(workers=2, block=3)})
    command = [sys.executable, str(tmp_path / "run.py"), other.model_dump_json(), str(tmp_path / "set")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    for seconds in (3.0, 6.0):
        process = subprocess.Popen(command, env=environment)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, timeout=300)
    assert digest_folder(tmp_path / "set") == digest_folder(mixed_set)


@pytest.mark.parametrize(("begun", "later"), [([1.0], [1.5]), ([1.5], [1.0])])
def test_a_set_of_other_proportions_is_another_set(recipe: DataRecipe, tmp_path: Path, begun: list[float], later: list[float]) -> None:
    small = recipe.model_copy(update={"count": 1, "categories": {EditCategory.TONE_TRANSFORMATION: CategoryShare(share=1)}})
    build(small.model_copy(update={"aspects": begun}), tmp_path / "set")
    with pytest.raises(UsageError, match=r"aspects differs"):
        build(small.model_copy(update={"aspects": later}), tmp_path / "set")


def compose(make: Category, materials: Materials, shape: Shape, seed: int) -> Draft | None:
    draft = make(random.Random(seed), dataclasses.replace(materials, aspect=shape[0] / shape[1]), max(shape))
    return draft and draft.resized(shape)


def measure(mask: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("shape", [WIDE, HIGH, (192, 48), (56, 164)])
@pytest.mark.parametrize(("make", "key"), [(addition.make, "subjects"), (replacement.make, "new"), (motion.make, "after")])
def test_circles_are_round_and_stand_where_their_boxes_say(make: Category, key: str, shape: Shape) -> None:
    grey = Photograph("grey", np.full((200, 300, 3), 128, np.uint8))
    circle, square = draw_shape("circle", "red"), draw_shape("diamond", "blue")
    materials = Materials([grey], [square if make is replacement.make else circle], [circle], difficulty=0)
    seen = 0
    for seed in range(60):
        draft = compose(make, materials, shape, seed)
        if draft is None or "red circle" not in draft.target_caption:
            continue
        red = (draft.target[..., 0] > 150) & (draft.target[..., 1] < 90)
        shown, facts = measure(red), draft.parameters[key]
        box = facts if key == "after" else facts["box"] if key == "new" else facts[-1]["box"]
        if min(box[:2]) < 0 or box[2] > shape[0] or box[3] > shape[1] or len(draft.parameters["subjects"]) > 1:
            continue
        seen += 1
        assert shown[2] - shown[0] == pytest.approx(shown[3] - shown[1], abs=3)
        assert np.abs(np.subtract(box, shown)).max() <= 2
        assert draft.source.shape == (*shape[::-1], 3)
        region = find_region(draft)
        assert np.array_equal(draft.source[~region], draft.target[~region])
    assert seen >= 8


def mark_car() -> Photograph:
    """A noisy grey photograph in which a red car of 60 x 60 pixels is marked."""
    pixels = np.random.default_rng(0).integers(100, 140, (240, 330, 3)).astype(np.uint8)
    alpha = np.zeros((240, 330), np.uint8)
    alpha[90:150, 140:200] = 255
    pixels[90:150, 140:200] = (200, 30, 30)
    return Photograph("a", pixels, None, Content(alpha, "car", "汽车", "vehicle"))


@pytest.mark.parametrize("shape", [WIDE, HIGH, (192, 48)])
def test_what_a_mask_marks_stays_where_it_is(shape: Shape) -> None:
    whole = 0
    for seed in range(20):
        frame = take_frame(random.Random(seed), mark_car(), shape)
        assert frame.pixels.shape == (*shape[::-1], 3)
        left, top, width, height = frame.facts["crop"]
        assert width / height == pytest.approx(shape[0] / shape[1], rel=0.03)
        assert left >= 0 <= top
        assert left + width <= 330
        assert top + height <= 240
        red = (frame.pixels[..., 0] > 160) & (frame.pixels[..., 1] < 80)
        box = measure(red)
        if min(box[:2]) > 0 and box[2] < shape[0] and box[3] < shape[1]:
            whole += 1
            assert box[2] - box[0] == pytest.approx(box[3] - box[1], abs=2)
        if frame.content is not None:
            assert not (red & ~grow(frame.content.alpha > 127, 1)).any()
            assert not ((frame.content.alpha > 127) & ~grow(red, 1)).any()
    assert whole >= 4
    materials, drafts = Materials([mark_car()], [draw_shape("star", "blue")], [draw_shape("star", "blue")], marked=[mark_car()]), 0
    for seed in range(60):
        draft = compose(colour.make, materials, shape, seed)
        if draft and draft.touched is not None and draft.parameters["subjects"] and draft.parameters["subjects"][0]["subject"] == "a":
            drafts += 1
            red = (draft.source[..., 0] > 160) & (draft.source[..., 1] < 80)
            assert not (red & ~draft.touched).any()
            assert not (draft.touched & ~grow(red, 3)).any()
    assert drafts >= 5


def test_a_window_is_told_by_its_side_or_its_sides() -> None:
    assert describe_box(Box(3, 4, 13, 14)) == [3, 4, 10]
    assert describe_box(Box(3, 4, 13, 24)) == [3, 4, 10, 20]


def test_what_replaces_something_is_seen_whole() -> None:
    circle = draw_shape("circle", "blue")
    pixels = np.random.default_rng(0).integers(100, 140, (200, 420, 3)).astype(np.uint8)
    alpha = np.zeros((200, 420), np.uint8)
    alpha[90:120, 70:350] = 255
    pixels[alpha > 0] = (200, 30, 30)
    long = Photograph("a", pixels, None, Content(alpha, "train", "火车", "vehicle"))
    seen = 0
    for seed in range(6):
        draft = photographed.make(random.Random(seed), long, Toolbox.offline(), Materials([long], [circle], [circle]), (270, 136))
        if isinstance(draft, Draft):
            blue = (draft.target[..., 2] > 150) & (draft.target[..., 0] < 90)
            left, top, right, bottom = measure(blue)
            assert right - left == pytest.approx(bottom - top, abs=8)
            seen += 1
    assert seen


@pytest.mark.parametrize("shape", [WIDE, HIGH, (97, 64)])
def test_every_style_and_tone_takes_any_shape(shape: Shape) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape[::-1], 3)).astype(np.uint8)
    for name, made in style.STYLES.items():
        assert made.apply(picture).shape == picture.shape, name
    for name, tone in TONES.items():
        assert tone.map(picture.astype(np.float32) / 255).shape == picture.shape, name
    mosaic = style.STYLES["mosaic"].apply(picture)
    changes = [int((np.diff(mosaic.astype(int), axis=axis) != 0).any((1 - axis, 2)).sum()) + 1 for axis in (0, 1)]
    assert shape[0] / changes[1] == pytest.approx(shape[1] / changes[0], rel=0.05)
