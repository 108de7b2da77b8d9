"""What a photograph's file says of how it was taken, which passes on to what is made of it: date, camera, place, author, resolution.

A file is not trusted: what is damaged, or longer than such facts are, counts as not there. Thumbnails, makers' own notes and comments
stay behind.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

_BASE = ("ImageDescription", "Make", "Model", "Artist", "Copyright")
_TAKEN = (
    *("DateTimeOriginal", "DateTimeDigitized", "OffsetTimeOriginal", "OffsetTimeDigitized", "SubsecTimeOriginal", "SubsecTimeDigitized"),
    *("ExposureTime", "FNumber", "ExposureProgram", "ISOSpeedRatings", "ExposureBiasValue", "MaxApertureValue", "MeteringMode", "Flash"),
    *("FocalLength", "FocalLengthIn35mmFilm", "WhiteBalance", "SceneCaptureType", "LensSpecification", "LensMake", "LensModel"),
)
KEPT: dict[ExifTags.IFD | None, frozenset[int]] = {
    None: frozenset(ExifTags.Base[name].value for name in _BASE),
    ExifTags.IFD.Exif: frozenset(ExifTags.Base[name].value for name in _TAKEN),
    ExifTags.IFD.GPSInfo: frozenset(tag.value for tag in ExifTags.GPS),
}
"""Tags by the table of EXIF that they stand in; None is the first one, whose tags are texts: bytes, which Pillow reads as Latin-1."""

_DESCRIPTION = ExifTags.Base.ImageDescription
_DATES = frozenset(ExifTags.Base[name].value for name in _TAKEN if "Time" in name and name != "ExposureTime")

LONGEST = 1000
"""Characters or numbers of one value at most: a JPEG file has room for 64 KB in all."""

_WITH_EXIF = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF")
_WITH_RESOLUTION = ("PNG", "JPEG", "TIFF", "BMP")
EXIF_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
)
"""What Pillow raises on damaged EXIF data, whose pixels may be sound."""


@dataclass(frozen=True)
class Origin:
    """What is kept of a photograph's file.

    Attributes:
        exif: a block of EXIF; empty where there is nothing to keep.
        dpi: pixels an inch, across and down.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None

    @classmethod
    def of(cls, image: Image.Image, is_ours: Callable[[str], bool] = lambda text: False) -> Origin:
        """Of a picture that was just opened, whichever way it is turned, but for a description that `is_ours`."""
        return cls(_read_exif(image, is_ours), _read_dpi(image.info.get("dpi")))

    def save_options(self, name: str) -> dict[str, Any]:
        """What `Image.save` needs to keep it in a file of format `name`, as far as there is room; `exif` is an `Image.Exif`."""
        options: dict[str, Any] = {}
        if self.exif and name in _WITH_EXIF:
            exif = options["exif"] = Image.Exif()
            exif.load(self.exif)
            texts = {tag: value.encode("latin-1") for tag, value in exif.items() if tag in KEPT[None]}  # else Pillow writes ASCII alone
            if name == "TIFF":  # Pillow writes no further table into it
                exif = options["exif"] = Image.Exif()
            exif.update(texts)
        if self.dpi is not None and name in _WITH_RESOLUTION:
            options["dpi"] = self.dpi
        return options

    def lost_in(self, name: str, recorded: bool = False) -> tuple[str, ...]:
        """What of it a file of format `name` has no room for: a TIFF keeps texts of the first table alone, and a record instead of the
        description; some formats keep nothing."""
        if not self.exif or (name in _WITH_EXIF and name != "TIFF"):
            return ()
        exif = Image.Exif()
        exif.load(self.exif)
        taken = exif.get_ifd(ExifTags.IFD.Exif).keys()
        found: dict[str, object] = {"date": taken & _DATES, "camera settings": taken - _DATES, "place": exif.get_ifd(ExifTags.IFD.GPSInfo)}
        found["author and camera"] = name not in _WITH_EXIF and KEPT[None] & exif.keys() - {_DESCRIPTION}
        found["description"] = (recorded or name not in _WITH_EXIF) and _DESCRIPTION in exif
        return tuple(what for what, tags in found.items() if tags)


UNKNOWN = Origin()


def _read_exif(image: Image.Image, is_ours: Callable[[str], bool]) -> bytes:
    try:
        found, kept = image.getexif(), Image.Exif()
        texts = {tag: value for tag in KEPT[None] if isinstance(value := found.get(tag), str) and _is_short(value)}
        kept.update({tag: text.encode("latin-1") for tag, text in texts.items() if not (tag == _DESCRIPTION and is_ours(text))})
        tables = [table for table in KEPT if table is not None]
        for table in tables:
            values = {tag: value for tag, value in found.get_ifd(table).items() if tag in KEPT[table] and _is_short(value)}
            kept.get_ifd(table).update(values)
        return kept.tobytes() if kept or any(kept.get_ifd(table) for table in tables) else b""
    except EXIF_ERRORS:
        return b""


def _is_short(value: Any) -> bool:
    return not isinstance(value, str | bytes | tuple) or len(value) <= LONGEST


def _read_dpi(value: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(each) for each in value)
    except EXIF_ERRORS:
        return None
    # 1 is what Pillow says of a TIFF that says nothing
    return (across, down) if all(math.isfinite(each) and 1 < each <= 10_000 for each in (across, down)) else None
