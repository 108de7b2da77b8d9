"""Settings come back from every format that has room for them, and nothing in a file can do more than be refused."""

from __future__ import annotations

from pathlib import Path

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import open_record, write_image
from step1x_edit.image_records import LONGEST, PREFIX
from step1x_edit.settings import Settings, describe_edit, digest_mask, parse_settings, read_settings
from step1x_edit.types import EditRequest, EditResult


@pytest.fixture
def result(scene: Image.Image) -> EditResult:
    mask = Image.new("L", scene.size, 255)
    words = '把"背景"换成海滩\n!'
    sampling = {"steps": 3, "guidance": 2.5, "size": 128, "strength": 0.75, "guidance_limit": 0.93, "feather": 9, "zoom": True}
    request = EditRequest(scene, words, seed=2**62, negative="grey", mask=mask, **sampling)
    made_with = {"cache": "every:5", "guided": "0.2,0.9", "lora": "night.safetensors:0.8\nfilm:1", "weights": "0123456789ab"}
    return EditResult(scene, scene, request, "mini", made_with=made_with)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".avif", ".tif"])
def test_settings_come_back(ending: str, tmp_path: Path, result: EditResult) -> None:
    path = tmp_path / f"a{ending}"
    write_image(result.image, path, record=describe_edit(result))
    request = result.request
    names = ("instruction", "seed", "steps", "guidance", "size", "negative", "strength", "guidance_limit", "feather", "zoom")
    assert request.mask is not None
    options, lora = {name: getattr(request, name) for name in names}, ("night.safetensors:0.8", "film:1")
    assert read_settings(path) == Settings(options, "mini", digest_mask(request.mask), "every:5", "0.2,0.9", lora, "0123456789ab")


def test_a_format_without_room_is_written_all_the_same(tmp_path: Path, result: EditResult) -> None:
    write_image(result.image, tmp_path / "a.bmp", record=describe_edit(result))
    with pytest.raises(UsageError, match="holds no settings"):
        read_settings(tmp_path / "a.bmp")


def test_a_heic_picture_holds_none(tmp_path: Path, scene: Image.Image) -> None:
    pillow_heif.from_pillow(scene).save(tmp_path / "photo.heic")
    with pytest.raises(UsageError, match=r"photo\.heic holds no settings"):
        read_settings(tmp_path / "photo.heic")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("step1x:instruction")
    with pytest.raises(ImageError, match="is not a whole picture"):
        read_settings(tmp_path / "a.png")


@given(st.dictionaries(st.sampled_from(["instruction", "model", "seed", "steps", "guidance", "mask"]).map(PREFIX.__add__), st.text()))
def test_any_record_is_read_or_refused(record: dict[str, str]) -> None:
    try:
        found = parse_settings(record, "a.png")
    except UsageError as error:
        assert "a.png" in str(error)
    else:
        assert found.options["instruction"].strip() and found.model


@given(st.data())
def test_damaged_files_give_a_record_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damaged") / f"a{data.draw(st.sampled_from(['.png', '.jpg', '.webp', '.tif']))}"
    write_image(Image.new("RGB", (8, 8)), path, record={f"{PREFIX}instruction": "make it night", "Software": "step1x-edit"})
    content = bytearray(path.read_bytes())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        record = open_record(path)
    except ImageError:
        return
    assert sum(map(len, record.values())) <= LONGEST and all(key.startswith(PREFIX) for key in record)


def test_a_record_that_is_too_long_counts_as_none(tmp_path: Path) -> None:
    write_image(Image.new("RGB", (8, 8)), tmp_path / "a.png", record={f"{PREFIX}instruction": "x" * (LONGEST + 1)})
    assert open_record(tmp_path / "a.png") == {}
