"""Values that stand otherwise in the file than in other pictures of their kind."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from step1x_edit.image_depths import ROUNDED
from step1x_edit.image_io import read_image


def png(width: int, bits: int, colours: int, row: bytes, key: bytes) -> bytes:
    """A PNG of one row, and of the value that stands for transparency."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, 1, bits, colours, 0, 0, 0)
    chunks = (b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def tiff(width: int, bits: int, photometric: int, data: bytes, orientation: int = 1) -> bytes:
    """A TIFF of one row of greys, without compression; photometric 0 has them count from white."""
    entries = [(256, width), (257, 1), (258, bits), (259, 1), (262, photometric), (273, 0), (274, orientation), (277, 1), (278, 1)]
    entries.append((279, len(data)))
    begin = 8 + 2 + 12 * len(entries) + 4
    table = b"".join(struct.pack("<HHIHH", tag, 3, 1, begin if tag == 273 else value, 0) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + b"\0\0\0\0" + data


def greys(data: bytes) -> list[int]:
    """The values of a picture that is grey."""
    return np.asarray(read_image(data).image)[..., 0].flatten().tolist()


@pytest.mark.parametrize(
    ("data", "transparent"),
    [
        (png(8, 1, 0, b"\xf0", b"\0\1"), [0, 1, 2, 3]),
        (png(4, 2, 0, b"\xe4", b"\0\2"), [1]),
        (png(4, 4, 0, b"\xf0\x85", b"\0\x08"), [2]),
        (png(4, 8, 0, b"\xff\0\x80\x50", b"\0\x80"), [2]),
        (png(2, 16, 0, b"\xff\xff\x80\x50", b"\x80\x50"), [1]),
        (png(2, 8, 2, b"\xff\xff\x80\1\2\3", b"\0\1\0\2\0\3"), [1]),
        (png(2, 16, 2, b"\xff\xff\x80\x50\x10\x20\1\2\3\4\5\6", b"\1\2\3\4\5\6"), [1]),
    ],
)
def test_the_value_for_transparency_is_of_the_file(data: bytes, transparent: list[int]) -> None:
    image = read_image(data).image
    assert image.mode == "RGBA"
    assert np.flatnonzero(np.asarray(image)[0, :, 3] == 0).tolist() == transparent


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tiff(2, 16, 1, b"\xff\xff\0\x40"), [255, 64]),
        (tiff(2, 16, 0, b"\xff\xff\0\x40"), [0, 191]),
        (tiff(2, 16, 0, b"\xff\xff\0\x40", orientation=2), [191, 0]),
        (tiff(2, 8, 0, b"\xff\x40"), [0, 191]),
        (tiff(2, 12, 1, b"\xff\xf8\0\0"), [255, 128]),
    ],
)
def test_greys_of_tiff(data: bytes, expected: list[int]) -> None:
    assert greys(data) == expected


@pytest.mark.parametrize("compression", ["raw", "tiff_deflate"])
def test_greys_of_sixteen_bits_that_count_from_white_compressed(compression: str) -> None:
    file = BytesIO()
    Image.fromarray(np.array([[65535, 0, 16384]], np.uint16)).save(file, "TIFF", compression=compression, tiffinfo={262: 0})
    with Image.open(file) as image:
        counts_from_white = image.tag_v2[262] == 0  # type: ignore[attr-defined]
    assert counts_from_white
    assert greys(file.getvalue()) == [0, 255, 191]


def deep_heic() -> bytes:
    """A HEIC picture of 10 bits."""
    file = BytesIO()
    pillow_heif.from_bytes("RGB;16", (16, 16), bytes(6 * 16 * 16)).save(file)
    return file.getvalue()


def saved(picture: Image.Image, kind: str, **options: str) -> bytes:
    """The file of a picture."""
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "rounded"),
    [
        (png(1, 16, 0, b"\1\2", b"\0\0"), True),
        (png(1, 16, 2, b"\1\2\3\4\5\6", b"\0\0" * 3), True),
        (tiff(1, 16, 1, b"\1\2"), True),
        (saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "TIFF", compression="tiff_lzw"), True),
        (deep_heic(), True),
        (png(1, 8, 2, b"\1\2\3", b"\0\0" * 3), False),
        (tiff(1, 8, 1, b"\1"), False),
        (saved(Image.new("RGB", (4, 4)), "JPEG"), False),
        (saved(Image.new("1", (4, 4)), "PNG"), False),
    ],
)
def test_that_more_than_eight_bits_are_rounded_is_said(data: bytes, rounded: bool) -> None:
    assert (ROUNDED in read_image(data, own=True).notes) == rounded
