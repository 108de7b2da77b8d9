"""Reading cases from every place that they may lie in, and the folders of results."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from step1x_edit.bench.gedit import (
    describe_cases,
    find_picture,
    find_systems,
    name_row,
    place_result,
    place_source,
    read_cases,
    select_cases,
)
from step1x_edit.errors import Step1XError, UsageError


def png(colour: str, size: tuple[int, int] = (8, 6)) -> bytes:
    data = BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


def rows() -> list[dict[str, object]]:
    return [
        {"task_type": task, "key": key, "instruction": text, "instruction_language": language, "Intersection_exist": key == "k1"}
        for task in ("subject-add", "ps_human")
        for key in ("k1", "k2")
        for language, text in (("en", "add a hat"), ("cn", "加一顶帽子"))
    ]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Parquet as the hub has it: pictures as structs of bytes and path, several row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    small, large = ({"bytes": data, "path": None} for data in (png("red"), png("blue", (16, 12))))
    table = [{**row, "input_image": small, "input_image_raw": large} for row in rows()]
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(table), path, row_group_size=3)
    return path


def test_parquet_files_and_folders_of_them(dataset: Path) -> None:
    for place in (dataset, dataset.parent, dataset.parents[1]):
        cases = read_cases(str(place))
        assert [case.name for case in cases[:3]] == [("ps_human", "cn", "k1"), ("ps_human", "en", "k1"), ("ps_human", "cn", "k2")]
        assert len(cases) == 8
        last = cases[-1]
        assert (last.instruction, last.intersection) == ("add a hat", False)
        assert Image.open(BytesIO(last.source.read())).size == (16, 12)
        assert Image.open(BytesIO(last.shown.read())).size == (8, 6)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_folder_of_pictures(tmp_path: Path, form: str) -> None:
    import csv

    (tmp_path / "a.png").write_bytes(png("red"))
    table = [{**row, "input_image": "a.png"} for row in rows()]
    path = tmp_path / f"cases.{form}"
    if form == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in table), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    cases = read_cases(str(tmp_path))
    assert len(cases) == 8
    assert cases[0].instruction == "加一顶帽子"
    assert cases[0].source.read() == png("red")
    assert [case.intersection for case in cases[:4]] == [True, True, False, False]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"task_type": "dance"}, "dance"),
        ({"instruction_language": "fr"}, "fr"),
        ({"key": "../../etc/passwd"}, "passwd"),
        ({"key": ""}, "key"),
        ({"instruction": None}, "instruction"),
        ({"input_image": ""}, "input_image"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, change: dict[str, object], word: str) -> None:
    row = {**rows()[0], "input_image": "a.png", **change}
    (tmp_path / "cases.jsonl").write_text(json.dumps(row))
    with pytest.raises(UsageError, match=word):
        read_cases(str(tmp_path))


def test_places_that_hold_no_cases(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    for place in ("broken.parquet", "notes.txt", "empty", "nowhere"):
        with pytest.raises(UsageError):
            read_cases(str(tmp_path / place))
    row = {**rows()[0], "input_image": "a.png"}
    (tmp_path / "twice.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row))
    with pytest.raises(UsageError, match="twice"):
        read_cases(str(tmp_path / "twice.jsonl"))


def test_choosing_cases(dataset: Path, tmp_path: Path) -> None:
    cases = read_cases(str(dataset))
    assert len(select_cases(cases, languages=["en"])) == 4
    assert {case.key for case in select_cases(cases, tasks=["ps_human"], per_task=1)} == {"k1"}
    assert len(select_cases(cases, per_task=1)) == 4
    with pytest.raises(UsageError, match="dance"):
        select_cases(cases, tasks=["dance"])
    described = describe_cases(cases)
    assert list(map(name_row, described.values())) == list(described)
    assert set(described) == {case.name for case in cases}


def test_results_of_any_tool_are_found(tmp_path: Path) -> None:
    name = ("subject-add", "en", "k1")
    for system, ending in (("one", ".png"), ("two", ".webp")):
        path = place_result(tmp_path / system, name).with_suffix(ending)
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(path)
        Image.new("RGB", (4, 4)).save(place_source(tmp_path / system, name))
    systems = find_systems([tmp_path])
    assert list(systems) == ["one", "two"]
    assert find_picture(place_result(systems["two"], name)).suffix == ".webp"
    assert place_source(Path("m"), name) == Path("m/fullset/subject-add/en/k1_SRCIMG.png")
    for bad in (tmp_path / "one" / "fullset", tmp_path / "none"):
        with pytest.raises(UsageError):
            find_systems([bad])


@pytest.mark.usefixtures("breaking_hub")
def test_a_connection_that_breaks_is_one_sentence() -> None:
    with pytest.raises(
        Step1XError, match=r"someone/set could not be fetched from the hub \(peer closed connection .*\); give a local copy"
    ):
        read_cases("hf:someone/set")
