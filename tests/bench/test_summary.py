"""What `step1x bench score` and `compare` compute from tables, through the command."""

from __future__ import annotations

import json
import shlex
import shutil
from html import escape
from pathlib import Path

import pytest

from step1x_edit.bench.score_tables import write_tables
from step1x_edit.bench.scores import CaseScore
from step1x_edit.bench.summary import compare_systems, read_scores
from step1x_edit.cli.main import run
from step1x_edit.errors import UsageError


def scores(value: float, missing: int = 0) -> list[CaseScore]:
    cases = [
        CaseScore(task, language, f"k{i}", min(10, value + i), min(10, value + i), intersection=i % 2 == 0)
        for task in ("ps_human", "text_change")
        for language in ("en", "cn")
        for i in range(6)
    ]
    return [CaseScore(c.task, c.language, c.key, None, c.pq, reason="refused") if i < missing else c for i, c in enumerate(cases)]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    write_tables(tmp_path / "one" / "scores" / "judge-a", "one", scores(2.0, missing=1))
    write_tables(tmp_path / "two" / "scores" / "judge-a", "two", scores(3.0))
    write_tables(tmp_path / "two" / "scores" / "judge-b", "two", scores(4.0))
    return tmp_path


def test_the_command_prints_published_averages_as_json(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "score", str(tables), "--by", "judge-a", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["systems"]
    english = found["two"]["views"]["en/full"]
    assert english["o"] == pytest.approx(5.5)
    assert english["interval"]["o"][0] < 5.5 < english["interval"]["o"][1]
    assert (english["cases"], len(english["absent_tasks"])) == (12, 9)
    assert found["one"]["views"]["en/full"]["missing"] == 1
    assert found["one"]["views"]["en/full"]["tasks"]["ps_human"]["o"] == pytest.approx((3 + 4 + 5 + 6 + 7) / 5)
    assert found["one"]["missing"] == {"no score in the table": 1}
    assert not found["two"]["whole_benchmark"]


def test_the_command_prints_tables_with_the_papers_beside(
    tables: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["bench", "score", str(tables)]) == 0
    text = capsys.readouterr().out
    assert "two (judge-b)" in text
    assert "2 of 11" in text
    assert "7.494" in text


@pytest.mark.parametrize("verb", ["score", "compare"])
def test_names_of_systems_are_whole_in_a_narrow_terminal(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("leave-as-is", "another-system-with-a-long-name"):
        write_tables(tmp_path / name / "scores" / "judge", name, scores(2.0))
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["bench", verb, str(tmp_path)]) == 0
    text = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in text.splitlines() if line.startswith("│")]
    assert any("another-system-with-a-long-name" in "".join(cells) for cells in zip(*rows, strict=True))


def test_pairs_are_compared_on_what_both_have(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "compare", str(tables), "--by", "judge-a", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["first"], row["second"], row["difference"]) == ("one", "two", pytest.approx(-1.0))
    assert (row["wins"], row["ties"], row["losses"]) == (0, 0, 23)
    assert row["p"] < 0.01
    common = compare_systems(read_scores([tables], "judge-a"), subset="intersection")
    assert common[0]["losses"] == 23


def test_figures_of_different_judges_are_not_compared(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for system, judge in (("one", "judge-a"), ("two", "judge-b")):
        (tables / system / "scores" / judge / "judge.json").write_text(json.dumps({"judge": judge}))
    shutil.rmtree(tables / "two" / "scores" / "judge-a")
    assert [*read_scores([tables])] == ["one (judge-a)", "two (judge-b)"]
    assert run(["bench", "compare", str(tables)]) == 2
    assert "No two systems were judged by one judge: one (judge-a), two (judge-b)" in capsys.readouterr().err
    assert run(["bench", "report", str(tables), "--out", str(tables / "report.html")]) == 0
    assert "No two systems were judged by one judge" in (tables / "report.html").read_text()
    write_tables(tables / "three" / "scores" / "judge-b", "three", scores(5.0))
    (tables / "three" / "scores" / "judge-b" / "judge.json").write_text(json.dumps({"judge": "judge-b"}))
    (row,) = compare_systems(read_scores([tables]))
    assert (row["first"], row["second"]) == ("three (judge-b)", "two (judge-b)")


def test_a_report_says_its_own_command_whole(tables: Path) -> None:
    command = ["bench", "report", str(tables), "--out", str(tables / "report.html"), "--by", "judge-a", "--title", "Our own"]
    assert run(command) == 0
    assert escape(shlex.join(["step1x", *command])) in (tables / "report.html").read_text()


def test_different_rubrics_are_not_compared(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def note(system: str, judge: str, digest: str) -> None:
        place = tables / system / "scores" / judge / "judge.json"
        place.write_text(json.dumps({"rubric": "rubric", "rubric_digest": digest}))

    note("one", "judge-a", "1")
    note("two", "judge-b", "2")
    assert len(read_scores([tables])) == 3
    note("two", "judge-a", "2")
    assert run(["bench", "compare", str(tables), "--by", "judge-a"]) == 2
    assert "rubric (1)" in capsys.readouterr().err


def test_what_cannot_be_scored_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "score", str(tmp_path)]) == 2
    assert "no score tables" in capsys.readouterr().err
    write_tables(tmp_path, "one", scores(2.0))
    assert run(["bench", "compare", str(tmp_path)]) == 2
    assert "at least two systems" in capsys.readouterr().err
    write_tables(tmp_path / "copy" / tmp_path.name, "one", scores(2.0))
    with pytest.raises(UsageError, match="Two folders"):
        read_scores([tmp_path])
