"""A build keeps exactly what was asked for, and neither workers, blocks, other executors nor kills change a byte of it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from moving_scenes import draw_frames, write_clip
from PIL import Image

from step1x_edit.data.building import build, read_recipe_of, read_set
from step1x_edit.data.recipe import DataRecipe, Executor
from step1x_edit.data.shards import read_records
from step1x_edit.data.slots import PHOTOGRAPH, parse_id
from step1x_edit.data.storage import read_lines
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

Digest = Callable[[Path], dict[str, str]]
ROOT = Path(__file__).parents[2]


def test_the_set_holds_what_was_asked_for(recipe: DataRecipe, built: Path) -> None:
    facts = read_set(built)
    records = [record for record, _ in read_records(built)]
    assert facts["count"] == recipe.count == len(records)
    assert Counter(record.category for record in records) == facts["categories"]
    # nothing names what stands in these photographs, so that nothing of it can be asked for where it is not
    assert facts["composed_instead"] == {"subject-add": 1}
    routes = Counter(parse_id(record.id)[0] for record in records)
    photographed = {slot: count for slot, count in routes.items() if slot.route == PHOTOGRAPH}
    wanted = {slot: count for slot, count in recipe.slots().items() if slot.route == PHOTOGRAPH}
    assert photographed == {slot: count for slot, count in wanted.items() if slot.category != EditCategory.SUBJECT_ADDITION}
    assert facts["routes"] == {"composed": 22 - sum(photographed.values()), "photograph": sum(photographed.values())}
    assert facts["categories"] == {key.value: count for key, count in sorted(recipe.wanted().items())}
    assert len({record.id for record in records}) == len(records)
    assert [shard["triplets"] for shard in facts["shards"]] == [10, 10, 2]
    assert not list(built.rglob("*.partial"))
    assert not (built / "work").exists()


def test_provenance_is_exact(built: Path) -> None:
    photographs = {row["file"]: row for row in read_lines(built / "photographs.jsonl")}
    for record, _ in read_records(built):
        provenance = record.provenance
        assert provenance["seed"] == 5
        assert provenance["size"] == 96
        assert provenance["route"] == parse_id(record.id)[0].route
        assert (provenance["route"] == "photograph") == ("tools" in record.parameters)
        source = provenance["photograph"]
        assert source["sha256"] == photographs[source["file"]]["sha256"]
        assert source["licence"]
        assert provenance["versions"]["numpy"]
        assert all(cutout["licence"] == "Apache-2.0" for cutout in provenance["cutouts"])
        assert record.numbers["change"]["inside"] >= 12


def test_every_candidate_is_accounted_for(built: Path) -> None:
    facts = read_set(built)
    rejected = [*read_lines(built / "rejected.jsonl")]
    counted = Counter((parse_id(row["id"])[0].name, row["stage"], row["reason"]) for row in rejected)
    said = {
        (slot, stage, reason): count
        for slot, stages in facts["rejected"].items()
        for stage, reasons in stages.items()
        for reason, count in reasons.items()
    }
    assert counted == said
    assert all(row["reason"] for row in rejected)
    assert any(stage == "draw" and slot.endswith("-photograph") for slot, stage, _ in said)
    kept = Counter(parse_id(record.id)[0].name for record, _ in read_records(built))
    for slot, drawn in facts["drawn"].items():
        gone = sum(count for (name, _, _), count in said.items() if name == slot)
        assert drawn == kept[slot] + facts["spare"].get(slot, 0) + gone


def test_neither_workers_nor_blocks_change_the_set(recipe: DataRecipe, built: Path, tmp_path: Path, digest_folder: Digest) -> None:
    other = recipe.model_copy(update={"executor": Executor(workers=2, block=5)})
    build(other, tmp_path / "set")
    assert digest_folder(tmp_path / "set") == digest_folder(built)


def test_a_finished_set_is_left_as_it_is(recipe: DataRecipe, tmp_path: Path, digest_folder: Digest) -> None:
    small = recipe.model_copy(update={"count": 3})
    build(small, tmp_path / "set")
    before = digest_folder(tmp_path / "set")
    told: list[str] = []
    build(small, tmp_path / "set", lambda what, done, total: told.append(what))
    assert digest_folder(tmp_path / "set") == before
    assert told == []
    assert read_recipe_of(tmp_path / "set").count == 3


def test_the_seed_changes_the_set(recipe: DataRecipe, built: Path, tmp_path: Path) -> None:
    build(recipe.model_copy(update={"seed": 6, "count": 11}), tmp_path / "set")
    ours, theirs = ({record.instruction_en + record.edit for record, _ in read_records(place)} for place in (tmp_path / "set", built))
    assert len(ours & theirs) <= 2


BUILD = """
import sys, json
from pathlib import Path
from step1x_edit.data.building import build
from step1x_edit.data.recipe import check_recipe
if __name__ == "__main__":
    build(check_recipe(json.loads(sys.argv[1]), "test"), Path(sys.argv[2]))
"""


@pytest.mark.parametrize(("workers", "kills"), [(1, 3), (2, 2)])
def test_kills_at_random_moments_change_nothing(
    recipe: DataRecipe, built: Path, tmp_path: Path, digest_folder: Digest, workers: int, kills: int
) -> None:
    script = tmp_path / "run.py"
    script.write_text(BUILD)
    killed = recipe.model_copy(update={"executor": Executor(workers=workers, block=3)})
    command = [sys.executable, str(script), killed.model_dump_json(), str(tmp_path / "set")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    rng = random.Random(workers)
    for _ in range(kills):
        process = subprocess.Popen(command, env=environment)
        time.sleep(rng.uniform(0.7, 1.2 + workers))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert digest_folder(tmp_path / "set") == digest_folder(built)


def test_workers_end_with_the_process_that_started_them(recipe: DataRecipe, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(BUILD)
    large = recipe.model_copy(update={"count": 2000, "executor": Executor(workers=2, block=50)})
    process = subprocess.Popen(
        [sys.executable, str(script), large.model_dump_json(), str(tmp_path / "set")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list((tmp_path / "set").rglob("*.tar")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 200
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _alive(process.pid) == []


def _alive(session: int) -> list[int]:
    """Living processes of a session; field 6 of /proc/PID/stat."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def test_another_recipe_or_a_foreign_folder_is_refused(recipe: DataRecipe, built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"another recipe .*seed differs"):
        build(recipe.model_copy(update={"seed": 9}), built)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="not empty"):
        build(recipe, tmp_path)
    with pytest.raises(UsageError, match="no finished set"):
        read_set(tmp_path)
    with pytest.raises(UsageError, match=r"recipe\.json"):
        read_recipe_of(tmp_path)


@pytest.mark.parametrize("text", ['{"count": 5, "task": "edit"}', '{"recipe": {', "[]"])
def test_a_recipe_of_something_else_is_one_sentence(recipe: DataRecipe, tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    for call in (partial(build, recipe, tmp_path), partial(read_recipe_of, tmp_path)):
        with pytest.raises(UsageError, match=r"holds a recipe\.json of something else; choose another folder"):
            call()
    assert (tmp_path / "recipe.json").read_text() == text


@pytest.fixture
def toned(recipe: DataRecipe, tmp_path: Path) -> DataRecipe:
    """Six changes of tone, in blocks of two, of two photographs and a cut-out that may be written over."""
    for place, names in (("photos", ("coffee.jpg", "rocket.jpg")), ("cutouts", ("cat.png",))):
        (tmp_path / place).mkdir()
        for name in names:
            (tmp_path / place / name).write_bytes((ROOT / "examples" / place / name).read_bytes())
    folders = {place: [str(tmp_path / place)] for place in ("photos", "cutouts")}
    values = json.loads(recipe.model_dump_json()) | folders | {"count": 6, "categories": {"tone_transfer": {"share": 1}}}
    return DataRecipe.model_validate(values | {"from_photographs": 0, "executor": {"block": 2}})


class _StopError(Exception):
    pass


def _stop_after_a_block(what: str, done: int, total: int) -> None:
    if what.startswith("making") and done:
        raise _StopError


@pytest.mark.parametrize(
    ("file", "become"),
    [
        ("photos/new.jpg", "is new"),
        ("photos/rocket.mask.png", "is new"),
        ("photos/rocket.jpg", "has gone"),
        ("cutouts/cat.png", "has changed"),
    ],
)
def test_a_run_goes_on_with_the_same_pictures_alone(
    toned: DataRecipe, tmp_path: Path, digest_folder: Digest, file: str, become: str
) -> None:
    build(toned, tmp_path / "whole")
    with pytest.raises(_StopError):
        build(toned, tmp_path / "set", _stop_after_a_block)
    path = tmp_path / file
    before = path.read_bytes() if path.exists() else b""
    if become == "has gone":
        path.unlink()
    else:
        path.write_bytes(bytes(len(before)) or (ROOT / "examples" / "photos" / "chelsea.jpg").read_bytes())
    with pytest.raises(UsageError, match=rf"{path.name} {become} since .*put all files back"):
        build(toned, tmp_path / "set")
    path.unlink(missing_ok=True)
    if before:
        path.write_bytes(before)
    build(toned, tmp_path / "set")
    assert digest_folder(tmp_path / "set") == digest_folder(tmp_path / "whole")


def test_a_folder_that_is_emptied_is_built_anew_of_what_is_there_now(toned: DataRecipe, tmp_path: Path) -> None:
    build(toned, tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    (tmp_path / "photos" / "rocket.jpg").rename(tmp_path / "photos" / "launch.jpg")
    build(toned, tmp_path / "set")
    assert {record.provenance["photograph"]["file"] for record, _ in read_records(tmp_path / "set")} == {"coffee.jpg", "launch.jpg"}


def test_a_set_may_lie_among_its_photographs(toned: DataRecipe) -> None:
    facts = build(toned, toned.photos[0] / "set")
    assert facts["photographs"] == {"taken": 2, "skipped": {}}


def test_a_photographs_name_may_be_too_long_for_that_of_a_mask(toned: DataRecipe, tmp_path: Path) -> None:
    (tmp_path / "photos" / "rocket.jpg").rename(tmp_path / "photos" / f"{'x' * 251}.jpg")
    assert build(toned, tmp_path / "set")["photographs"] == {"taken": 2, "skipped": {}}


def test_licences_are_those_of_photographs_cutouts_and_clips(toned: DataRecipe, tmp_path: Path) -> None:
    for place, name in (("photos", "coffee.jpg"), ("cutouts", "cat.png"), ("videos", "walk.avi")):
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "ATTRIBUTION.csv").write_text(f"file,licence\n{name},licence of {place}\n")
    write_clip(tmp_path / "videos" / "walk.avi", draw_frames(lambda i: [], 2))
    facts = build(toned.model_copy(update={"count": 1, "videos": [tmp_path / "videos"]}), tmp_path / "set")
    assert facts["licences"] == {"licence of cutouts": 1, "licence of photos": 1, "licence of videos": 1, "unknown": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"photos": ["typo"]},
        {"cutouts": ["typo"]},
        {"smallest_side": 5000},
        {"categories": {"ps_human": {"share": 1}}},
        {"heldout": "typo.toml"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_build_that_came_to_nothing_binds_its_folder_to_nothing(toned: DataRecipe, tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        build(DataRecipe.model_validate(json.loads(toned.model_dump_json()) | wrong), tmp_path / "set")
    assert build(toned, tmp_path / "set")["count"] == 6


def test_unfit_photographs_are_reported_and_the_build_goes_on(recipe: DataRecipe, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(ROOT / "examples" / "photos" / "chelsea.jpg").save(photos / "fit.jpg")
    Image.new("RGB", (20, 20)).save(photos / "tiny.png")
    (photos / "notes.doc").write_bytes(b"words")
    (photos / os.fsdecode(b"na\xefve.png")).write_bytes((photos / "tiny.png").read_bytes())
    values = json.loads(recipe.model_dump_json()) | {"count": 2, "photos": [str(photos)], "categories": {"tone_transfer": {"share": 1}}}
    facts = build(DataRecipe.model_validate(values), tmp_path / "set")
    assert facts["photographs"] == {"taken": 1, "skipped": {"its file's name is not UTF-8": 1, "not a picture": 1, "tiny": 1}}
    assert {os.fsencode(row["file"]) for row in read_lines(tmp_path / "set" / "photographs.jsonl")} > {b"na\xefve.png"}


def test_photographs_that_are_all_unfit_are_explained(recipe: DataRecipe, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (20, 20)).save(photos / "tiny.png")
    with pytest.raises(UsageError, match=r"None of the 1 files .*tiny"):
        build(recipe.model_copy(update={"photos": [photos]}), tmp_path / "set")


def test_a_category_that_nothing_passes_is_given_up_with_its_reasons(recipe: DataRecipe, tmp_path: Path) -> None:
    values = json.loads(recipe.model_dump_json()) | {"count": 1, "categories": {"style_change": {"share": 1}}}
    values["limits"] |= {"sharpness": 1000}
    with pytest.raises(UsageError, match=r"Only 0 of 1 .*style_change.* because the pictures are not sharp"):
        build(DataRecipe.model_validate(values), tmp_path / "set")


def test_two_builds_do_not_share_a_folder(recipe: DataRecipe, tmp_path: Path) -> None:
    out = tmp_path / "set"
    refused: list[str] = []

    def try_again(what: str, done: int, total: int) -> None:
        with pytest.raises(UsageError, match="Another build") as caught:
            build(recipe, out)
        refused.append(str(caught.value))

    build(recipe.model_copy(update={"count": 1}), out, try_again)
    assert refused


def test_near_duplicates_are_found_across_the_whole_set(recipe: DataRecipe, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(ROOT / "examples" / "photos" / "coffee.jpg").save(photos / "a.jpg")
    values = json.loads(recipe.model_dump_json()) | {"count": 24, "photos": [str(photos)], "categories": {"tone_transfer": {"share": 1}}}
    values["limits"] |= {"distance": 31}
    facts = build(DataRecipe.model_validate(values), tmp_path / "set")
    assert facts["count"] == 24
    doubles = [row for row in read_lines(tmp_path / "set" / "rejected.jsonl") if row["stage"] == "duplicates"]
    assert doubles
    kept = {record.id for record, _ in read_records(tmp_path / "set")}
    for row in doubles:
        assert row["numbers"]["duplicates"]["of"] in kept
        assert row["numbers"]["duplicates"]["bits"] <= 31
    values["limits"] |= {"off": ["text", "duplicates"]}
    assert "duplicates" not in str(build(DataRecipe.model_validate(values), tmp_path / "off")["rejected"])


def test_photographs_alone_are_enough(recipe: DataRecipe, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut", "coffee", "chelsea"):
        (photos / f"{name}.jpg").write_bytes((ROOT / "examples" / "photos" / f"{name}.jpg").read_bytes())
    shares = {key: {"share": 1} for key in ("background_change", "ps_human", "subject-add", "text_change", "tone_transfer")}
    values = json.loads(recipe.model_dump_json()) | {"count": 10, "photos": [str(photos)], "cutouts": [], "categories": shares}
    alone = DataRecipe.model_validate({key: value for key, value in values.items() if key != "from_photographs"})
    facts = build(alone, tmp_path / "set")
    assert facts["categories"] == dict.fromkeys(sorted(shares), 2)
    assert facts["composed_instead"] == {"subject-add": 2, "text_change": 2}
    assert facts["routes"] == {"composed": 4, "photograph": 6}
    shapes = {record.edit for record, _ in read_records(tmp_path / "set") if record.category == "subject-add"}
    assert len(shapes) == 2


def test_portraits_without_a_face_are_refused_before_anything_is_drawn(recipe: DataRecipe, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(ROOT / "examples" / "photos" / "coffee.jpg").save(photos / "a.jpg")
    with pytest.raises(UsageError, match=r"No photograph shows a face .*ps_human needs; .*share of ps_human to 0"):
        build(recipe.model_copy(update={"photos": [photos]}), tmp_path / "set")
    assert not list((tmp_path / "set").rglob("plan.json"))


def test_portraits_of_faces_that_are_to_be_blurred_are_refused_likewise(recipe: DataRecipe, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes((ROOT / "examples" / "photos" / "astronaut.jpg").read_bytes())
    values = json.loads(recipe.model_dump_json()) | {"photos": [str(tmp_path / "photos")], "privacy": {"faces": True}}
    with pytest.raises(UsageError, match=r"No photograph shows a face .*, or switch off privacy\.faces"):
        build(DataRecipe.model_validate(values), tmp_path / "set")
