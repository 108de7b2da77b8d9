"""How a photograph was taken stays with what is made of it."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from step1x_edit.image_io import encode_image, read_image, write_image
from step1x_edit.image_origins import UNKNOWN

TAKEN = {ExifTags.Base.DateTimeOriginal: "2024:05:01 10:20:30", ExifTags.Base.FNumber: 2.8, ExifTags.Base.LensModel: "EF 50 mm"}
PLACE = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (47.0, 30.0, 15.0)}


def photograph(**base: object) -> bytes:
    """A JPEG on its side, of a camera that writes more than is kept."""
    exif = Image.Exif()
    exif.update(
        {
            ExifTags.Base.Orientation: 6,
            ExifTags.Base.Artist: b"Zo\xc3\xab",
            ExifTags.Base.Copyright: "CC0",
            ExifTags.Base.Software: "camera",
        }
    )
    exif.update({ExifTags.Base[name]: value for name, value in base.items()})
    exif.get_ifd(ExifTags.IFD.Exif).update({**TAKEN, ExifTags.Base.MakerNote: b"secret", ExifTags.Base.UserComment: b"ASCII\0\0\0hello"})
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(PLACE)
    file = BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif, dpi=(300, 300))
    return file.getvalue()


def test_a_format_that_keeps_nothing_of_it_is_said(tmp_path: Path) -> None:
    picture = read_image(photograph())
    (note,) = write_image(picture.image, tmp_path / "result.bmp", origin=picture.origin)
    assert note == ".bmp files keep less of how a photograph was taken; left out: date, camera settings, place, author and camera."


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "avif", "tif"])
def test_date_place_and_author_pass_on(ending: str, tmp_path: Path) -> None:
    picture = read_image(photograph())
    path = tmp_path / f"result.{ending}"
    notes = write_image(picture.image, path, record={"Software": "step1x", "step1x:seed": "3"}, origin=picture.origin)
    said = (".tif files keep less of how a photograph was taken; left out: date, camera settings, place.",)
    assert notes == (said if ending == "tif" else ())
    with Image.open(path) as written:
        exif = written.getexif()
        assert written.size == (30, 40)
        assert exif.get(ExifTags.Base.Orientation, 1) == 1
        assert (exif[ExifTags.Base.Artist], exif[ExifTags.Base.Copyright]) == ("Zo\xc3\xab", "CC0")  # as bytes, UTF-8
        taken, place = dict(exif.get_ifd(ExifTags.IFD.Exif)), dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
        if ending in ("png", "jpg", "tif"):
            assert written.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert ExifTags.Base.MakerNote not in taken
    if ending != "tif":
        assert {tag: taken[tag] for tag in TAKEN} == TAKEN
        assert place == PLACE
        assert b"hello" not in path.read_bytes()
    again = read_image(path)
    assert again.image.size == (30, 40)
    assert again.origin.exif == (again.origin.exif if ending == "tif" else picture.origin.exif)


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_a_picture_that_says_nothing_passes_nothing_on(name: str) -> None:
    file = BytesIO()
    Image.new("RGB", (8, 8)).save(file, name)
    assert read_image(file.getvalue()).origin == UNKNOWN
    assert encode_image(Image.new("RGB", (8, 8)), "PNG") == encode_image(Image.new("RGB", (8, 8)), "PNG", None, UNKNOWN)


@pytest.mark.parametrize("name", ["TIFF", "JPEG"])
def test_a_description_is_kept_but_not_a_record_of_an_earlier_edit(name: str, tmp_path: Path) -> None:
    path = tmp_path / "edited.tif"
    write_image(Image.new("RGB", (8, 8)), path, record={"Software": "step1x", "step1x:instruction": "add a hat"})
    edited, photo = read_image(path), read_image(photograph(ImageDescription='{"a": "cat"}'))
    assert b"step1x" not in edited.origin.exif
    assert b"step1x" not in encode_image(Image.new("RGB", (8, 8)), name, None, edited.origin)
    assert b'{"a": "cat"}' in encode_image(photo.image, name, None, photo.origin)
    (note,) = write_image(photo.image, tmp_path / "photo.tif", record={"step1x:seed": "3"}, origin=photo.origin)
    assert note.endswith("place, description.")


def test_what_is_too_long_is_left_behind(tmp_path: Path) -> None:
    picture = read_image(photograph(ImageDescription="x" * 40_000, Model="M"))
    write_image(picture.image, tmp_path / "result.jpg", origin=picture.origin)
    with Image.open(tmp_path / "result.jpg") as written:
        exif = written.getexif()
        assert exif[ExifTags.Base.Model] == "M" and ExifTags.Base.ImageDescription not in exif


@pytest.mark.parametrize("seed", range(60))
def test_damaged_facts_never_keep_a_picture_from_being_read_and_written(seed: int) -> None:
    rng, data = random.Random(seed), bytearray(photograph())
    begin = data.index(b"Exif")
    length = int.from_bytes(data[begin - 2 : begin], "big") - 2
    for _ in range(rng.randint(1, 12)):
        data[begin + 6 + rng.randrange(length - 6)] = rng.randrange(256)
    picture = read_image(bytes(data))
    for name in ("PNG", "JPEG", "WEBP", "TIFF"):
        encoded = encode_image(picture.image, name, {"Software": "step1x"}, picture.origin)
        assert read_image(encoded).image.size == picture.image.size
