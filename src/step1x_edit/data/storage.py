"""Files of a set: written whole or not at all, and never twice under one name."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from step1x_edit.errors import Step1XError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

PARTIAL = ".partial"


@contextmanager
def replace_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of `path` at the end, and leaves nothing where the writing fails.

    Several processes may write the same file at once: each one writes its own, and the last one stays.

    Raises:
        UsageError: there is a folder of that name.
        Step1XError: the disk is full or refuses.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give the path of a file.")
    partial = path.with_name(f"{path.name[:40]}.{secrets.token_hex(4)}{PARTIAL}")  # 40 characters are at most 160 of a name's 255 bytes
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise _explain(path, error) from error
    finally:
        with suppress(OSError):  # what it is that the disk refuses has been said
            partial.unlink(missing_ok=True)


def _explain(path: Path, error: OSError) -> Step1XError:
    return Step1XError(f"{path} could not be written ({error.strerror or error}); is there room, and may it be written to?")


def make_folder(folder: Path) -> None:
    """Make a folder where there is none; raises UsageError where that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be made ({error.strerror or error}); choose another one.") from error


def walk(folder: Path) -> Iterator[Path]:
    """The files in a folder and in those in it, but for hidden ones, which systems and editors leave beside pictures (`._photo.jpg`).

    Links to folders are followed, each folder is entered once, and a link that leads nowhere counts as a file, which cannot be opened.
    """
    entered, starts = set[str](), [str(folder)]
    for start in starts:  # what links lead to comes after all that lies there itself
        for place, folders, files in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            real = os.path.realpath(place)
            if real in entered:
                folders.clear()
                continue
            entered.add(real)
            starts += [inner for name in folders if os.path.islink(inner := os.path.join(place, name))]
            for path in (Path(place, name) for name in files if not name.startswith(".")):
                if path.is_file() or (path.is_symlink() and not path.exists()):
                    yield path


def check_name(name: str, file: str) -> None:
    """Raise UsageError where a file's name is no Unicode, which what is written of it could not hold; `file` is what errors call it."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{file} has a name that is not UTF-8; rename it.") from error


def check_new(folder: Path) -> None:
    """Raise UsageError where something is there already, but for an empty folder."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give the path of a new folder.")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} is not empty; choose another one.")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file whole; raises as `replace_file` does."""
    with replace_file(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people to read; what is no Unicode, as in names of files that are not UTF-8, is written as JSON's escapes."""
    write_bytes(path, (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode(errors="backslashreplace"))


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON Lines, as `write_json` writes JSON."""
    with replace_file(path) as file:
        file.writelines(map(_to_line, rows))


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add a line to JSON Lines, as `write_lines` writes it; a kill or a full disk may leave a part of it. Raises as `replace_file` does."""
    try:
        with path.open("ab") as file:
            file.write(_to_line(row))
    except OSError as error:
        raise _explain(path, error) from error


def _to_line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON Lines that this package has written, one after the other."""
    with path.open("rb") as lines:
        yield from map(json.loads, lines)


def read_rows(path: Path, wanted: Callable[[pa.Field], bool]) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, of which a few are in memory at once, with the wanted columns: no others are read.

    Raises:
        UsageError: the file is damaged, or another kind of file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = [field.name for field in file.schema_arrow if wanted(field)]
        for batch in file.iter_batches(batch_size=32, columns=columns):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is damaged, or no Parquet file; get a whole copy of it.") from error


def sweep(folder: Path) -> None:
    """Remove what killed writers have left."""
    for path in folder.rglob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)
