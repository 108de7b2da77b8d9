"""Files that Pillow alone does not read, told by their first bytes: HEIC pictures, which another library reads, and what is no picture that
can be edited, so that its owner learns what to do.

A camera's raw file is the treacherous one: many are TIFF files whose first page is a thumbnail, which would be edited in its place.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import IO

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from step1x_edit.errors import ImageError

LONGEST_HEAD = 512
"""Bytes from the beginning of a file that tell what it is."""

RAW, HEIC = "a camera's raw file", "a HEIC picture"
APART = "a TIFF picture of 16 bits whose colours lie apart (per channel)"
HEIC_ENDINGS = frozenset({".heic", ".heif"})
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
_BITS, _PLANES = 258, 284
_SEPARATE = 2


def reads_heic() -> bool:
    """Whether the library that reads HEIC pictures is installed."""
    return find_spec("pillow_heif") is not None


def open_header(file: IO[bytes], name: str, formats: tuple[str, ...], own: bool = False) -> Image.Image:
    """Open a picture without decoding it.

    Args:
        file: at its beginning.
        name: what errors call it.
        formats: Pillow's names of those that are read.
        own: whether it is the user's own file; of others, those that may be hostile, no HEIC picture is read.

    Raises:
        ImageError: it is another kind of picture.
        UnidentifiedImageError: it is none that is known, or damaged.
    """
    head = file.read(LONGEST_HEAD)
    file.seek(0)
    try:
        image = Image.open(file, formats=formats)
        kind = RAW if _is_raw(image, head) else APART if _is_apart(image) else ""
    except UnidentifiedImageError:
        kind = name_kind(head)
        if kind == HEIC and own:
            return _open_heic(file, name)
        if not kind:
            raise
    if kind:
        raise ImageError(f"{name} is {kind}, which is not read; export it as JPEG, PNG or TIFF first.")
    return image


def _open_heic(file: IO[bytes], name: str) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(f"{name} is {HEIC}; pip install 'step1x-edit[heic]' to have it read, or export it as JPEG.") from error
    pillow_heif.register_heif_opener(thumbnails=False)
    file.seek(0)
    return Image.open(file, formats=("HEIF",))


def name_kind(head: bytes) -> str:
    """What a file that begins so is, as a noun with its article; empty where that cannot be told."""
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if head[4:8] == b"ftyp":
        brands = head[8 : max(12, int.from_bytes(head[:4], "big"))]
        if brands.startswith(b"crx "):
            return RAW
        return HEIC if any(brand in brands for brand in (b"hei", b"hev")) else "a video"
    return "a drawing in SVG" if b"<svg" in head else ""


def _is_raw(image: Image.Image, head: bytes) -> bool:
    """Whether an opened picture is but the thumbnail of a camera's raw file that begins so."""
    if not isinstance(image, TiffImageFile):
        return False
    subfile = image.tag_v2.get(_SUBFILE, 0)
    return head[8:10] == b"CR" or _DNG_VERSION in image.tag_v2 or (isinstance(subfile, int) and bool(subfile & _REDUCED))


def _is_apart(image: Image.Image) -> bool:
    """Whether an opened picture is a TIFF file with a plane of 16 bits a colour, not compressed, which Pillow takes for bytes."""
    if not isinstance(image, TiffImageFile) or image.tag_v2.get(_PLANES) != _SEPARATE or max(image.tag_v2.get(_BITS, (1,))) <= 8:
        return False
    return any(tile.codec_name == "raw" for tile in image.tile)
