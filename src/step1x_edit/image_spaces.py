"""Colour spaces that a picture's file names without embedding a profile that Pillow hands on: by chunks of PNG, by numbers as in AVIF and
HEIC, by EXIF as cameras that are set to Adobe RGB do, and by the profile of JPEG 2000. Each is made the ICC profile that stands for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import IO

import numpy as np
from PIL import ExifTags, Image

from step1x_edit.image_origins import EXIF_ERRORS

HEAD = 256 * 1024
"""Bytes from the beginning of a file in which its colour space is looked for at most."""

PALE = "It is an HDR picture, whose colours look pale in what is made of it; export it as a standard one (SDR) first."

_D65 = (0.3127, 0.3290)
_D50 = (0.9642, 1.0, 0.8249)
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_GAMMA, _NEAR = 1 / 2.2, 0.05
"""What PNG files of sRGB say of their gamma, and up to which share of it another counts as the same, as in libpng."""
_GAMMAS = (0.1, 10.0)
"""Between which a gamma is one."""
_CLOSE = 0.005
"""Differences of x and y between lights that are the same."""

_OF_NO_LIGHTS = ("CMYK", "LAB")
_ADOBE, _UNCALIBRATED = 2, 0xFFFF
_INTEROPERABILITY_INDEX = 1


@dataclass(frozen=True)
class Space:
    """Colours of three lights.

    Attributes:
        name: for people.
        lights: x and y of red, green and blue.
        white: x and y.
        curve: from values to light, both 0..1: an exponent, or the five numbers g, a, b, c, d of (a v + b)^g from d on and c v below it.
    """

    name: str
    lights: tuple[float, float, float, float, float, float] = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
    white: tuple[float, float] = _D65
    curve: tuple[float, ...] = _SRGB_CURVE

    def to_profile(self) -> bytes | None:
        """An ICC profile of version 4; None where there are no such lights. Source: ICC.1:2010, sections 7 to 10."""
        points = np.array([*self.lights, *self.white]).reshape(4, 2)
        if not (np.isfinite(points).all() and (points[:, 1] > 0).all()):
            return None
        light = np.stack([points[:, 0], points[:, 1], 1 - points.sum(axis=1)]) / points[:, 1]
        if abs(np.linalg.det(light[:, :3])) < 1e-6:
            return None
        columns = _adaptation(light[:, 3]) @ (light[:, :3] * np.linalg.solve(light[:, :3], light[:, 3]))
        text = self.name.encode("utf-16-be")
        named = b"mluc" + struct.pack(">4xII2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
        curve = b"para" + struct.pack(">4xH2x", 3 if len(self.curve) > 1 else 0) + _fixed(*self.curve)
        tags = {b"desc": named, b"cprt": named, b"wtpt": b"XYZ \0\0\0\0" + _fixed(*_D50)}
        tags |= {name + b"XYZ": b"XYZ \0\0\0\0" + _fixed(*column) for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True)}
        tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
        table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
        for name, value in tags.items():
            table += name + struct.pack(">II", start + len(body), len(value))
            body += value + bytes(-len(value) % 4)
        head = struct.pack(">I4xI4s4s4s12x4s28x", start + len(body), 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp") + _fixed(*_D50)
        return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + body


_SRGB = Space("sRGB")
ADOBE_RGB = Space("Adobe RGB (1998)", (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), curve=(563 / 256,))
_PRIMARIES = {
    1: _SRGB,
    9: Space("BT.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    12: Space("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
}
_CURVES: dict[int, tuple[float, ...]] = {1: _SRGB_CURVE, 4: (2.2,), 5: (2.8,), 6: _SRGB_CURVE, 8: (1.0,), 13: _SRGB_CURVE}
_CURVES |= {14: _SRGB_CURVE, 15: _SRGB_CURVE}
_HDR = (16, 18)
"""Numbers of ITU-T H.273. Choice: the curves of video cameras count as that of sRGB, as they do where such pictures are made."""


def name_space(image: Image.Image, file: IO[bytes]) -> tuple[str, ...]:
    """Give a picture the profile of the colour space that its file names, as `info["icc_profile"]`, where it has none.

    Args:
        image: decoded, not turned upright yet.
        file: where it was read from.

    Returns:
        What its owner may want to know, a sentence each.
    """
    file.seek(0)
    head = file.read(HEAD)
    numbers = _read_numbers(image, head)
    if numbers is not None and numbers[1] in _HDR:
        return (PALE,)
    embedded = image.info.get("icc_profile")
    if embedded and not (image.format == "PNG" and numbers):  # those of PNG stand above its profile
        return ()
    profile = _read_jpeg2000(head) if image.format == "JPEG2000" else None
    if profile is None and image.mode not in _OF_NO_LIGHTS:
        space = _of_numbers(numbers) or _of_gamma(image) or _of_exif(image)
        profile = None if space is None else space.to_profile()
    if profile:
        image.info["icc_profile"] = profile
    return ()


def _adaptation(white: np.ndarray) -> np.ndarray:
    """Colours under `white`, XYZ, as they look under D50: [3, 3], after Bradford."""
    cones = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = np.diag((cones @ np.array(_D50)) / (cones @ white))
    return np.asarray(np.linalg.inv(cones) @ scale @ cones)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(np.clip(value, -32767, 32767)) * 65536) for value in values))


def _read_numbers(image: Image.Image, head: bytes) -> tuple[int, int] | None:
    """The numbers of H.273 for the lights and the curve."""
    if image.format == "PNG":
        place = 8
        while head[place + 4 : place + 8] not in (b"IDAT", b""):
            (length,) = struct.unpack_from(">I", head, place)
            if head[place + 4 : place + 8] == b"cICP" and length == 4 and len(head) >= place + 10:
                return head[place + 8], head[place + 9]
            place += 12 + length
    elif image.format == "AVIF" and (place := head.find(b"colrnclx")) >= 0 and len(head) >= place + 12:
        lights, curve = struct.unpack_from(">HH", head, place + 8)
        return lights, curve
    elif image.format == "HEIF" and isinstance(found := image.info.get("nclx_profile"), dict):
        return found.get("color_primaries", 0), found.get("transfer_characteristics", 0)
    return None


def _of_numbers(numbers: tuple[int, int] | None) -> Space | None:
    if numbers is None or numbers[0] not in _PRIMARIES or numbers[1] not in _CURVES:
        return None
    known, curve = _PRIMARIES[numbers[0]], _CURVES[numbers[1]]
    return known if curve is _SRGB_CURVE else replace(known, name=f"{known.name} with another gamma", curve=curve)


def _of_gamma(image: Image.Image) -> Space | None:
    """What the chunks gAMA and cHRM of a PNG say, unless it says that it is sRGB."""
    gamma, lights = image.info.get("gamma"), image.info.get("chromaticity")
    if image.format != "PNG" or "srgb" in image.info or not (isinstance(gamma, float) and _GAMMAS[0] <= gamma <= _GAMMAS[1]):
        return None
    if lights is None or len(lights) != 8 or np.allclose(lights, (*_D65, *_SRGB.lights), atol=_CLOSE):
        return None if abs(gamma - _GAMMA) < _NEAR * _GAMMA else Space("its own gamma", curve=(1 / gamma,))
    return Space("its own primary colours", tuple(lights[2:]), tuple(lights[:2]), (1 / gamma,))


def _of_exif(image: Image.Image) -> Space | None:
    """Adobe RGB, as cameras say it. Source: DCF 2.0, on files of that colour space."""
    try:
        exif = image.getexif()
        said = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = str(exif.get_ifd(ExifTags.IFD.Interop).get(_INTEROPERABILITY_INDEX, "")).rstrip("\0 ")
    except EXIF_ERRORS:
        return None
    return ADOBE_RGB if said == _ADOBE or (said == _UNCALIBRATED and index == "R03") else None


def _read_jpeg2000(head: bytes) -> bytes | None:
    """The profile in the header of a JP2 file, which Pillow passes over."""
    place = head.find(b"colr\2")
    if place < 4:
        return None
    (length,) = struct.unpack_from(">I", head, place - 4)
    profile = head[place + 7 : place - 4 + length]
    return profile if len(profile) == length - 11 else None
