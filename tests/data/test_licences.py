"""Licences are found where people write them down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from step1x_edit.data.licences import Credit, Credits
from step1x_edit.data.materials import is_mask
from step1x_edit.errors import UsageError

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_rows_of_csv_and_markdown_and_names(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "ATTRIBUTION.csv").write_text("file,licence,attribution,source\nsub/a.jpg,CC0-1.0,Ann,https://x\n", encoding="utf-8")
    (tmp_path / "SOURCES.md").write_text(
        "# Pictures\n\n| file | origin and licence | size |\n|---|---|---|\n| b.jpg | somewhere (CC0) | 1x1 |\n\nText.\n\n"
        "| folder | photographs | licence |\n|---|---:|---|\n| sub/ | 2 | CC-BY-4.0 |\n",
        encoding="utf-8",
    )
    (tmp_path / "names.json").write_text(json.dumps({"d": {"en": "dog", "licence": "CC-BY-2.0", "source": "https://y"}, "e": {}}))
    found = Credits([tmp_path])
    assert found.find(tmp_path / "sub" / "a.jpg") == Credit("CC0-1.0", "Ann", "https://x")
    assert found.find(tmp_path / "b.jpg") == Credit("somewhere (CC0)", "", "somewhere (CC0)")
    assert found.find(tmp_path / "sub" / "c.jpg").licence == "CC-BY-4.0"
    assert found.find(tmp_path / "d.png") == Credit("CC-BY-2.0", "", "https://y")
    assert found.find(tmp_path / "e.png") == Credit("", "", "see SOURCES.md")
    assert found.find(Path("/elsewhere/b.jpg")) == Credit()


def test_every_example_cutout_and_marked_photograph_has_its_licence() -> None:
    for folder in ("cutouts", "marked"):
        found = Credits([EXAMPLES / folder])
        pictures = [path for path in (EXAMPLES / folder).iterdir() if path.suffix in (".png", ".jpg") and not is_mask(path)]
        credits = [found.find(path) for path in pictures]
        assert credits
        assert all(credit.licence and credit.attribution and credit.source for credit in credits)


def test_every_example_photograph_has_its_licence() -> None:
    found = Credits([EXAMPLES / "photos"])
    photographs = list((EXAMPLES / "photos").glob("*.jpg"))
    assert photographs
    for path in photographs:
        credit = found.find(path)
        assert credit.licence in ("CC0-1.0", "CC-BY-4.0", "public domain")
        assert credit.attribution


def test_headings_of_any_case_and_short_rows_are_read_and_stray_commas_explained(tmp_path: Path) -> None:
    table = tmp_path / "ATTRIBUTION.csv"
    table.write_text("Licence, File\nCC0,a.jpg\nCC0\n", encoding="utf-8")
    assert Credits([tmp_path]).find(tmp_path / "a.jpg") == Credit("CC0")
    table.write_text("file,author,source\na.jpg,Rachel, Inc,https://x\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"ATTRIBUTION\.csv has more cells in line 2 than columns"):
        Credits([tmp_path])


@pytest.mark.parametrize("column", ["filename", "File_Name", "file name", "image"])
def test_the_column_that_names_files_may_be_called_otherwise(tmp_path: Path, column: str) -> None:
    (tmp_path / "ATTRIBUTION.csv").write_text(f"author,{column},licence\nAnn,a.jpg,CC0\n", encoding="utf-8")
    assert Credits([tmp_path]).find(tmp_path / "a.jpg") == Credit("CC0", "Ann")


def test_a_csv_that_names_no_files_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "ATTRIBUTION.csv").write_text("photo,licence\na.jpg,CC0\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"ATTRIBUTION\.csv has no column that names files; call one of them file, .* or image"):
        Credits([tmp_path])


def test_tables_that_lead_out_of_their_folder_are_left_aside(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ATTRIBUTION.csv").write_text("file,licence\n../out.jpg,CC0\n/etc/x.jpg,CC0\n", encoding="utf-8")
    assert Credits([tmp_path / "in"]).find(tmp_path / "out.jpg") == Credit()
