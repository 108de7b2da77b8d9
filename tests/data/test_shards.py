"""Shards are plain tar files of fixed bytes, which webdataset reads as well as we do."""

from __future__ import annotations

import dataclasses
import gc
import io
import json
import shutil
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.data.shards import (
    SHARDS,
    Record,
    decode_mask,
    decode_picture,
    encode_mask,
    encode_picture,
    find_picture,
    finish_tar,
    list_shards,
    read_records,
    read_sample,
    read_tar,
    read_triplets,
    to_tar,
)
from step1x_edit.data.stream import TripletStream
from step1x_edit.errors import ImageError, UsageError

FILES = st.dictionaries(st.sampled_from(["source.jpg", "target.png", "mask.png", "json"]), st.binary(max_size=2000), min_size=1)


@given(samples=st.dictionaries(st.from_regex(r"[a-z_]{1,12}-[0-9]{7}", fullmatch=True), FILES, max_size=4))
def test_stretches_are_a_tar_file(samples: dict[str, dict[str, bytes]]) -> None:
    data = b"".join(to_tar(key, files) for key, files in samples.items())
    data += finish_tar(len(data))
    assert len(data) % 10240 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert found == {f"{key}.{ending}": content for key, files in samples.items() for ending, content in files.items()}
    for key, files in samples.items():
        assert read_sample(to_tar(key, files)) == files


def test_png_and_masks_are_exact_and_jpeg_is_near(stream: TripletStream) -> None:
    triplet = stream.sample(3)
    assert np.array_equal(decode_picture(encode_picture(triplet.source, "png")), triplet.source)
    assert np.array_equal(decode_mask(encode_mask(triplet.region)), triplet.region)
    near = decode_picture(encode_picture(triplet.source, "jpg")).astype(int)
    assert np.abs(near - triplet.source).mean() < 3


def test_jpeg_keeps_blocks_that_an_edit_does_not_touch_the_same(stream: TripletStream) -> None:
    pixels = stream.sample(0).source
    edited = pixels.copy()
    edited[16:40, 16:40] = (255, 0, 0)
    before, after = (decode_picture(encode_picture(picture, "jpg")) for picture in (pixels, edited))
    outside = np.ones(pixels.shape[:2], bool)
    outside[16:40, 16:40] = False
    assert np.array_equal(before[outside], after[outside])


def test_webdataset_reads_a_set(built: Path) -> None:
    import webdataset as wds

    paths = [str(path) for path in list_shards(built)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its last file for the garbage collector
        theirs = {sample["__key__"]: sample for sample in wds.WebDataset(paths, shardshuffle=False)}
        gc.collect()
    ours = {record.id: files for record, files in read_records(built)}
    assert theirs.keys() == ours.keys()
    for key, files in ours.items():
        assert set(files) == {"source.jpg", "target.jpg", "mask.png", "json"}
        assert all(theirs[key][ending] == data for ending, data in files.items())


def test_triplets_come_back_as_they_were_recorded(built: Path) -> None:
    triplets = list(read_triplets(built))
    records = [record for record, _ in read_records(built)]
    assert [t.instruction_zh for t in triplets] == [r.instruction_zh for r in records]
    assert all(t.source.shape == t.target.shape == (96, 96, 3) and t.region.shape == (96, 96) for t in triplets)
    assert all(t.category == r.category for t, r in zip(triplets, records, strict=True))


def test_records_survive_json() -> None:
    record = Record("x-0000001", "style_change", "a", "画", "s", "t", "style x", {"a": [1]}, {"seed": 1}, {"change": {"inside": 2.5}})
    assert Record.from_json(record.to_json()) == record
    assert Record.from_json(record.to_json()[:-1] + b', "of another version": 1}') == record
    assert Record.from_json(record.to_json()[:-1] + b', "provenance": null}') == dataclasses.replace(record, provenance={})


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"id": "x"}'])
def test_broken_json_is_explained(text: bytes) -> None:
    with pytest.raises(UsageError, match="JSON"):
        Record.from_json(text)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"instruction_en": 5}, "the triplet 'x' in here.tar is wrong: its instruction_en is no text"),
        ({"source_caption": ["a"]}, "the triplet 'x' in here.tar is wrong: its source_caption is no text"),
        ({"edit": None}, "the triplet 'x' in here.tar is wrong: its edit is missing"),
        ({"provenance": ["a"]}, "the triplet 'x' in here.tar is wrong: its provenance is no object"),
        ({"id": ["x"]}, r"the triplet \['x'\] in here.tar is wrong: its id is no text"),
        ({"id": None}, "its id is missing"),
    ],
)
def test_json_of_wrong_types_is_explained(changed: dict[str, object], fault: str) -> None:
    whole = dataclasses.asdict(Record("x", "style_change", "a", "画", "s", "t", "style x"))
    with pytest.raises(UsageError, match=f"{fault}; correct it"):
        Record.from_json(json.dumps({**whole, **changed}), "here.tar")
    assert Record.from_json(json.dumps({**whole, "id": 7})).id == "7"
    del whole["target_caption"]
    with pytest.raises(UsageError, match="its target_caption is missing"):
        Record.from_json(json.dumps(whole))


@pytest.mark.parametrize("lost", ["a shard", "its last triplets", "set.json", "what set.json says"])
def test_a_set_that_is_not_whole_is_refused(built: Path, tmp_path: Path, lost: str) -> None:
    folder = tmp_path / "set"
    shutil.copytree(built, folder)
    shard = folder / SHARDS / "triplets-00001.tar"
    if lost == "a shard":
        shard.unlink()
    elif lost == "its last triplets":
        kept = b"".join(to_tar(key, files) for key, files in list(read_tar(shard))[:4])
        shard.write_bytes(kept + finish_tar(len(kept)))
    elif lost == "set.json":
        (folder / "set.json").unlink()
    else:
        (folder / "set.json").write_text('{"shards": [{}]}')
    said = {"set.json": "run its build command again", "what set.json says": "does not describe a set"}
    with pytest.raises(UsageError, match=said.get(lost, r"triplets-00001\.tar is missing or not whole")):
        list(read_records(folder))


def test_broken_shards_and_pictures_are_explained(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(UsageError, match=r"x\.tar"):
        list(read_tar(tmp_path / "x.tar"))
    with pytest.raises(ImageError, match="damaged"):
        decode_picture(b"no picture")
    with pytest.raises(UsageError, match="no source"):
        find_picture({"json": b"{}"}, "source")
    with pytest.raises(UsageError, match="no finished set"):
        list_shards(tmp_path / "nothing")


def _write_members(path: Path, members: list[tuple[str, bytes | str]]) -> Path:
    """A tar file of others: members with their bytes, and links with what they lead to."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_samples_of_two_folders_are_two_and_hidden_files_are_none(tmp_path: Path) -> None:
    members = [("a/x.json", b"1"), ("a/._x.png", b"mac"), ("a/x.png", b"2"), ("b/x.json", b"3")]
    shard = _write_members(tmp_path / "a.tar", [*members])
    assert list(read_tar(shard)) == [("x", {"json": b"1", "png": b"2"}), ("x", {"json": b"3"})]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("x.json", b"1"), ("x.json", b"2")], r"it holds x\.json twice, one after the other"),
        ([("x.png", "/etc/hostname"), ("x.json", b"1")], "a link in it leads nowhere"),
        ([("x.png", "x.png"), ("x.json", b"1")], "a link in it leads nowhere"),
    ],
)
def test_shards_with_doubles_and_links_to_elsewhere_are_refused(tmp_path: Path, members: list[tuple[str, bytes | str]], said: str) -> None:
    shard = _write_members(tmp_path / "a.tar", members)
    with pytest.raises(UsageError, match=rf"a\.tar cannot be read \({said}\); build or fetch it again"):
        list(read_tar(shard))


def test_a_small_shard_that_claims_a_huge_file_with_holes_is_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x.png")
    header.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"%011o\0" % 2**24
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
    (tmp_path / "a.tar").write_bytes(bytes(block) + finish_tar(len(block)))
    with pytest.raises(UsageError, match=r"x\.png has holes, which pictures have not"):
        list(read_tar(tmp_path / "a.tar"))
