"""Batch files of `step1x edit`, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from step1x_edit.cli.batch import number_names, read_batch
from step1x_edit.cli.main import run
from step1x_edit.errors import UsageError


@pytest.fixture
def batch(tmp_path: Path, scene: Image.Image) -> Path:
    """Two pictures, one with an instruction and one with two turns."""
    scene.save(tmp_path / "one.png")
    scene.save(tmp_path / "two.png")
    (tmp_path / "batch.json").write_text(json.dumps({"one.png": "make it night", "two.png": ["make it night", "add rain"]}))
    return tmp_path / "batch.json"


def test_numbered_names() -> None:
    assert [str(path) for path in number_names(Path("a/b.jpg"), 3)] == ["a/b.jpg", "a/b-2.jpg", "a/b-3.jpg"]


def test_results_that_are_there_are_kept_and_those_that_are_not_are_made(
    batch: Path, random_mini: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = batch.with_name("out")
    asked = ["edit", str(batch), "-o", str(out), "--weights", str(random_mini)]
    assert run(asked) == 0
    assert capsys.readouterr().out.split() == [str(out / "one.png"), str(out / "two.png")]
    first = (out / "one.png").read_bytes()
    assert run([*asked, "--count", "3"]) == 0
    assert capsys.readouterr().out.split() == [str(out / "one-2.png"), str(out / "one-3.png")]
    (out / "one.png").unlink()
    assert run([*asked, "--count", "3"]) == 0
    assert (out / "one.png").read_bytes() == first


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a.png": "x", "a.jpg": "y"}', "would both be written to"),
        ('{"a.png": "x", "a-2.png": "y"}', r"a\.png and a-2\.png would both be written to"),
        ('{"a.png": "x", "a.png": "y"}', "is named twice"),
        ('{"../a.png": "x"}', "leads out of the folder"),
        ('{"a.png": []}', "has no instruction"),
        ('["a.png"]', "must be an object"),
        ("{", "is not JSON"),
    ],
)
def test_batch_files_that_cannot_be(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "batch.json").write_text(content)
    with pytest.raises(UsageError, match=sentence):
        read_batch(tmp_path / "batch.json", None, tmp_path / "out", count=2)
