"""Pictures of a benchmark do not get into a set under another name, size or encoding, nor mirrored; other pictures do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from step1x_edit.data.avoidance import REASON, Avoided
from step1x_edit.data.building import build
from step1x_edit.data.photographs import DOUBLE, decode
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.storage import read_lines
from step1x_edit.errors import UsageError

EXAMPLES = Path(__file__).parents[2] / "examples" / "photos"


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """Two pictures in a folder, one in a Parquet file beside them, as the hub's data sets hold them, and words."""
    folder = tmp_path / "benchmark"
    (folder / "pictures").mkdir(parents=True)
    for name in ("coffee", "rocket"):
        shutil.copy(EXAMPLES / f"{name}.jpg", folder / "pictures" / f"{name}.jpg")
    cells = [{"bytes": (EXAMPLES / "chelsea.jpg").read_bytes(), "path": "x.jpg"}, None]
    pq.write_table(pa.table({"key": ["a", "b"], "input_image": cells}), folder / "cases.parquet")
    (folder / "cases.jsonl").write_text("{}\n")
    return folder


def test_pictures_are_known_again_and_others_are_not(benchmark: Path, tmp_path: Path) -> None:
    Avoided.take([benchmark]).write(tmp_path / "avoided.json")
    avoided = Avoided.read(tmp_path / "avoided.json")
    for path in sorted(EXAMPLES.glob("*.jpg")):
        expected = path.stem in ("coffee", "rocket", "chelsea")
        assert avoided.shows(decode(path.read_bytes())) == expected
        with Image.open(path) as picture:
            changed = ImageOps.mirror(picture.resize((picture.width * 2 // 3, picture.height * 2 // 3)))
        changed.save(tmp_path / "changed.jpg", quality=40)
        assert avoided.shows(decode((tmp_path / "changed.jpg").read_bytes())) == expected
    assert not Avoided().shows(np.zeros((64, 64, 3), np.uint8))


def test_a_set_shows_none_of_them_and_no_photograph_counts_twice(recipe: DataRecipe, benchmark: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(EXAMPLES / "coffee.jpg", photos / "mine.jpg")
    for name in ("a", "b"):
        shutil.copy(EXAMPLES / "tea-gardens.jpg", photos / f"{name}.jpg")
    values = recipe.model_dump(mode="json") | {"count": 2, "photos": [photos], "categories": {"tone_transfer": {"share": 1}}}
    made = build(DataRecipe.model_validate(values | {"avoid": [benchmark], "from_photographs": 0}), tmp_path / "set")
    assert made["photographs"] == {"taken": 1, "skipped": {REASON: 1, DOUBLE: 1}}
    rows = {row["file"]: row["skipped"] for row in read_lines(tmp_path / "set" / "photographs.jsonl")}
    assert rows == {"a.jpg": "", "b.jpg": DOUBLE, "mine.jpg": REASON}
    assert "avoid" not in DataRecipe.model_validate(values).to_values()


def test_pictures_that_a_link_leads_to_are_avoided_too(recipe: DataRecipe, benchmark: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    shutil.copy(EXAMPLES / "rocket.jpg", linked)
    (linked / "more").symlink_to(benchmark / "pictures")
    assert Avoided.take([linked]).shows(decode((EXAMPLES / "coffee.jpg").read_bytes()))
    (linked / "gone.jpg").symlink_to(tmp_path / "no")
    values = recipe.model_dump(mode="json") | {"avoid": [linked], "photos": [EXAMPLES], "categories": {"tone_transfer": {"share": 1}}}
    with pytest.raises(UsageError, match=r"gone\.jpg that is to be avoided cannot be read"):
        build(DataRecipe.model_validate(values), tmp_path / "set")


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("", b"", "does not exist"),
        ("notes.txt", b"words", "holds no pictures"),
        ("a.jpg", b"words", "cannot be read"),
        ("a.parquet", b"words", "no Parquet file"),
    ],
)
def test_what_cannot_be_avoided_is_one_sentence(tmp_path: Path, file: str, data: bytes, said: str) -> None:
    if file:
        (tmp_path / "benchmark").mkdir()
        (tmp_path / "benchmark" / file).write_bytes(data)
    with pytest.raises(UsageError, match=said):
        Avoided.take([tmp_path / "benchmark"])
