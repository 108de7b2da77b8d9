"""`step1x data` from the command line: build, mark, inspect, report, view, remake, export, import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from step1x_edit.cli.main import run
from step1x_edit.data.formats import EXPORTS
from step1x_edit.data.shards import TEXTS

ROOT = Path(__file__).parents[2]
RECIPE = """
count = 22
size = 96
photos = ["nowhere"]
cutouts = ["nowhere"]
[limits]
off = ["text"]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 11, built by the command with options over the recipe."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "recipe.toml").write_text(RECIPE)
    command = ["data", "build", str(folder / "recipe.toml"), "--out", str(folder / "set"), "--count", "11", "--seed", "3"]
    pictures = ["--photos", str(ROOT / "examples" / "photos"), "--cutouts", str(ROOT / "examples" / "cutouts")]
    assert run([*command, *pictures, "--workers", "1"]) == 0
    return folder


def test_mark_says_how_many_photographs_have_a_mask_and_why_others_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("ball", "img-7"):
        picture = Image.new("RGB", (120, 120), "white")
        picture.paste("red", (40, 40, 80, 80))
        picture.save(tmp_path / "photos" / f"{name}.png")
    assert run(["data", "mark", str(tmp_path / "photos"), "--sheets", str(tmp_path / "photos" / "sheets")]) == 2
    assert "would lie among the photographs" in capsys.readouterr().err
    assert run(["data", "mark", str(tmp_path / "photos"), "--sheets", str(tmp_path / "sheets")]) == 0
    said = capsys.readouterr().out
    assert "1 of 2 photographs that were not looked at before have a mask now; look at" in said
    assert "Left out: 1: nothing says what it is." in said
    assert str(tmp_path / "sheets" / "marked-001.jpg") in said
    assert run(["data", "mark", str(tmp_path / "photos")]) == 0
    said = capsys.readouterr().out
    assert "0 of 0 photographs that were not looked at before have a mask now." in said and "--again looks once more" in said
    assert run(["data", "mark", str(tmp_path / "photos"), "--again", "--json", "--workers", "2"]) == 0
    (left,) = json.loads(capsys.readouterr().out)["photographs"]
    assert left["reason"] == "nothing says what it is"
    assert run(["data", "mark", str(tmp_path / "photos"), "--matting", "scissors"]) == 2
    assert "There is no matting 'scissors'" in capsys.readouterr().err


def test_inspect_maps_each_category_to_its_count(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "inspect", str(small / "set"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sum(facts["categories"].values()) == facts["count"] == 11
    assert run(["data", "inspect", str(small / "set")]) == 0
    assert "11 triplets in 1 shards" in capsys.readouterr().out


def test_report_prints_survival_and_writes_its_page(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "report.html"
    assert run(["data", "report", str(small / "set"), "--page", str(page)]) == 0
    assert "Candidates left after each stage" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert run(["data", "report", str(small / "set"), "--page", str(page), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sum(facts["categories"].values()) == 11
    assert sum(row["kept"] for row in facts["survival"].values()) == 11


def test_view_writes_a_page(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--page", str(tmp_path / "view.html"), "--sheets", str(tmp_path / "sheets")]
    assert run(["data", "view", str(small / "set"), "--no-open", *places]) == 0
    said = capsys.readouterr().out
    assert "view.html" in said
    assert (tmp_path / "view.html").exists()
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert [str(path) for path in sheets] == said.splitlines()[1:]
    with Image.open(sheets[0]) as sheet:
        assert sheet.width > sheet.height


def test_remake_compares_to_the_last_bit(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "remake", "tone_transfer-0000000", "--set", str(small / "set"), "--out", str(tmp_path)]) == 0
    assert "to the last bit" in capsys.readouterr().out
    assert (tmp_path / "tone_transfer-0000000.source.jpg").exists()
    assert run(["data", "remake", "nothing", "--set", str(small / "set")]) == 2
    assert "not the id of a triplet" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["folder", "parquet", "finetune"])
def test_export_and_import(small: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "export", str(small / "set"), "--out", str(tmp_path / "out"), "--format", name]) == 0
    assert run(["data", "import", str(tmp_path / "out"), "--out", str(tmp_path / "set")]) == 0
    assert capsys.readouterr().out.count("11 triplets are in") == 2
    assert run(["data", "export", str(small / "set"), "--out", str(tmp_path / "out"), "--format", name]) == 2
    assert "not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["build", "RECIPE", "--out", "FILE"],
        ["build", "RECIPE", "--out", "FILE/set"],
        ["export", "SET", "--out", "FILE", "--format", "folder"],
        ["import", "SET", "--out", "FILE"],
        ["remake", "tone_transfer-0000000", "--set", "SET", "--out", "FILE"],
        ["view", "SET", "--no-open", "--page", "."],
        ["report", "SET", "--page", "."],
    ],
    ids=" ".join,
)
def test_files_in_place_of_folders_are_one_sentence(
    small: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    EXPORTS["folder"](small / "set", tmp_path / "plain")
    places = {"RECIPE": small / "recipe.toml", "SET": tmp_path / "plain" if command[0] == "import" else small / "set"}
    words = [str(places.get(word, word)).replace("FILE", str(tmp_path / "file")) for word in command]
    assert run(["data", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


def test_what_is_wrong_is_one_sentence(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "build", str(small / "recipe.toml"), "--out", str(tmp_path / "set")]) == 2
    message = capsys.readouterr().err
    assert "nowhere does not exist" in message
    assert message.count("\n") == 1
    assert run(["data", "inspect", str(tmp_path / "no-set")]) == 2
    assert "no finished set" in capsys.readouterr().err
    assert run(["data", "import", str(tmp_path), "--out", str(tmp_path / "x"), "--category", "no-such"]) == 2
    assert "no category" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["mark", "build"])
def test_ctrl_c_twice_ends_the_workers_and_is_one_sentence(verb: str, tmp_path: Path) -> None:
    """It reaches every process of the terminal; the second one comes while the first one's workers are being ended."""
    photos, made = tmp_path / "photos", {"mark": "marks.jsonl", "build": "round-0/*.jsonl"}[verb]
    photos.mkdir()
    cat = (ROOT / "examples" / "photos" / "chelsea.jpg").read_bytes()
    for number in range(100 if verb == "mark" else 1):
        (photos / f"cat-{number}.jpg").write_bytes(cat)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'count = 1000\nsize = 128\nphotos = ["{photos}"]\n[categories]\ntone_transfer = {{ share = 1 }}\n[executor]\nblock = 4\n'
    )
    words = {"mark": [photos], "build": [recipe, "--out", tmp_path / "set"]}[verb]
    command = [Path(sys.executable).with_name("step1x"), "data", verb, *words, "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, text=True) as process:
        deadline = time.monotonic() + 200
        while not list(tmp_path.rglob(made)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(2):
            with suppress(ProcessLookupError):  # it may be quick
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        try:
            _, said = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode in (130, -signal.SIGINT) and said == "step1x: Interrupted.\n"


def test_an_id_that_is_left_out_says_nothing_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**dict.fromkeys(TEXTS, "a"), "id": name, "category": "tone_transfer"} for name in ("x", "\x1b[2Jx\ny")]
    for which in ("source", "target"):
        (tmp_path / "plain" / which).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "plain" / which / "x.png")
    (tmp_path / "plain" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(["data", "import", str(tmp_path / "plain"), "--out", str(tmp_path / "set")]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].startswith(r"Left out: '\x1b[2Jx\ny': its id ")
    assert "\x1b" not in said
