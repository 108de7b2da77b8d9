"""Sets travel through other formats and back without losing a byte of what those can hold."""

from __future__ import annotations

import dataclasses
import json
import secrets
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from step1x_edit.data.building import read_set
from step1x_edit.data.formats import EXPORTS, Sample, import_set, open_foreign
from step1x_edit.data.shards import (
    SET,
    Record,
    decode_picture,
    find_picture,
    list_shards,
    read_records,
    read_triplets,
    to_tar,
    write_tar,
)
from step1x_edit.errors import UsageError
from step1x_edit.tables import read_csv
from step1x_edit.training.recipe import Data
from step1x_edit.training.stored import Stored
from step1x_edit.types import EditCategory


@pytest.mark.parametrize("name", ["folder", "parquet"])
def test_folder_and_parquet_lose_nothing(built: Path, tmp_path: Path, name: str) -> None:
    assert EXPORTS[name](built, tmp_path / "out") == 22
    facts = import_set(open_foreign(tmp_path / "out", None), tmp_path / "back", shard=10)
    assert facts["left_out"] == []
    for path in sorted((built / "shards").glob("*.tar")):
        assert (tmp_path / "back" / "shards" / path.name).read_bytes() == path.read_bytes()


def test_finetuning_json_is_the_published_one_and_comes_back(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    EXPORTS["finetune"](built, out)
    records = {record.id: (record, files) for record, files in read_records(built)}
    for language in ("en", "zh"):
        table = json.loads((out / f"metadata_{language}.json").read_text(encoding="utf-8"))
        assert len(table) == 22
        for name, entry in table.items():
            record, files = records[Path(name).stem]
            assert set(entry) == {"caption", "ref_image_path"}
            assert entry["caption"] == getattr(record, f"instruction_{language}")
            assert (out / "target" / name).read_bytes() == find_picture(files, "target")
            assert Path(entry["ref_image_path"]).read_bytes() == find_picture(files, "source")
    facts = import_set(open_foreign(out, None), tmp_path / "back")
    assert facts["count"] == 22
    for record, files in read_records(tmp_path / "back"):
        before, old = records[record.id]
        assert (record.category, record.instruction_en, record.instruction_zh) == (
            before.category,
            before.instruction_en,
            before.instruction_zh,
        )
        assert find_picture(files, "source") == find_picture(old, "source")


def test_datasets_reads_the_parquet(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    import datasets

    EXPORTS["parquet"](built, tmp_path / "out")
    read = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    records = list(read_records(built))
    assert len(read) == len(records)
    for row, (record, files) in zip(read, records, strict=True):
        assert row["id"] == record.id
        assert row["instruction_zh"] == record.instruction_zh
        assert row["source"].size == (96, 96)
        assert (decode_picture(find_picture(files, "target")) == decode_picture(find_picture(files, "target"))).all()
        assert row["mask"].mode in ("1", "L")
        assert json.loads(row["provenance"]) == record.provenance


def test_an_export_that_fails_leaves_nothing(bare: Path, tmp_path: Path) -> None:
    shutil.copytree(bare, tmp_path / "set")
    write_tar(tmp_path / "set" / "b.tar", [to_tar("x", {"source.png": b"data", "json": b"{"})])
    with pytest.raises(UsageError, match="JSON cannot be read"):
        EXPORTS["folder"](tmp_path / "set", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_datasets_reads_the_folder(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    import datasets

    EXPORTS["folder"](bare, tmp_path / "out")
    read = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in read] == [record.id for record, _ in read_records(bare)]
    assert all(row[name].size == (8, 8) for row in read for name in ("source", "target", "mask"))


def test_finetuning_json_keeps_its_licences_beside_it_and_may_be_carried_elsewhere(bare: Path, tmp_path: Path) -> None:
    EXPORTS["finetune"](bare, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    rows = list(read_csv(tmp_path / "there" / "ATTRIBUTION.csv"))
    assert rows[0] == {
        "file": "target/subject-add-0000000.png",
        "made of": "a, b.jpg",
        "licence": "CC-BY-4.0",
        "attribution": "Ann",
        "source": "here",
    }
    assert [row["made of"] for row in rows] == ["a, b.jpg", "cat", "dog"] * 6
    facts = import_set(open_foreign(tmp_path / "there", None), tmp_path / "back")
    assert (facts["count"], facts["left_out"]) == (6, [])


@pytest.mark.parametrize("name", list(EXPORTS))
@pytest.mark.parametrize(
    ("identities", "endings", "said"),
    [
        (["../../escaped"], ["source.jpg", "target.jpg"], "holds a dot, a slash"),
        (["/escaped"], ["source.jpg", "target.jpg"], "holds a dot, a slash"),
        (["x", "x"], ["source.jpg", "target.jpg"], "The id x comes twice"),
        (["x"], ["source.jpg"], "has no target"),
    ],
)
def test_what_an_export_could_not_hold_is_refused(tmp_path: Path, name: str, identities: list[str], endings: list[str], said: str) -> None:
    records = [Record(identity, "tone_transfer", "a", "画", "", "", "") for identity in identities]
    files = [{**dict.fromkeys(endings, b"data"), "json": record.to_json()} for record in records]
    write_tar(tmp_path / "set" / "a.tar", [to_tar(f"key-{index}", each) for index, each in enumerate(files)])
    if said == "has no target" and name != "finetune":
        assert EXPORTS[name](tmp_path / "set", tmp_path / "a" / "out") == 1
    else:
        with pytest.raises(UsageError, match=said):
            EXPORTS[name](tmp_path / "set", tmp_path / "a" / "out")
    assert not [path for path in tmp_path.rglob("*escaped*") if path.is_file()]


def test_what_else_a_foreign_shard_holds_is_not_written_anywhere(tmp_path: Path) -> None:
    name = f"x{secrets.token_hex(8)}"  # whose second file would become one of the root folder
    record = Record(name, "tone_transfer", "a", "画", "", "", "")
    files = {".png": b"data", "depth.png": b"data", "source.jpg": b"data", "target.jpg": b"data", "json": record.to_json()}
    write_tar(tmp_path / "set" / "a.tar", [to_tar(name, files)])
    try:
        assert EXPORTS["folder"](tmp_path / "set", tmp_path / "out") == 1
    finally:
        outside = Path("/", f"{name}.png")
        escaped = outside.exists()
        outside.unlink(missing_ok=True)
    assert not escaped
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metadata.jsonl", "source", "target"]


def test_parquet_of_something_else_is_one_sentence(built: Path, tmp_path: Path) -> None:
    EXPORTS["parquet"](built, tmp_path)
    (path,) = (tmp_path / "data").iterdir()
    whole, table = path.read_bytes(), pq.read_table(path)
    numbers = pa.array([{"bytes": [1, 2], "path": "a.jpg"}] * 22)  # no bytes
    values = {
        "source": pa.array([b"jpeg"] * 22),
        "target": numbers,
        "provenance": pa.array([{"seed": 1}] * 22),
        "numbers": pa.array(["[1]"] * 22),
    }
    for name, column in values.items():
        pq.write_table(table.set_column(table.schema.get_field_index(name), name, column), path)
        with pytest.raises(UsageError, match=r"holds no triplets as they are exported|numbers is no object"):
            list(open_foreign(path, None))
    path.write_bytes(whole[:-100])
    with pytest.raises(UsageError, match="is damaged, or no Parquet file"):
        list(open_foreign(path, None))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Someone else's fine-tuning data: one whole pair, one of two sizes, one without its source."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    for name, size in (("a", 40), ("b", 50), ("c", 40), ("a_before", 40), ("b_before", 40)):
        Image.new("RGB", (size, 40), "teal").save(folder / f"{name}.png")
    table = {f"{name}.png": {"caption": f"edit {name}", "ref_image_path": f"{name}_before.png"} for name in "abc"}
    (folder / "metadata.json").write_text(json.dumps(table))
    return folder


def test_foreign_pairs_are_taken_and_what_is_not_whole_is_left_out_with_a_reason(foreign: Path, tmp_path: Path) -> None:
    facts = import_set(open_foreign(foreign / "metadata.json", EditCategory.TONE_TRANSFORMATION), tmp_path / "set")
    assert facts["count"] == 1
    assert facts["categories"] == {"tone_transfer": 1}
    assert [entry["reason"] for entry in facts["left_out"]] == ["source and target differ in size", "its source is missing"]


@pytest.fixture
def plain(built: Path, tmp_path: Path) -> Path:
    """A set as a plain folder, cut down to its first triplet, called "x"."""
    folder = tmp_path / "plain"
    EXPORTS["folder"](built, folder)
    values = json.loads((folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[0])
    for path in folder.glob(f"*/{values['id']}.*"):
        path.rename(path.with_stem("x"))
    (folder / "metadata.jsonl").write_text(json.dumps({**values, "id": "x"}), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("file", "data", "reason"),
    [
        ("source/x.jpg", "cut off", "its source is not a whole picture"),
        ("target/x.jpg", "words", "its target is not a whole picture"),
        ("mask/x.png", "words", "its mask is not a whole picture"),
        ("mask/x.png", "small", "its mask differs from the pictures in size"),
        ("mask/x.jpg", "small", "its mask is not a PNG"),
    ],
)
def test_damaged_triplets_are_left_out(plain: Path, tmp_path: Path, file: str, data: str, reason: str) -> None:
    path = plain / file
    if data == "small":
        (plain / "mask" / "x.png").unlink()
        Image.new("L", (30, 30)).save(path)
    else:
        path.write_bytes(b"words" if data == "words" else path.read_bytes()[:2000])
    with pytest.raises(UsageError, match=f"No whole triplet was found .{reason}"):
        import_set(open_foreign(plain, None), tmp_path / "set")


def test_files_are_those_that_the_lines_of_a_folder_name(plain: Path, tmp_path: Path) -> None:
    """A picture of the same stem beside it, in a format that comes later by name, is not taken in its place."""
    values = json.loads((plain / "metadata.jsonl").read_text(encoding="utf-8"))
    (plain / "before").mkdir()
    (plain / "source" / "x.jpg").rename(plain / "before" / "one.jpg")
    Image.new("RGB", (8, 8)).save(plain / "target" / "x.png")
    named = {"source_file_name": "before/one.jpg", "target_file_name": "target/x.jpg"}
    (plain / "metadata.jsonl").write_text(json.dumps({**values, **named}), encoding="utf-8")
    assert import_set(open_foreign(plain, None), tmp_path / "set")["left_out"] == []
    (_, files), *_ = read_records(tmp_path / "set")
    assert find_picture(files, "source") == (plain / "before" / "one.jpg").read_bytes()
    assert find_picture(files, "target") == (plain / "target" / "x.jpg").read_bytes()


def test_json_of_wrong_types_is_one_sentence_with_its_file_and_id(plain: Path, tmp_path: Path) -> None:
    metadata = plain / "metadata.jsonl"
    values = json.loads(metadata.read_text(encoding="utf-8"))
    metadata.write_text(json.dumps({**values, "instruction_en": 5}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"the triplet 'x' in .*metadata\.jsonl is wrong: its instruction_en is no text"):
        import_set(open_foreign(plain, None), tmp_path / "set")
    metadata.write_text(json.dumps({**values, "provenance": {"route": ["a"]}}), encoding="utf-8")
    assert import_set(open_foreign(plain, None), tmp_path / "other")["routes"] == {"['a']": 1}


def test_endings_in_capitals_are_known(plain: Path, foreign: Path, tmp_path: Path) -> None:
    for path in plain.glob("*/x.*"):
        path.rename(path.with_suffix(path.suffix.upper()))
    assert import_set(open_foreign(plain, None), tmp_path / "a")["left_out"] == []
    EXPORTS["parquet"](tmp_path / "a", tmp_path / "parquet")
    (path,) = (tmp_path / "parquet").rglob("*.parquet")
    rows = pq.read_table(path).to_pylist()
    for name in ("source", "target", "mask"):
        rows[0][name]["path"] = rows[0][name]["path"].upper()
    pq.write_table(pa.Table.from_pylist(rows), path.with_suffix(".PARQUET"))
    import_set(open_foreign(path.with_suffix(".PARQUET"), None), tmp_path / "b")
    (foreign / "a.png").rename(foreign / "a.PNG")
    (foreign / "metadata.json").rename(foreign / "PAIRS.JSON")
    (foreign / "PAIRS.JSON").write_text(json.dumps({"a.PNG": {"caption": "edit a", "ref_image_path": "a_before.png"}}))
    import_set(open_foreign(foreign / "PAIRS.JSON", EditCategory.TONE_TRANSFORMATION), tmp_path / "c")
    endings = {folder: [*next(read_records(tmp_path / folder))[1]] for folder in "abc"}
    whole = ["source.jpg", "target.jpg", "mask.png", "json"]
    assert endings == {"a": whole, "b": whole, "c": ["target.png", "source.png", "json"]}


def test_an_import_counts_what_it_takes_shard_by_shard(bare: Path, tmp_path: Path) -> None:
    samples = [
        (dataclasses.replace(record, category="?") if i == 1 else record, files) for i, (record, files) in enumerate(read_records(bare))
    ]
    facts = import_set(samples, tmp_path / "set", shard=2)
    assert [shard["triplets"] for shard in facts["shards"]] == [2, 2, 1]
    assert (facts["count"], facts["categories"], facts["routes"]) == (5, {"subject-add": 5}, {"unknown": 5})
    assert facts["licences"] == {"CC-BY-4.0": 1, "unknown": 2}
    assert [entry["id"] for entry in facts["left_out"]] == ["subject-add-0000001"]
    assert [record.id[-1] for record, _ in read_records(tmp_path / "set")] == ["0", "2", "3", "4", "5"]


@pytest.mark.parametrize(("name", "taken"), [("a[1]", True), ("猫 2", True), ("photo.v0", False), ("x" * 110, False)])
def test_ids_are_taken_where_shards_can_hold_them(plain: Path, tmp_path: Path, name: str, taken: bool) -> None:
    for path in plain.glob("*/x.*"):
        path.rename(path.with_name(name + path.suffix))
    metadata = plain / "metadata.jsonl"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text(encoding="utf-8")), "id": name}), encoding="utf-8")
    if taken:
        import_set(open_foreign(plain, None), tmp_path / "set")
        assert [triplet.region.shape for triplet in read_triplets(tmp_path / "set")] == [(96, 96)]
    else:
        with pytest.raises(UsageError, match=r"its id .* holds a dot"):
            import_set(open_foreign(plain, None), tmp_path / "set")


@pytest.mark.parametrize(
    ("file", "caption", "chinese"),
    [
        ("pairs.json", "把照片变成黑白", True),
        ("pairs.json", "make it black and white", False),
        ("pairs.json", 'change "你好" to "世界"', False),
        ("metadata_en.json", "write 你好 on it", False),
        ("metadata_zh.json", "P2P", True),
    ],
)
def test_import_and_training_agree_on_the_language(foreign: Path, tmp_path: Path, file: str, caption: str, chinese: bool) -> None:
    path = foreign / file
    path.write_text(json.dumps({"a.png": {"caption": caption, "ref_image_path": "a_before.png"}}), encoding="utf-8-sig")
    import_set(open_foreign(path, EditCategory.TONE_TRANSFORMATION), tmp_path / "set")
    trained = [item.read() for item in Stored(Data(pairs=[path])).items]
    for triplet in (*read_triplets(tmp_path / "set"), *trained):
        assert (triplet.instruction_en, triplet.instruction_zh) == (("", caption) if chinese else (caption, ""))


def test_what_cannot_be_brought_in_is_explained(foreign: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--category"):
        import_set(open_foreign(foreign / "metadata.json", None), tmp_path / "set")
    with pytest.raises(UsageError, match="none of"):
        open_foreign(tmp_path / "nothing", None)
    (foreign / "metadata.json").write_text("[1]")
    with pytest.raises(UsageError, match="not fine-tuning JSON"):
        list(open_foreign(foreign / "metadata.json", None))
    with pytest.raises(UsageError, match="not empty"):
        import_set([], foreign)
    with pytest.raises(UsageError, match="No whole triplet"):
        import_set([], tmp_path / "set")


def test_an_import_that_came_to_no_end_is_no_set_and_is_begun_again(built: Path, tmp_path: Path) -> None:
    samples = list(read_records(built))[:3]
    out = tmp_path / "set"
    with pytest.raises(UsageError, match="twice"):
        import_set([*samples, samples[0]], out, shard=1)
    assert len(list(out.rglob("*.tar"))) == 3
    with pytest.raises(UsageError, match="no finished set"):
        list_shards(out)
    import_set(samples[:2], out)
    assert [record.id for record, _ in read_records(out)] == [record.id for record, _ in samples[:2]]
    assert sorted(path.name for path in out.iterdir()) == [SET, "shards"]
    (tmp_path / "other" / "work").mkdir(parents=True)
    (tmp_path / "other" / "work" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="not empty"):
        import_set(samples, tmp_path / "other")


def test_an_import_counts_the_licences_that_the_provenance_names(built: Path, tmp_path: Path) -> None:
    record, files = next((record, files) for record, files in read_records(built) if record.provenance["cutouts"])
    photograph, clip = {"file": "a.jpg", "licence": "CC0-1.0"}, {"file": "b.avi", "licence": ""}
    cutouts = [{"name": "cat", "licence": "GPL-2.0"}]
    origins = [{"photograph": photograph, "cutouts": cutouts}, {"photograph": photograph, "cutouts": None}, {"clip": clip}]
    samples: list[Sample] = [
        (dataclasses.replace(record, id=f"x-{index}", provenance=origin), files) for index, origin in enumerate(origins)
    ]
    assert import_set(samples, tmp_path / "set")["licences"] == {"CC0-1.0": 1, "GPL-2.0": 1, "unknown": 1}
    assert read_set(built)["licences"]


def test_pictures_of_one_name_from_two_sets_keep_their_licences_apart(bare: Path, tmp_path: Path) -> None:
    licences = [("CC0-1.0", "00"), ("CC-BY-4.0", "11"), ("CC0-1.0", "00")]
    origins = [{"photograph": {"file": "IMG_0001.jpg", "licence": licence, "sha256": digest}} for licence, digest in licences]
    samples = [
        (dataclasses.replace(record, provenance=origin), files)
        for (record, files), origin in zip(read_records(bare), origins, strict=False)
    ]
    assert import_set(samples, tmp_path / "set")["licences"] == {"CC-BY-4.0": 1, "CC0-1.0": 1}


def test_half_a_character_is_one_sentence_in_texts_and_travels_in_the_rest(plain: Path, foreign: Path, tmp_path: Path) -> None:
    metadata = plain / "metadata.jsonl"
    values = json.loads(metadata.read_text(encoding="utf-8"))
    origin = {"photograph": {"file": "caf\udce9.jpg", "licence": "CC0-1.0"}}
    metadata.write_text(json.dumps({**values, "provenance": origin}), encoding="utf-8")
    import_set(open_foreign(plain, None), tmp_path / "a")
    EXPORTS["parquet"](tmp_path / "a", tmp_path / "parquet")
    import_set(open_foreign(tmp_path / "parquet", None), tmp_path / "b")
    ((record, _),) = read_records(tmp_path / "b")
    assert record.provenance == origin
    metadata.write_text(json.dumps({**values, "instruction_en": "smile \ud83d"}), encoding="utf-8")
    with pytest.raises(UsageError, match=r"its instruction_en holds half of a character \('smile \\ud83d'\); correct it"):
        import_set(open_foreign(plain, None), tmp_path / "c")
    path = foreign / "metadata.json"
    path.write_text(json.dumps({"a.png": {"caption": "smile \ud83d", "ref_image_path": "a_before.png"}}))
    with pytest.raises(UsageError, match=r"has a caption of 'a\.png' that holds half of a character"):
        import_set(open_foreign(path, EditCategory.TONE_TRANSFORMATION), tmp_path / "d")


def test_a_target_that_comes_twice_in_finetuning_json_is_not_lost_without_a_word(foreign: Path, tmp_path: Path) -> None:
    entries = [f'"a.png": {{"caption": "{caption}", "ref_image_path": "a_before.png"}}' for caption in ("one", "two")]
    (foreign / "metadata.json").write_text(f"{{{', '.join(entries)}}}")
    with pytest.raises(UsageError, match=r"has 'a\.png' twice in one object"):
        import_set(open_foreign(foreign / "metadata.json", EditCategory.TONE_TRANSFORMATION), tmp_path / "set")


def test_json_of_endless_depth_is_one_sentence(plain: Path, foreign: Path, built: Path, tmp_path: Path) -> None:
    deep = "[" * 100_000
    (plain / "metadata.jsonl").write_text(deep)
    (foreign / "metadata.json").write_text(deep)
    EXPORTS["parquet"](built, tmp_path / "parquet")
    (path,) = (tmp_path / "parquet").rglob("*.parquet")
    table = pq.read_table(path)
    column = table.schema.get_field_index("numbers")
    pq.write_table(table.set_column(column, "numbers", pa.array([deep] * len(table))), path)
    said = "is not JSON Lines|cannot be read as JSON|holds no triplets as they are exported"
    for source in (plain, foreign / "metadata.json", path):
        with pytest.raises(UsageError, match=said):
            list(open_foreign(source, None))
    with pytest.raises(UsageError, match="A triplet's JSON cannot be read"):
        Record.from_json(deep)


def test_columns_that_are_none_of_a_triplets_are_not_read(built: Path, tmp_path: Path) -> None:
    EXPORTS["parquet"](built, tmp_path / "parquet")
    (path,) = (tmp_path / "parquet").rglob("*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.append_column("taken", pa.array([2**62] * len(table), pa.timestamp("us"))), path)  # beyond Python's years
    assert len(list(open_foreign(path, None))) == 22
    broken = pa.array([b"\xff"] * len(table)).view(pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("instruction_en"), "instruction_en", broken), path)
    with pytest.raises(UsageError, match="is damaged, or no Parquet file"):
        list(open_foreign(path, None))


@pytest.mark.parametrize("path", [None, "photo", "https://a.org/photo.jpg?width=1024&signature=" + "0" * 100])
def test_pictures_without_an_ending_are_called_what_they_are(built: Path, tmp_path: Path, path: str | None) -> None:
    EXPORTS["parquet"](built, tmp_path / "parquet")
    (file,) = (tmp_path / "parquet").rglob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        for name in ("source", "target", "mask"):
            row[name]["path"] = path
    pq.write_table(pa.Table.from_pylist(rows), file)
    assert import_set(open_foreign(file, None), tmp_path / "set")["left_out"] == []
    assert [[*files] for _, files in read_records(tmp_path / "set")] == [["source.jpg", "target.jpg", "mask.png", "json"]] * 22
    EXPORTS["folder"](tmp_path / "set", tmp_path / "folder")
    for picture in (tmp_path / "folder").glob("*/*"):
        picture.rename(picture.with_suffix(""))
    (tmp_path / "folder" / "metadata.jsonl").write_text(
        (tmp_path / "folder" / "metadata.jsonl").read_text(encoding="utf-8").replace('.jpg"', '"').replace('.png"', '"'), encoding="utf-8"
    )
    assert import_set(open_foreign(tmp_path / "folder", None), tmp_path / "again")["left_out"] == []
    assert [[*files] for _, files in read_records(tmp_path / "again")] == [["source.jpg", "target.jpg", "mask.png", "json"]] * 22


def test_a_category_that_is_given_is_that_of_triplets_whose_source_does_not_say(built: Path, tmp_path: Path) -> None:
    for name in ("folder", "parquet"):
        EXPORTS[name](built, tmp_path / name)
    metadata = tmp_path / "folder" / "metadata.jsonl"
    rows = [json.loads(line) for line in metadata.read_text(encoding="utf-8").splitlines()]
    metadata.write_text("\n".join(json.dumps({**row, "category": None}) for row in rows[:2]), encoding="utf-8")
    (file,) = (tmp_path / "parquet").rglob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns("category").slice(0, 2), file)
    for name in ("folder", "parquet"):
        with pytest.raises(UsageError, match="its category is missing"):
            list(open_foreign(tmp_path / name, None))
        facts = import_set(open_foreign(tmp_path / name, EditCategory.TONE_TRANSFORMATION), tmp_path / f"set-{name}")
        assert facts["categories"] == {"tone_transfer": 2}
