"""Stamps become cut-outs that the pipeline can use: cropped, scaled, named in both languages, with their licence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from PIL import Image

from step1x_edit.data.licences import Credits
from step1x_edit.data.materials import read_subjects
from step1x_edit.data.split import Split
from step1x_edit.data.vocabulary import KINDS
from step1x_edit.tables import read_csv

ROOT = Path(__file__).parents[2]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "runs/stamps.py", *words], capture_output=True, text=True, check=False)


def test_stamps_become_named_cutouts(tmp_path: Path) -> None:
    stamps, out = tmp_path / "stamps", tmp_path / "out"
    (stamps / "animals/birds").mkdir(parents=True)
    picture = Image.new("RGBA", (500, 300), (0, 0, 0, 0))
    picture.paste((200, 30, 30, 255), (100, 50, 400, 150))
    picture.save(stamps / "animals/birds/Red_owl.png")
    names = tmp_path / "names.csv"
    names.write_text("file,en,zh,kind\nanimals/birds/Red_owl,owl,猫头鹰,animal\n", encoding="utf-8")
    assert run(stamps, out, "--names", names).stdout == f"1 cut-outs in {out}\n"
    ((subject,), _) = read_subjects([out], Split(), "train")
    assert (subject.name, subject.en, subject.zh, subject.kind, subject.colour) == ("stamp-birds-red-owl", "owl", "猫头鹰", "animal", "red")
    assert subject.pixels.shape == (64, 192, 4)
    assert Credits([out]).find(out / "stamp-birds-red-owl.png").licence == "GPL-2.0"

    names.write_text("file,en,zh,kind\nanimals/birds/Red_owl,owl,猫头鹰,animal\nanimals/ox,ox,牛,animal\n", encoding="utf-8")
    refused = run(stamps, out, "--names", names)
    assert refused.returncode == 1
    assert "lacks 1 of 2 stamps, animals/ox.png for one" in refused.stderr
    assert len(json.loads((out / "names.json").read_text(encoding="utf-8"))) == 1


def test_the_table_names_each_stamp_once_and_fully() -> None:
    rows = list(read_csv(ROOT / "recipes/stamps.csv"))
    assert len({row["file"] for row in rows}) == len(rows) > 300
    assert all(row["en"] and row["zh"] and row["kind"] in KINDS for row in rows)
