"""Triplets on disk: found, put into buckets, drawn in the same order again, and missed by name when they are missing."""

from __future__ import annotations

import json
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from step1x_edit.data.formats import export_finetune
from step1x_edit.data.shards import Record, finish_tar, read_tar, to_tar
from step1x_edit.errors import Step1XError, UsageError
from step1x_edit.training import stored as module
from step1x_edit.training.portions import Portion
from step1x_edit.training.recipe import Data, Stage
from step1x_edit.training.stored import Item, Stored


def stage(batch: int, size: int = 64) -> Stage:
    return Stage(until=100, size=size, batch=batch)


def portion(step: int, batch: int, start: int = 0, end: int | None = None) -> Portion:
    positions = range(start, batch if end is None else end)
    return Portion(stage(batch), step, range(step * batch + positions.start, step * batch + positions.stop), positions)


def test_shards_are_read_and_each_epoch_holds_every_triplet(stored_set: Path) -> None:
    stored = Stored(Data(shards=[stored_set]))
    assert len(stored.items) == 6
    for epoch in range(3):  # two of each of three shapes, in batches of two
        plans = [stored.plan(portion(3 * epoch + step, 2), 16) for step in range(3)]
        assert sorted(item.name for _, items in plans for item in items) == sorted(item.name for item in stored.items)
        for form, items in plans:
            assert all((form.aspect > 1) == (i.size[0] > i.size[1]) and (form.aspect < 1) == (i.size[0] < i.size[1]) for i in items)
    triplet = stored.items[1].read()
    assert triplet.instruction_en == "invert the upper half 1" and triplet.region[0, 0] and not triplet.region[-1, 0]
    assert np.array_equal(triplet.target[triplet.region], 255 - triplet.source[triplet.region])


def test_a_model_of_squares_is_told_how_much_pictures_are_squeezed(stored_set: Path) -> None:
    stored = Stored(Data(shards=[stored_set]), squares=True)
    for item, form in zip(stored.items, stored.forms(stage(2), 16), strict=True):
        assert form.size == (64, 64)
        assert form.stretch == pytest.approx(item.size[0] / item.size[1], rel=0.06)


def test_the_order_follows_from_the_seed_alone(stored_set: Path) -> None:
    first, again, other = (Stored(Data(shards=[stored_set], seed=seed)) for seed in (0, 0, 1))
    orders = [[[i.name for i in s.plan(portion(step, 2), 16)[1]] for step in (7, 2, 11)] for s in (first, again, other)]
    assert orders[0] == orders[1] != orders[2]


def test_portions_of_a_step_are_parts_of_its_batch(stored_set: Path) -> None:
    stored = Stored(Data(shards=[stored_set]))
    form, whole = stored.plan(portion(5, 4), 16)
    parts = [stored.plan(portion(5, 4, start, start + 2), 16) for start in (0, 2)]
    assert [form, form] == [part[0] for part in parts]
    assert whole == parts[0][1] + parts[1][1]


@given(st.lists(st.tuples(st.integers(30, 2000), st.integers(30, 2000)), min_size=1, max_size=40), st.integers(1, 7))
def test_an_epoch_leaves_nothing_out_and_mixes_no_shapes(sizes: list[tuple[int, int]], batch: int) -> None:
    stored = object.__new__(Stored)
    stored.items, stored.seed, stored._squares = [Item(str(i), size, {}) for i, size in enumerate(sizes)], 0, False
    batches = stored._draw_epoch(0, 512, batch, (1.0, 1.5, 0.5), 16)
    assert {number for _, numbers in batches for number in numbers} == set(range(len(sizes)))
    assert all(len(numbers) == batch for _, numbers in batches)
    forms = dict(enumerate(stored.forms(Stage(until=1, size=512, batch=batch, aspects=[1.0, 1.5, 0.5]), 16)))
    assert all(forms[number] == form for form, numbers in batches for number in numbers)


def test_a_few_pictures_that_fill_whole_batches_are_told() -> None:
    stored = object.__new__(Stored)
    stored.items = [Item(str(i), (900, 900), {}) for i in range(100)] + [Item(f"tall {i}", (500, 1000), {}) for i in range(2)]
    stored.seed, stored._squares = 0, False
    used = Counter(number for _, numbers in stored._draw_epoch(0, 64, 16, (1.0, 0.5), 16) for number in numbers)
    assert (used[100], used[101]) == (8, 8)
    (said,) = stored.find_overused(stage(16), 16)
    assert said.startswith("Only 2 of 102 triplets are of about 0.60 widths") and "each comes 8 times in an epoch" in said
    assert stored.find_overused(stage(4), 16) == []
    stored.items = stored.items[:3]
    assert stored.find_overused(stage(16), 16) == []  # all of one form come equally often


def test_the_published_fine_tuning_json(stored_set: Path, tmp_path: Path) -> None:
    assert export_finetune(stored_set, tmp_path / "pairs") == 6
    english = Stored(Data(pairs=[tmp_path / "pairs/metadata_en.json"]))
    assert [i.read().instruction_en for i in english.items][:2] == ["invert the upper half 0", "invert the upper half 1"]
    (tmp_path / "pairs").rename(tmp_path / "carried")  # the JSON names the sources by the whole path that they had
    chinese = Stored(Data(pairs=[tmp_path / "carried/metadata_zh.json"])).items[0].read()
    assert chinese.instruction_zh.startswith("上") and chinese.instruction_en == "" and chinese.region.all()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_sizes_are_those_of_upright_pictures_and_only_headers_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / f"a.{ending}", quality=95, exif=exif)
    (tmp_path / "metadata.json").write_text(json.dumps({f"a.{ending}": {"caption": "x", "ref_image_path": f"a.{ending}"}}))
    read, lengths = module._read, []

    def watched(path: Path, start: int, size: int) -> bytes:
        lengths.append(size)
        return read(path, start, size)

    monkeypatch.setattr(module, "_read", watched)
    (item,) = Stored(Data(pairs=[tmp_path / "metadata.json"])).items
    assert lengths == [module.HEAD] or ending == "webp"
    assert item.size == (400, 600) == item.read().source.shape[1::-1]


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / f"{name}.png")
    pairs = {f"{name}.png": {"caption": "x", "ref_image_path": f"{name}.png"} for name in ("a", "b")}
    (tmp_path / "metadata.json").write_text(json.dumps(pairs))
    whole, cut = sorted(Stored(Data(pairs=[tmp_path / "metadata.json"])).items, key=lambda item: item.name)
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:-500])
    assert whole.read()
    with pytest.raises(UsageError, match=r"^The triplet .*b.*: .*damaged"):
        cut.read()


def test_a_triplet_without_an_instruction_is_named(tmp_path: Path) -> None:
    data = BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    record = Record("mine", "tone_transfer", "", "", "", "", "")
    stretch = to_tar("mine", {"source.png": data.getvalue(), "target.png": data.getvalue(), "json": record.to_json()})
    (tmp_path / "a.tar").write_bytes(stretch + finish_tar(len(stretch)))
    (item,) = Stored(Data(shards=[tmp_path])).items
    with pytest.raises(UsageError, match=r"^The triplet a\.tar/mine: .*no instruction"):
        item.read()


@pytest.mark.parametrize(
    "damage", ["missing shard", "cut shard", "lost triplets", "no shards", "missing picture", "not JSON", "no caption", "empty caption"]
)
def test_data_that_is_not_whole_is_one_sentence(stored_set: Path, tmp_path: Path, damage: str) -> None:
    shard = stored_set / "shards/triplets-00001.tar"
    pairs = tmp_path / "metadata.json"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    pairs.write_text(json.dumps({"a.png": {"caption": "x", "ref_image_path": "b.png" if damage == "missing picture" else "a.png"}}))
    data = Data(shards=[stored_set])
    if damage == "missing shard":
        shard.unlink()
    elif damage == "cut shard":
        shard.write_bytes(shard.read_bytes()[:700])
    elif damage == "lost triplets":
        kept = b"".join(to_tar(key, files) for key, files in list(read_tar(shard))[:2])
        shard.write_bytes(kept + finish_tar(len(kept)))
    elif damage == "no shards":
        data = Data(shards=[tmp_path])
    else:
        data = Data(pairs=[pairs])
    if damage == "not JSON":
        pairs.write_text("{")
    if damage == "no caption":
        pairs.write_text('{"a.png": {"ref_image_path": "a.png"}}')
    if damage == "empty caption":
        pairs.write_text('{"a.png": {"caption": "", "ref_image_path": "a.png"}}')
    with pytest.raises(UsageError) as caught:
        Stored(data)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_what_is_kept_out_is_not_trained_on(stored_set: Path) -> None:
    stored = Stored(Data(shards=[stored_set]), keep_out=2)
    assert len(stored.items) == 4 and len(stored.heldout) == 2
    assert not {i.name for i in stored.items} & {i.name for i in stored.heldout}
    with pytest.raises(Step1XError, match="holds 6 triplets"):
        Stored(Data(shards=[stored_set]), keep_out=6)


def test_what_is_kept_out_is_not_trained_on_in_the_other_language(stored_set: Path, tmp_path: Path) -> None:
    export_finetune(stored_set, tmp_path / "pairs")  # six in English, four in Chinese
    files = [tmp_path / "pairs" / f"metadata_{language}.json" for language in ("en", "zh")]
    stored = Stored(Data(pairs=files), keep_out=3)
    kept_out, trained = ({path.stem for i in items for path, _, _ in i.places.values()} for items in (stored.heldout, stored.items))
    assert kept_out and trained and not kept_out & trained
    with pytest.raises(Step1XError, match="All 10 triplets"):
        Stored(Data(pairs=files), keep_out=9)
