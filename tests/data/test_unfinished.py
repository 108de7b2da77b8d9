"""What a kill leaves of an export or an import is nothing to any reader, and makes room for the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from step1x_edit.data.formats import EXPORTS, import_set, open_foreign
from step1x_edit.data.shards import read_records
from step1x_edit.data.unfinished import check_free
from step1x_edit.errors import UsageError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}

KILLED = """
import os, signal, sys
from pathlib import Path
from step1x_edit.data import formats
name, left = sys.argv[3], [int(sys.argv[4])]
class Killing:
    def __init__(self, write): self.write = write
    def __call__(self, *arguments):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return self.write(*arguments)
formats._ROWS = 2
for each in ("write_bytes", "replace_file"):
    setattr(formats, each, Killing(getattr(formats, each)))
formats.EXPORTS[name](Path(sys.argv[1]), Path(sys.argv[2]))
"""


KILLED_AT_THE_END = """
import os, signal, sys
from pathlib import Path
from step1x_edit.data import formats
set_, out, name, left = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], [int(sys.argv[4])]
replace = os.replace
def kill_before(source, target):
    if Path(target).parent == out:
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
    replace(source, target)
os.replace = kill_before
formats.EXPORTS[name](set_, out) if name in formats.EXPORTS else formats.import_set(formats.open_foreign(set_, None), out)
"""


@pytest.mark.parametrize(("name", "moved"), [("folder", 1), ("folder", 3), ("finetune", 2), ("finetune", 3), ("parquet", 0)])
def test_an_export_that_was_killed_while_its_files_took_their_places_is_begun_again(
    bare: Path, tmp_path: Path, name: str, moved: int
) -> None:
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_THE_END, str(bare), str(out), name, str(moved)], env=ENVIRONMENT, check=False)
    assert killed.returncode == -9
    assert len([*out.iterdir()]) == moved + 1
    check_free(out)
    assert EXPORTS[name](bare, out) == 6
    assert import_set(open_foreign(out, None), tmp_path / "back")["count"] == 6


@pytest.mark.parametrize("moved", [0, 1])
def test_an_import_that_was_killed_before_its_shards_took_their_place_is_begun_again(bare: Path, tmp_path: Path, moved: int) -> None:
    EXPORTS["folder"](bare, tmp_path / "plain")
    arguments = [str(tmp_path / "plain"), str(tmp_path / "out"), "import", str(moved)]
    killed = subprocess.run([sys.executable, "-c", KILLED_AT_THE_END, *arguments], env=ENVIRONMENT, check=False)
    assert killed.returncode == -9
    assert len([*(tmp_path / "out").iterdir()]) == 2  # its shards, and what is to be or is its set.json
    assert import_set(open_foreign(tmp_path / "plain", None), tmp_path / "out")["count"] == 6
    assert len(list(read_records(tmp_path / "out"))) == 6


def test_what_lies_beside_another_work_is_not_taken_away(tmp_path: Path) -> None:
    for file in ("work/triplets-00000.tar", "set.json", "notes.txt"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        check_free(tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


def test_what_was_put_beside_a_killed_export_is_not_taken_away(bare: Path, tmp_path: Path) -> None:
    """The folder looks empty, since what is unfinished is hidden."""
    out = tmp_path / "out"
    subprocess.run([sys.executable, "-c", KILLED, str(bare), str(out), "folder", "2"], env=ENVIRONMENT, check=False)
    (out / "data").mkdir()
    (out / "data" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="is not empty"):
        check_free(out)
    assert [path.name for path in out.rglob("*")] == ["data", "mine.txt"]


@pytest.mark.parametrize("name", list(EXPORTS))
def test_an_export_that_was_killed_is_nothing_to_any_reader_and_is_begun_again(bare: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(bare), str(out), name, "2"], env=ENVIRONMENT, check=False)
    assert killed.returncode == -9
    assert [path.name for path in out.iterdir()] == [".unfinished"]
    assert [path for path in out.rglob("*") if path.is_file()]
    with pytest.raises(UsageError, match="is none of"):
        open_foreign(out, None)
    check_free(out)
    assert EXPORTS[name](bare, out) == 6
    assert not (out / ".unfinished").exists()
    facts = import_set(open_foreign(out, None), tmp_path / "back")
    assert facts["count"] == 6
