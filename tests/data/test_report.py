"""Reports say what became of every candidate, and pages show it without loading anything."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from step1x_edit.data.building import read_set
from step1x_edit.data.report import describe_report, describe_set, inspect_set, report_survival, write_report, write_view
from step1x_edit.data.shards import Record, encode_picture, read_records, to_tar, write_tar
from step1x_edit.errors import UsageError


def test_survival_falls_from_drawn_to_kept(built: Path) -> None:
    report = report_survival(built)
    facts = read_set(built)
    assert report["categories"] == facts["categories"]
    for slot, row in report["survival"].items():
        columns = list(row)
        left = [row[column] for column in columns[:-2]]
        assert left == sorted(left, reverse=True)
        assert row["drawn"] == facts["drawn"][slot]
        assert left[-1] - row["spare"] == row["kept"]
    assert sum(row["kept"] for row in report["survival"].values()) == facts["count"]
    text = describe_report(report)
    assert "Candidates left after each stage" in text
    assert "draw: what was drawn allows no edit" in text
    assert "18 photographs were taken" in text


def test_inspection_counts_and_notices_what_is_missing(built: Path, tmp_path: Path) -> None:
    facts = inspect_set(built)
    assert sum(facts["categories"].values()) == facts["count"] == 22
    assert "22 triplets in 3 shards" in describe_set(facts)
    copy = tmp_path / "set"
    copy.mkdir()
    (copy / "set.json").write_bytes((built / "set.json").read_bytes())
    with pytest.raises(UsageError, match="missing or not whole"):
        inspect_set(copy)


def test_the_view_shows_both_instructions_and_loads_nothing(built: Path, tmp_path: Path) -> None:
    page = tmp_path / "view.html"
    shown = write_view(built, page, each=50, categories=())
    html = page.read_text(encoding="utf-8")
    assert shown == html.count("<article") >= 22
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
    assert "http" not in re.sub(r"<pre>.*?</pre>", "", html)
    assert html.count('data-state="kept"') == 22
    for record, _ in read_records(built):
        assert record.id in html
        assert f'<p lang="zh">{record.instruction_zh}</p>' in html


def test_the_view_can_be_narrowed(built: Path, tmp_path: Path) -> None:
    write_view(built, tmp_path / "view.html", each=1, categories=["tone_transfer"])
    html = (tmp_path / "view.html").read_text(encoding="utf-8")
    assert html.count('data-state="kept"') == 1
    assert 'data-category="style_change"' not in html
    with pytest.raises(UsageError, match="no triplets of the category"):
        write_view(built, tmp_path / "view.html", each=1, categories=["nothing"])


def test_the_report_page_shows_rejected_ones_with_their_reason(built: Path, tmp_path: Path) -> None:
    write_report(built, tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'data-state="rejected"' in html
    assert "change: the change can hardly be seen" in html
    assert "<caption>Candidates left after each stage</caption>" in html


def test_a_page_reads_no_more_of_a_set_than_it_shows(tmp_path: Path) -> None:
    picture = encode_picture(np.full((8, 8, 3), 90, np.uint8), "png")
    record = Record("tone_transfer-0000000", "tone_transfer", "make it night", "变成夜晚", "", "", "tone night")
    whole = to_tar(record.id, {"source.png": picture, "target.png": picture, "json": record.to_json()})
    for name, stretches in {"a": [whole], "b": [b"damaged" * 1000]}.items():
        write_tar(tmp_path / "shards" / f"{name}.tar", stretches)
    shards = [{"file": path.name, "bytes": path.stat().st_size} for path in sorted((tmp_path / "shards").iterdir())]
    facts = {"count": 2, "categories": {"tone_transfer": 2}, "shards": shards}
    (tmp_path / "set.json").write_text(json.dumps(facts))
    assert write_view(tmp_path, tmp_path / "view.html", 1, ()) == 1
    with pytest.raises(UsageError, match=r"b\.tar cannot be read"):
        write_view(tmp_path, tmp_path / "view.html", 2, ())


def test_a_page_of_many_triplets_takes_little_memory(tmp_path: Path) -> None:
    picture = encode_picture(np.full((512, 512, 3), 90, np.uint8), "jpg")
    files = {"source.jpg": picture, "target.jpg": picture}
    records = [Record(f"tone_transfer-{i:07d}", "tone_transfer", "make it night", "变成夜晚", "", "", "tone night") for i in range(200)]
    length, _ = write_tar(tmp_path / "shards" / "a.tar", (to_tar(record.id, {**files, "json": record.to_json()}) for record in records))
    facts = {"count": 200, "categories": {"tone_transfer": 200}, "shards": [{"file": "a.tar", "bytes": length}]}
    (tmp_path / "set.json").write_text(json.dumps(facts))
    tracemalloc.start()
    assert write_view(tmp_path, tmp_path / "view.html", 200, ()) == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 512 * 512  # where all stay decoded, it is six times as much
