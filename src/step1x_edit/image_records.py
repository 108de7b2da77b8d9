"""How a picture was made, kept inside its file: as text chunks in PNG, as a comment of EXIF in the other formats that have room for it.

A record is a table of short texts. Reading one never trusts the file: what is too long, cut off or no such table counts as no record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin

from step1x_edit.image_origins import EXIF_ERRORS, Origin

PREFIX = "step1x:"
"""Of the keys that are read back."""

LONGEST = 64 * 1024
"""Bytes of a record at most."""

_WITH_EXIF = ("JPEG", "WEBP", "AVIF", "TIFF")
_ASCII = b"ASCII\0\0\0"


def save_options(name: str, record: Mapping[str, str], origin: Origin) -> dict[str, Any]:
    """What `Image.save` needs to keep a record, and how its photograph was taken, in a file of format `name`, as far as there is room."""
    options = origin.save_options(name)
    if not record:
        return options
    if name == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        for key, value in record.items():
            options["pnginfo"].add_itxt(key, value)
    elif name in _WITH_EXIF:
        exif, text = options.setdefault("exif", Image.Exif()), json.dumps(dict(record))
        exif[ExifTags.Base.Software] = record.get("Software", "")
        if name == "TIFF":  # Pillow writes no table of EXIF into it
            exif[ExifTags.Base.ImageDescription] = text
        else:
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = _ASCII + text.encode("ascii")
    return options


def read_record(image: Image.Image) -> dict[str, str]:
    """The keys with `PREFIX` of an opened picture's record; empty where there is none that can be read."""
    chunks = any(str(key).startswith(PREFIX) for key in image.info)  # those before the pixels, which are not decoded for this
    found: Any = image.info if chunks else _read_comment(image)
    if not isinstance(found, dict):
        return {}
    kept = {str(key): str(value) for key, value in found.items() if str(key).startswith(PREFIX) and isinstance(value, str)}
    return kept if sum(map(len, kept.values())) <= LONGEST else {}


def holds_record(text: str) -> bool:
    """Whether a description of a picture is a record of how one was made: it is that picture's, and not of what is made of it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and any(key.startswith(PREFIX) for key in found)


def _read_comment(image: Image.Image) -> Any:
    try:
        exif = image.getexif()
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
        if isinstance(comment, bytes) and comment.startswith(_ASCII):
            text: Any = comment[len(_ASCII) :].decode("ascii")
        else:
            text = exif.get(ExifTags.Base.ImageDescription)
        return json.loads(text) if isinstance(text, str) and len(text) <= LONGEST else None
    except (*EXIF_ERRORS, RecursionError):
        return None
