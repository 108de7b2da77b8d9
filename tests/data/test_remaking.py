"""Any triplet comes again from its id, to the last bit."""

from __future__ import annotations

import shutil
from itertools import islice
from pathlib import Path

import pytest

from step1x_edit.data.remaking import remake, write_files
from step1x_edit.data.shards import read_records
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot, name_candidate, parse_id
from step1x_edit.data.storage import read_lines
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory


def test_kept_triplets_are_the_same_again(built: Path, tmp_path: Path) -> None:
    one_of_each = {parse_id(record.id)[0]: (record.id, files) for record, files in read_records(built)}
    assert {slot.category for slot in one_of_each} == set(EditCategory)
    assert sum(slot.route == PHOTOGRAPH for slot in one_of_each) >= 4
    for name, files in one_of_each.values():
        made = remake(built, name)
        assert made.known
        assert made.differing == ()
        assert made.versions == ()
        assert made.files == files
        assert {path.name for path in write_files(made, tmp_path)} == {f"{name}.{ending}" for ending in files}


def test_rejected_ones_come_with_their_reason(built: Path) -> None:
    for row in islice(read_lines(built / "rejected.jsonl"), 6):
        made = remake(built, row["id"])
        assert not made.known
        assert made.rejection == f"{row['stage']}: {row['reason']}"
    assert remake(built, name_candidate(Slot(EditCategory.STYLE_TRANSFER, COMPOSED), 99_999)).rejection.startswith("it was not needed")


def test_other_versions_are_told(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(record.id for record, _ in read_records(built))
    versions = {"step1x-edit": "9", "numpy": "2"}
    for module in ("candidates", "remaking"):
        monkeypatch.setattr(f"step1x_edit.data.{module}.list_versions", lambda: versions)
    made = remake(built, name)
    assert ("numpy", "2") in [(tool, now) for tool, _, now in made.versions]
    assert made.differing == ("json",)


def test_a_changed_photograph_is_noticed(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "set"
    shutil.copytree(built, copy)
    lines = (copy / "photographs.jsonl").read_text().splitlines()
    (copy / "photographs.jsonl").write_text("\n".join(line.replace('"sha256": "', '"sha256": "0') for line in lines))
    with pytest.raises(UsageError, match="has changed"):
        remake(copy, next(record.id for record, _ in read_records(copy)))


def test_a_set_that_is_not_finished_is_one_sentence(built: Path, tmp_path: Path) -> None:
    shutil.copy(built / "recipe.json", tmp_path)
    with pytest.raises(UsageError, match="holds no finished set; run its build command again"):
        remake(tmp_path, next(record.id for record, _ in read_records(built)))


@pytest.mark.parametrize("route", [COMPOSED, PHOTOGRAPH])
@pytest.mark.parametrize("category", list(EditCategory))
def test_ids_are_read_back(category: EditCategory, route: str) -> None:
    slot = Slot(category, route)
    assert parse_id(name_candidate(slot, 12)) == (slot, 12)


@pytest.mark.parametrize("name", ["", "style_change", "style_change-12", "no_such-0000001", "../style_change-0000001"])
def test_what_is_no_id_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the id"):
        parse_id(name)
