"""Triplets are exact, visible, named in two languages, and the same wherever and whenever they are made."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from step1x_edit.data.makers import MAKERS
from step1x_edit.data.split import Split
from step1x_edit.data.stream import VISIBLE, TripletStream
from step1x_edit.data.triplet import Triplet
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.types import EditCategory

ROOT = Path(__file__).parents[2]
GLOBAL = {EditCategory.STYLE_TRANSFER, EditCategory.TONE_TRANSFORMATION}


def digest(triplet: Triplet) -> str:
    pixels = triplet.source.tobytes() + triplet.target.tobytes() + triplet.region.tobytes()
    words = json.dumps([triplet.instruction_en, triplet.instruction_zh, triplet.source_caption, triplet.target_caption, triplet.parameters])
    return hashlib.sha256(pixels + words.encode()).hexdigest()


def check(triplet: Triplet, size: int) -> None:
    """What holds for every triplet."""
    assert triplet.source.shape == triplet.target.shape == (size, size, 3)
    assert triplet.source.dtype == triplet.target.dtype == np.uint8
    assert triplet.region.shape == (size, size)
    assert triplet.region.dtype == np.bool_
    assert np.array_equal(triplet.source[~triplet.region], triplet.target[~triplet.region])
    change = np.abs(triplet.source.astype(int) - triplet.target.astype(int))[triplet.region].mean()
    assert change >= VISIBLE - 0.01
    if triplet.category in GLOBAL:
        assert triplet.region.all()
    assert re.search("[a-zA-Z]{2}", triplet.instruction_en)
    assert re.search("[\u4e00-\u9fff]", triplet.instruction_zh)
    assert not re.search("[{}]", triplet.instruction_en + triplet.instruction_zh)
    assert triplet.edit
    assert triplet.source_caption
    assert triplet.target_caption
    json.dumps(triplet.parameters)


def test_every_category_is_generated() -> None:
    assert set(MAKERS) == set(EditCategory)


@pytest.mark.parametrize("category", list(EditCategory))
@pytest.mark.parametrize(("size", "difficulty"), [(64, 0.0), (97, 1.0)])
def test_triplets_of_each_category_are_exact(stream: TripletStream, category: EditCategory, size: int, difficulty: float) -> None:
    one = stream.variant(size=size, mixture={category: 1}, difficulty=difficulty)
    edits = set()
    for index in range(40):
        triplet = one.sample(index)
        assert triplet.category is category
        check(triplet, size)
        edits.add(triplet.edit)
    assert len(edits) > 10 or category is EditCategory.PORTRAIT_EDITING


@pytest.mark.parametrize("category", list(EditCategory))
def test_triplets_for_wide_and_high_pictures_are_exact(stream: TripletStream, category: EditCategory) -> None:
    one = stream.variant(size=97, mixture={category: 1}, difficulty=0.5)
    assert digest(one.squeezed(1.0).sample(3)) == digest(one.sample(3))
    for aspect in (0.5, 1.5):
        for index in range(8):
            check(one.squeezed(aspect).sample(index), 97)


@settings(max_examples=40, deadline=None)
@given(index=st.integers(-(2**70), 2**70), size=st.integers(32, 150))
def test_any_index_and_size(stream: TripletStream, index: int, size: int) -> None:
    triplet = stream.sample(index, size)
    check(triplet, size)
    assert digest(triplet) == digest(stream.sample(index, size))


def test_samples_do_not_depend_on_order(stream: TripletStream) -> None:
    forwards = [digest(stream.sample(index)) for index in range(12)]
    backwards = [digest(stream.sample(index)) for index in reversed(range(12))]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 12


def test_a_new_process_and_a_new_stream_make_the_same_samples(stream: TripletStream, split: Split) -> None:
    wanted = [digest(stream.sample(index)) for index in range(22)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_digest_afresh, (split,)) == wanted


def _digest_afresh(split: Split) -> list[str]:
    fresh = TripletStream([ROOT / "examples" / "photos"], [ROOT / "examples" / "cutouts"], split=split, part="heldout", size=96, seed=7)
    return [digest(fresh.sample(index)) for index in range(22)]


def test_the_seed_changes_the_samples(stream: TripletStream, split: Split) -> None:
    photos, cutouts = [ROOT / "examples" / "photos"], [ROOT / "examples" / "cutouts"]
    other = TripletStream(photos, cutouts, split=split, part="heldout", size=96, seed=8)
    assert digest(other.sample(0)) != digest(stream.sample(0))


def test_the_same_index_is_the_same_edit_at_every_size(stream: TripletStream) -> None:
    same = sum(stream.sample(index, 64).instruction_en == stream.sample(index, 128).instruction_en for index in range(60))
    assert same >= 54


def test_mixture_is_obeyed(stream: TripletStream) -> None:
    mixed = stream.variant(size=64, mixture={EditCategory.TONE_TRANSFORMATION: 3, EditCategory.SUBJECT_REMOVAL: 1}, difficulty=1.0)
    categories = [mixed.sample(index).category for index in range(200)]
    assert set(categories) == {EditCategory.TONE_TRANSFORMATION, EditCategory.SUBJECT_REMOVAL}
    assert 120 < categories.count(EditCategory.TONE_TRANSFORMATION) < 180


def test_difficulty_shrinks_the_subjects(stream: TripletStream) -> None:
    means = []
    for difficulty in (0.0, 1.0):
        one = stream.variant(size=64, mixture={EditCategory.SUBJECT_REMOVAL: 1}, difficulty=difficulty)
        triplets = [one.sample(index) for index in range(60)]
        means.append(np.mean([triplet.region.mean() for triplet in triplets]))
        counts = {len(triplet.parameters["subjects"]) for triplet in triplets}
        assert counts == ({1} if difficulty == 0 else {1, 2})
    assert means[0] > 1.5 * means[1]


def test_heldout_draws_on_kept_out_pictures_alone(stream: TripletStream, split: Split) -> None:
    for index in range(120):
        parameters = stream.sample(index).parameters
        assert parameters["photograph"] in split.photographs
        for subject in parameters["subjects"]:
            name = subject["subject"]
            assert name in split.cutouts or name in split.known or " " not in name


def test_training_uses_no_kept_out_picture(split: Split, tmp_path: Path) -> None:
    for name in ("mine", "chelsea"):
        Image.new("RGB", (90, 70), "olive").save(tmp_path / f"{name}.png")
    train = TripletStream([tmp_path], [ROOT / "examples" / "cutouts"], split=split, part="train", size=64, seed=0)
    assert {photograph.name for photograph in train.materials.photographs} == {"mine"}
    assert {subject.name for subject in train.materials.subjects} == set(split.known)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 16}, "between 32 and 2048"),
        ({"difficulty": 1.5}, "Difficulty"),
        ({"mixture": {}}, "mixture is empty"),
        ({"mixture": {"no_such": 1.0}}, "no_such"),
    ],
)
def test_wrong_settings_are_explained(stream: TripletStream, change: dict[str, object], message: str) -> None:
    settings_ = {"size": 64, "mixture": None, "difficulty": 1.0, **change}
    with pytest.raises(UsageError, match=message):
        stream.variant(**settings_)  # type: ignore[arg-type]


def test_missing_and_empty_folders_are_explained(tmp_path: Path) -> None:
    cutouts = [ROOT / "examples" / "cutouts"]
    with pytest.raises(UsageError, match="does not exist"):
        TripletStream([tmp_path / "no"], cutouts, split=Split(), part="train", size=64, seed=0)
    with pytest.raises(UsageError, match="No train photograph"):
        TripletStream([tmp_path], cutouts, split=Split(), part="train", size=64, seed=0)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="No heldout photograph"):
        TripletStream([tmp_path], cutouts, split=Split(), part="heldout", size=64, seed=0)


def test_pictures_without_any_visible_edit_are_explained(tmp_path: Path) -> None:
    (tmp_path / "cutouts").mkdir()
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64), "black").save(tmp_path / "photos" / "dark.png")
    Image.new("RGBA", (40, 40), (0, 0, 0, 255)).save(tmp_path / "cutouts" / "hole.png")
    mixture = {EditCategory.SUBJECT_REMOVAL: 1.0}
    dark = TripletStream(
        [tmp_path / "photos"], [tmp_path / "cutouts"], split=Split(), part="train", size=64, seed=0, mixture=mixture, difficulty=0.0
    )
    with pytest.raises(UsageError, match="No visible edit"):
        dark.sample(0)


@pytest.mark.parametrize("content", [b"", b"not a picture"])
def test_unreadable_pictures_are_explained(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        TripletStream([tmp_path], [ROOT / "examples" / "cutouts"], split=Split(), part="train", size=64, seed=0)


def test_other_edits_of_the_same_picture(stream: TripletStream) -> None:
    found = 0
    for index in range(12):
        triplet, others = stream.sample(index), stream.others(index, 3)
        assert len(others) <= 3
        results = [triplet.target, *others]
        for number, one in enumerate(results):
            assert one.shape == triplet.source.shape and one.dtype == np.uint8
            assert all(np.abs(one.astype(int) - other).sum() > 0 for other in results[:number])
        assert all(np.array_equal(one, again) for one, again in zip(others, stream.others(index, 3), strict=True))
        found += len(others)
    assert found > 12
