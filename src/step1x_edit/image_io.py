"""Read and write pictures safely.

Reading gives an upright RGB or RGBA picture in sRGB with 8 bits a channel, whatever the file holds, or an `ImageError` of one sentence.
Size is checked from the header, before any pixel is decoded. Writing is all or nothing: a picture appears under its name only when it is
complete and on the disk. Nothing here knows of models.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError, features

from step1x_edit.errors import ImageError, Step1XError, TakenError, UsageError
from step1x_edit.image_depths import Depth
from step1x_edit.image_kinds import HEIC_ENDINGS, open_header, reads_heic
from step1x_edit.image_modes import Picture, flatten, to_standard
from step1x_edit.image_origins import EXIF_ERRORS, UNKNOWN, Origin
from step1x_edit.image_records import holds_record, read_record, save_options
from step1x_edit.image_spaces import name_space

MAX_PIXELS = 120_000_000
"""Largest picture that is opened: twelve thousand by ten thousand, beyond the sensors of today's phones."""

LONGEST_NAME = 255
"""Bytes of a file's name that common file systems hold."""

# Choice: raster formats that people keep pictures in. Pillow reads more, some of which run other programs (EPS) or hold no photographs.
READ_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "QOI", "TGA", "ICO")

WRITE_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "PNG": {"compress_level": 4},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},  # not optimized: Pillow then gives up on pictures that are mostly noise
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "TIFF": {"compression": "tiff_deflate"},
    "BMP": {},
}
_WITHOUT_ALPHA = ("JPEG", "BMP")
_MULTI_PAGE = ("MPO", "ICO", "HEIF")  # more than one picture in the file, yet no animation

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION_TAG = 0x0112

DECODE_ERRORS = (*EXIF_ERRORS, EOFError, MemoryError, RuntimeError, zlib.error, Image.DecompressionBombError)
"""What Pillow's decoders raise on damaged files; it documents OSError alone, but the others are reached by changing single bytes."""

_warnings_lock = threading.Lock()


def read_endings(own: bool = True) -> frozenset[str]:
    """Endings of files that `read_image` reads, in small letters, each with its dot; without `own`, of those it reads from bytes too."""
    found = frozenset(ending for ending, name in Image.registered_extensions().items() if name in READ_FORMATS)
    return found | HEIC_ENDINGS if own and reads_heic() else found


def read_image(source: Path | bytes, own: bool | None = None) -> Picture:
    """Read a picture from a file, or from the bytes of one.

    Args:
        source: the file's path, or what is in it.
        own: whether its owner asks for it, so that every format is read that can be, HEIC among them; by default, whether it is a path.

    Raises:
        ImageError: there is no such file, it is not a picture, it is damaged or cut off, or it is larger than `MAX_PIXELS`.
    """
    if isinstance(source, bytes):
        return _decode(BytesIO(source), "The file", len(source), bool(own))
    with _open_regular(source) as file:
        return _decode(file, str(source), os.fstat(file.fileno()).st_size, own is not False)


def open_record(path: Path) -> dict[str, str]:
    """What a file says of how its picture was made, see `image_records`; empty where it says nothing. No pixel is decoded.

    Raises:
        ImageError: there is no such file, or it is not a picture.
    """
    with _open_regular(path) as file:
        try:
            with _quiet_warnings(), open_header(file, str(path), READ_FORMATS, own=True) as image:
                return read_record(image)
        except DECODE_ERRORS as error:
            raise ImageError(f"{path} is not a whole picture in a known format ({', '.join(READ_FORMATS[:7])} and others).") from error


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height of the picture that `read_image` would give, from the file's header alone: nothing is decoded.

    (But for the rare PNG whose orientation stands after its pixels: that is not looked for.)

    Raises:
        ImageError: it is not a picture, or larger than `MAX_PIXELS`. Damage further on is not seen.
    """
    if not data:
        raise ImageError("The file is empty.")
    with _explain_decoding("The file"), _quiet_warnings():
        image = _open(BytesIO(data), "The file")
        # Pillow would decode all of a PNG to look for EXIF data at its end; of a TIFF it has exchanged the sides already
        turned = image.format != "TIFF" and _orientation(image, Image.Image.getexif) >= 5
        return (image.height, image.width) if turned else image.size


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resample to exactly `size` (width, height), without aliasing."""
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=4.0)


def format_of(path: Path) -> str:
    """The format that a file name's ending asks for.

    Raises:
        UsageError: the ending is none that can be written.
    """
    name = WRITE_FORMATS.get(path.suffix.lower())
    if name is None or (name in ("AVIF", "WEBP") and not features.check(name.lower())):
        raise UsageError(f"Cannot tell the format to write from the name {path}; end it in one of {', '.join(WRITE_FORMATS)}.")
    return name


def check_target(path: Path, overwrite: bool = False) -> None:
    """Refuse a target that cannot be written, before any work is done for it.

    Raises:
        TakenError: there is a file of that name, which must not be overwritten.
        UsageError: unknown ending, no such folder, or a folder or device of that name.
    """
    format_of(path)
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} for the result does not exist; create it first or choose another.")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise UsageError(f"The name {path.name[:20]}... is longer than a file's can be ({LONGEST_NAME} bytes); choose a shorter one.")
    if path.exists() or path.is_symlink():
        if not path.is_file():
            raise UsageError(f"{path} is not a regular file and is not written to; choose another name.")
        if not overwrite:
            raise _taken(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"The folder {path.parent} is not writable; choose another place for the result.")


def free_names(source: Path, count: int = 1) -> list[Path]:
    """Names beside `source` that are not taken: photo-edited.png, photo-edited-2.png, and so on."""
    stem = source.stem
    while len(os.fsencode(stem)) > LONGEST_NAME - 30:  # room for what is added
        stem = stem[:-1]
    names = (source.with_name(f"{stem}-edited{'' if i == 1 else f'-{i}'}.png") for i in itertools.count(1))
    return list(itertools.islice((name for name in names if not name.exists() and not name.is_symlink()), count))


def write_image(
    image: Image.Image,
    path: Path,
    overwrite: bool = False,
    record: Mapping[str, str] | None = None,
    seal: Callable[[bytes, str], bytes] | None = None,
    origin: Origin | None = None,
) -> tuple[str, ...]:
    """Write a picture, complete or not at all; returns notes on what the format could not hold.

    Args:
        image: RGB or RGBA.
        path: its ending gives the format.
        overwrite: replace a file of that name; otherwise one that appears even during the writing is kept.
        record: how the picture was made, kept in the file where the format has room; see `image_records`.
        seal: makes of the encoded file and its format the file that is written, as with content credentials; what it raises passes on.
        origin: how the photograph was taken that it was made of, kept in the file where the format has room.

    Raises:
        TakenError, UsageError: see `check_target`.
        ImageError: the format cannot hold a picture of this size.
        Step1XError: the disk is full or refuses.
    """
    check_target(path, overwrite)
    name, notes = format_of(path), []
    if image.mode == "RGBA" and name in _WITHOUT_ALPHA:
        notes.append(f"{path.suffix.lower()} files hold no transparency: transparent parts were put on white.")
    if origin is not None and (lost := origin.lost_in(name, bool(record))):
        notes.append(f"{path.suffix.lower()} files keep less of how a photograph was taken; left out: {', '.join(lost)}.")
    encoded = encode_image(image, name, record, origin)
    sealed = encoded if seal is None else seal(encoded, name)
    try:
        _publish(sealed, path, overwrite)
    except OSError as error:
        raise Step1XError(f"{path} could not be written ({error.strerror or error}); nothing was left behind.") from error
    return tuple(notes)


def encode_image(
    image: Image.Image, name: str, record: Mapping[str, str] | None = None, origin: Origin | None = None, **options: object
) -> bytes:
    """The file of a picture.

    Args:
        image: RGB or RGBA; transparent parts are put on white where the format holds no transparency.
        name: one of the formats of `WRITE_FORMATS`.
        record, origin: see `write_image`.
        options: of Pillow, instead of our own.

    Raises:
        ImageError: the format cannot hold a picture of this size.
    """
    encoded = BytesIO()
    kept = save_options(name, record or {}, origin or UNKNOWN)
    try:
        opaque = flatten(image) if name in _WITHOUT_ALPHA else image
        opaque.save(encoded, name, **{**_SAVE_OPTIONS[name], **kept, **options})
    except (OSError, ValueError, struct.error) as error:
        raise ImageError(f"A picture of {image.width} x {image.height} pixels cannot be written as {name} ({error}).") from error
    return encoded.getvalue()


def _taken(path: Path) -> TakenError:
    return TakenError(f"{path} exists already; choose another name or allow it to be replaced with --overwrite.")


def _open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading; never waits, as opening a pipe would."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {path}.") from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{path} cannot be opened ({getattr(error, 'strerror', None) or error}).") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise ImageError(f"{path} is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; give the path of a picture.")


def _decode(file: IO[bytes], name: str, size: int, own: bool = False) -> Picture:
    if size == 0:
        raise ImageError(f"{name} is empty.")
    with _explain_decoding(name), _quiet_warnings():
        image = _open(file, name, own)
        animated = image.format not in _MULTI_PAGE and getattr(image, "is_animated", False)
        depth = Depth.of(image)
        image.load()
        pale = name_space(image, file)
        origin, upright = Origin.of(image, holds_record), _turn_upright(image)
        picture = to_standard(depth.restore(upright))
        picture.image.info.clear()  # the profile is applied; what else was there is the original's
    first = ("Only the first of its frames or pages is edited.",) if animated else ()
    return Picture(picture.image, first + depth.notes + pale + picture.notes, origin)


def _open(file: IO[bytes], name: str, own: bool = False) -> Image.Image:
    """Read the header alone."""
    image = open_header(file, name, READ_FORMATS, own)
    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return image


@contextlib.contextmanager
def _explain_decoding(name: str) -> Iterator[None]:
    try:
        yield
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise ImageError(f"{name} declares more than {limit} million pixels, which is not opened; make it smaller first.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a whole picture in a known format ({', '.join(READ_FORMATS[:7])} and others).") from error
    except DECODE_ERRORS as error:
        raise ImageError(f"{name} is damaged or cut off and cannot be read; get a whole copy of it.") from error


@contextlib.contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Pillow warns of what is checked here anyway. The filters are the whole process's, so one thread at a time changes them."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _turn_upright(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image, read_exif: Callable[[Image.Image], Image.Exif] = lambda image: image.getexif()) -> int:
    """1 to 8 as EXIF counts them, from 5 on with the sides exchanged; damaged EXIF data counts as none, since the pixels are sound."""
    try:
        orientation = read_exif(image).get(_ORIENTATION_TAG, 1)
    except DECODE_ERRORS:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _publish(data: bytes, path: Path, overwrite: bool) -> None:
    """Write beside the target, flush to the disk, then give it its name in one step; what is replaced keeps its rights and its links."""
    path = path.resolve() if overwrite else path
    temporary = path.with_name(f".{path.name[:50]}.{secrets.token_hex(6)}.part")  # 50 characters are at most 200 of the 255 bytes of a name
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            if path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            os.replace(temporary, path)
        else:
            _rename_to_new(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _rename_to_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)  # unlike a rename, fails where the name is taken
    except OSError as error:
        if path.exists() or path.is_symlink():
            raise _taken(path) from error
        os.replace(temporary, path)  # a file system without hard links
