"""Files that people take for pictures and that are not read here, told by their first bytes, so that their owners learn what to do.

A camera's raw file is the treacherous one: many are TIFF files whose first page is a thumbnail, which would be edited in its place.
"""

from __future__ import annotations

from typing import IO

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from step1x_edit.errors import ImageError

LONGEST_HEAD = 512
"""Bytes from the beginning of a file that tell what it is."""

RAW = "a camera's raw file"
_BEGINNINGS = {
    b"FUJIFILMCCD-RAW": RAW,
    b"IIRO": RAW,
    b"IIRS": RAW,
    b"IIU\0": RAW,
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
}
_SUBFILE, _DNG_VERSION = 254, 50706
_REDUCED = 1


def open_header(file: IO[bytes], name: str, formats: tuple[str, ...]) -> Image.Image:
    """Open a picture without decoding it.

    Args:
        file: at its beginning.
        name: what errors call it.
        formats: Pillow's names of those that are read.

    Raises:
        ImageError: it is another kind of picture.
        UnidentifiedImageError: it is none that is known, or damaged.
    """
    head = file.read(LONGEST_HEAD)
    file.seek(0)
    try:
        image = Image.open(file, formats=formats)
        kind = RAW if _is_raw(image, head) else ""
    except UnidentifiedImageError:
        kind = name_kind(head)
        if not kind:
            raise
    if kind:
        raise ImageError(f"{name} is {kind}, which is not read; export it as JPEG, PNG or TIFF first.")
    return image


def name_kind(head: bytes) -> str:
    """What a file that begins so is, as a noun with its article; empty where that cannot be told."""
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"ftyp":
        brands = head[8 : max(12, int.from_bytes(head[:4], "big"))]
        if brands.startswith(b"crx "):
            return RAW
        return "a HEIC picture" if any(brand in brands for brand in (b"hei", b"hev")) else "a video"
    return "a drawing in SVG" if b"<svg" in head else ""


def _is_raw(image: Image.Image, head: bytes) -> bool:
    """Whether an opened picture is but the thumbnail of a camera's raw file that begins so."""
    if not isinstance(image, TiffImageFile):
        return False
    subfile = image.tag_v2.get(_SUBFILE, 0)
    return head[8:10] == b"CR" or _DNG_VERSION in image.tag_v2 or (isinstance(subfile, int) and bool(subfile & _REDUCED))
