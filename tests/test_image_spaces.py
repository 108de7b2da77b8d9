"""Colour spaces that a file names without a profile: the same colours as with the profile of that space."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms

from step1x_edit.image_io import read_image
from step1x_edit.image_spaces import ADOBE_RGB, PALE, Space

COLOURS = [(200, 100, 50), (30, 200, 90), (250, 250, 20), (12, 14, 18), (128, 128, 128), (255, 255, 255)]
IN_ADOBE = [(227, 100, 42), (0, 201, 80), (250, 250, 0), (3, 6, 10), (129, 129, 129), (255, 255, 255)]
"""Those, taken for Adobe RGB (1998), in sRGB; by littleCMS with the profile of that name of Debian's colord-data."""
IN_P3 = [(215, 93, 31), (0, 204, 73), (250, 250, 0), (12, 14, 18), (128, 128, 128), (255, 255, 255)]
"""Those, taken for Display P3, in sRGB; by Chromium."""
LINEAR = [(229, 168, 122), (96, 229, 159), (253, 253, 79), (61, 66, 75), (188, 188, 188), (255, 255, 255)]
"""Those, taken for values of light, in sRGB; by Chromium."""

SRGB_LIGHTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
ADOBE_LIGHTS = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)


def strip() -> Image.Image:
    """The colours in squares of 32 pixels."""
    squares = np.repeat(np.repeat(np.array([COLOURS], np.uint8), 32, axis=0), 32, axis=1)
    return Image.fromarray(squares)


def colours(data: bytes) -> list[tuple[int, ...]]:
    """Those in the middle of the squares, as they are read."""
    return np.asarray(read_image(data, own=True).image)[16, 16::32, :3].tolist()


def png(picture: Image.Image, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with these chunks after its header."""
    file = BytesIO()
    picture.save(file, "PNG")
    more = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return file.getvalue()[:33] + b"".join(more) + file.getvalue()[33:]


def gamma(value: int) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", value)


def lights(values: tuple[int, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *values)


def numbered(*values: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes([*values, 0, 1])


def as_camera(index: str, said: int) -> bytes:
    """A JPEG whose EXIF data say a colour space as cameras do."""
    exif, file = Image.Exif(), BytesIO()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = said
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: index}
    strip().save(file, "JPEG", quality=100, subsampling=0, exif=exif)
    return file.getvalue()


def avif(first: int, second: int) -> bytes:
    file = BytesIO()
    strip().save(file, "AVIF", quality=100, subsampling="4:4:4")
    place = file.getvalue().index(b"colrnclx") + 8
    return file.getvalue()[:place] + struct.pack(">HH", first, second) + file.getvalue()[place + 4 :]


def heic(first: int, second: int) -> bytes:
    """Of ten bits, as phones write it."""
    file, values = BytesIO(), (np.asarray(strip()).astype(np.uint16) * 257).tobytes()
    picture = pillow_heif.from_bytes("RGB;16", strip().size, values)
    picture.save(
        file, quality=100, chroma=444, color_primaries=first, transfer_characteristics=second, matrix_coefficients=1, full_range_flag=1
    )
    return file.getvalue()


def jpeg2000(profile: bytes) -> bytes:
    """With a profile in place of the number of a colour space."""
    file = BytesIO()
    strip().save(file, "JPEG2000")
    data = file.getvalue()
    place, header = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    box = struct.pack(">I", 11 + len(profile)) + b"colr\2\0\0" + profile
    (length, old) = struct.unpack_from(">I", data, header)[0], struct.unpack_from(">I", data, place)[0]
    return data[:header] + struct.pack(">I", length + len(box) - old) + data[header + 4 : place] + box + data[place + old :]


def test_the_profile_is_that_of_its_space() -> None:
    made = ADOBE_RGB.to_profile()
    assert made is not None
    row = Image.fromarray(np.array([COLOURS], np.uint8))
    converted = ImageCms.profileToProfile(row, ImageCms.ImageCmsProfile(BytesIO(made)), ImageCms.createProfile("sRGB"))
    assert converted is not None
    assert np.asarray(converted)[0] == pytest.approx(np.array(IN_ADOBE), abs=1)


@pytest.mark.parametrize(
    ("data", "expected", "name"),
    [
        (as_camera("R03", 0xFFFF), IN_ADOBE, "Adobe RGB"),
        (as_camera("", 2), IN_ADOBE, "Adobe RGB"),
        (png(strip(), gamma(45455), lights(ADOBE_LIGHTS)), IN_ADOBE, "its own primary colours"),
        (png(strip(), gamma(100000)), LINEAR, "its own gamma"),
        (png(strip(), gamma(100000), lights(SRGB_LIGHTS)), LINEAR, "its own gamma"),
        (png(strip(), numbered(12, 13)), IN_P3, "Display P3"),
        (png(strip(), numbered(1, 8)), LINEAR, "sRGB with another gamma to sRGB"),
        (avif(12, 13), IN_P3, "Display P3"),
        (heic(12, 13), IN_P3, "Display P3"),
        (jpeg2000(ADOBE_RGB.to_profile() or b""), IN_ADOBE, "Adobe RGB"),
    ],
)
def test_a_named_space_is_converted(data: bytes, expected: list[tuple[int, ...]], name: str) -> None:
    assert np.array(colours(data)) == pytest.approx(np.array(expected), abs=4)
    *_, note = read_image(data, own=True).notes
    assert note.startswith(f"Its colours were converted from {name}")


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(45455), lights(SRGB_LIGHTS)],
        [gamma(45455)],
        [gamma(0)],
        [lights(ADOBE_LIGHTS)],
        [(b"sRGB", b"\0"), gamma(100000)],
        [numbered(1, 13)],
        [numbered(77, 13)],
        [gamma(45455), lights((0,) * 8)],
    ],
)
def test_srgb_by_other_names_and_what_names_no_space_change_nothing(chunks: list[tuple[bytes, bytes]]) -> None:
    assert colours(png(strip(), *chunks)) == [list(each) for each in COLOURS]


def test_greys_are_converted_too_and_numbers_stand_above_a_profile() -> None:
    grey = strip().convert("L")
    assert colours(png(grey, gamma(100000)))[4] == [188, 188, 188]
    embedded = b"iCCP", b"x\0\0" + zlib.compress(ADOBE_RGB.to_profile() or b"")
    assert np.array(colours(png(strip(), numbered(12, 13), embedded))) == pytest.approx(np.array(IN_P3), abs=1)


@pytest.mark.parametrize("index", ["R98", "R03"])
def test_a_camera_that_says_srgb_or_embeds_a_profile_is_believed(index: str) -> None:
    assert np.array(colours(as_camera(index, 1))) == pytest.approx(np.array(COLOURS), abs=2)


@pytest.mark.parametrize("data", [png(strip(), numbered(9, 16)), avif(9, 18), heic(9, 16)])
def test_of_an_hdr_picture_it_is_said_that_its_colours_look_pale(data: bytes) -> None:
    assert PALE in read_image(data, own=True).notes


def test_lights_that_are_none_have_no_profile() -> None:
    assert Space("", (0.3, 0.3, 0.3, 0.3, 0.3, 0.3)).to_profile() is None
    assert Space("", (float("nan"), *ADOBE_RGB.lights[1:])).to_profile() is None  # type: ignore[arg-type]
