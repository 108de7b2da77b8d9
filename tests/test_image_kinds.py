"""What is no picture that is read is named, and a thumbnail is never taken for the photograph."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import ExifTags, Image, TiffImagePlugin

from step1x_edit.errors import ImageError
from step1x_edit.image_io import read_endings, read_image, read_size
from step1x_edit.image_kinds import name_kind


def write_tiff(path: Path, tags: dict[int, int | bytes]) -> Path:
    """A TIFF file of 160 x 120 pixels, as the first page of many raw files is."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory.tagtype[tag] = 1 if isinstance(value, bytes) else 4
        directory[tag] = value
    Image.new("RGB", (160, 120), "teal").save(path, "TIFF", tiffinfo=directory)
    return path


def photograph() -> bytes:
    """A HEIC picture as a phone writes it: on its side, with a note that says so. Upright, it is red on the left and blue on the right."""
    exif, picture, file = Image.Exif(), Image.new("RGB", (64, 40), "red"), BytesIO()
    exif.update({ExifTags.Base.Orientation: 6, ExifTags.Base.Copyright: "CC0"})
    picture.paste("blue", (0, 0, 64, 20))
    pillow_heif.from_pillow(picture).save(file, quality=95, exif=exif.tobytes())
    return file.getvalue()


def test_heic_is_read_upright_from_a_file_of_ones_own_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(photograph())
    picture = read_image(path)
    assert (picture.image.size, picture.notes) == ((40, 64), ())
    for place, colour in (((5, 32), (255, 0, 0)), ((35, 32), (0, 0, 255))):
        assert picture.image.getpixel(place) == pytest.approx(colour, abs=6)
    assert b"CC0" in picture.origin.exif
    assert ".heic" in read_endings()
    with pytest.raises(ImageError, match="a HEIC picture, which is not read"):
        read_image(path.read_bytes())  # whose it is nobody knows
    path.write_bytes(photograph()[:400])
    with pytest.raises(ImageError, match=r"not a whole picture|damaged or cut off"):
        read_image(path)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"is a HEIC picture; pip install 'step1x-edit\[heic\]' to have it read, or export it as JPEG"):
        read_image(path)


@pytest.mark.parametrize("tags", [{254: 1}, {50706: b"\x01\x04\0\0"}])
def test_the_thumbnail_of_a_raw_file_is_not_taken_for_the_photograph(tags: dict[int, int | bytes], tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "photo.dng", tags)
    with pytest.raises(ImageError, match=r"photo\.dng is a camera's raw file, which is not read; export it"):
        read_image(path)
    with pytest.raises(ImageError, match="The file is a camera's raw file"):
        read_size(path.read_bytes())


def test_other_pages_of_tiff_are_pictures(tmp_path: Path) -> None:
    assert read_image(write_tiff(tmp_path / "page.tif", {254: 2})).image.size == (160, 120)


@pytest.mark.parametrize(("bits", "compression"), [("u1", None), ("u2", "zlib"), ("u2", None)])
def test_colours_that_lie_apart_are_read_or_refused_but_never_taken_for_others(
    bits: str, compression: str | None, tmp_path: Path, scene: Image.Image
) -> None:
    path, colours = tmp_path / "scan.tif", np.moveaxis(np.asarray(scene), -1, 0).astype(bits)
    values = colours * 257 if bits == "u2" else colours
    tifffile.imwrite(path, values, photometric="rgb", planarconfig="separate", compression=compression)
    if (bits, compression) == ("u2", None):
        with pytest.raises(ImageError, match=r"scan\.tif is a TIFF picture of 16 bits whose colours lie apart .*; export it"):
            read_image(path)
    else:
        assert read_image(path).image.tobytes() == scene.tobytes()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x24ftypmif1\0\0\0\0mif1heix", "a HEIC picture"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "a camera's raw file"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"%PDF-1.7", "a PDF document"),
        (b'<?xml version="1.0"?><svg>', "a drawing in SVG"),
        (b"\xff\x0a\x00", "a JPEG XL picture"),
        (b"hello", ""),
        (b"", ""),
    ],
)
def test_kinds(head: bytes, kind: str) -> None:
    assert name_kind(head) == kind
    with pytest.raises(ImageError, match=f"is {kind}, which" if kind else "not a whole picture|is empty"):
        read_image(head)
