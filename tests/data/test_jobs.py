"""What workers read of a build under way does not grow with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from step1x_edit.data.avoidance import Avoided
from step1x_edit.data.inventory import Inventory
from step1x_edit.data.jobs import INPUTS, Job
from step1x_edit.data.licences import Credits
from step1x_edit.data.pipeline import survey
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.storage import read_lines

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("count", [1, 10, 27])
def test_a_shard_reads_its_own_picks_alone(recipe: DataRecipe, tmp_path: Path, count: int) -> None:
    job = Job(tmp_path, recipe)
    picks = [(f"subject-add-{i:07d}", f"round-0/{i:05d}.tar", 10**i, i) for i in range(count)]
    shards = job.write_picks(picks)
    assert shards == -(-count // recipe.shard)
    assert [pick for shard in range(shards) for pick in job.read_picks(shard)] == picks
    lengths = {len(line) for line in (tmp_path / "work" / "picks.jsonl").read_bytes().splitlines()}
    assert len(lengths) == 1


def test_tables_and_lists_are_read_once_however_many_photographs_there_are(
    recipe: DataRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(INPUTS + 2):
        shutil.copy(ROOT / "examples" / "photos" / "chelsea.jpg", photos / f"{i:03d}.jpg")
    (photos / "ATTRIBUTION.csv").write_text("file,licence\n" + "".join(f"{i:03d}.jpg,licence {i}\n" for i in range(INPUTS + 2)))
    job = Job(tmp_path / "set", recipe.model_copy(update={"photos": [photos], "categories": {}}))
    Inventory.take(job.recipe, job.out).write(job.inventory)
    Avoided().write(job.avoided)
    read: list[object] = []
    begin = Credits.__init__
    monkeypatch.setattr(Credits, "__init__", lambda self, folders: (read.append(folders), begin(self, folders))[1])
    for rank in range(2):
        (step,) = survey(job)
        list(step.run(None, rank, 2) or ())
    rows = [row for rank in range(2) for row in read_lines(job.work / "photographs" / f"{rank:05d}.jsonl")]
    assert [row["credit"]["licence"] for row in rows] == [f"licence {i}" for i in range(INPUTS + 2)]
    assert len(read) == 1
