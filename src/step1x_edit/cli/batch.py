"""Many pictures of `step1x edit`, worked through with the model loaded once: several names, folders, or {picture: instruction} in JSON."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class Job:
    """One picture of many, what to do to it, and where its results go, one a seed."""

    image: Path
    instructions: tuple[str, ...]
    targets: tuple[Path, ...]


def sort_words(pictures: Sequence[Path], instruction: str | None) -> tuple[list[Path], str | None]:
    """Tell pictures from the instruction, which is the last word that was given, unless that is a picture too or stands alone."""
    from step1x_edit.image_io import read_endings

    if instruction is not None and (not pictures or (Path(instruction).suffix.lower() in read_endings() and os.path.isfile(instruction))):
        return [*pictures, Path(instruction)], None
    return list(pictures), instruction


def list_jobs(pictures: Sequence[Path], instructions: tuple[str, ...], out: Path | None, count: int = 1) -> list[Job]:
    """Jobs of one instruction for many pictures, whose results lie in `out` under the names of their pictures.

    Args:
        pictures: files, or folders of them, of which those below are not looked through.
        instructions: what to do to each; several are turns, each on the result before it.
        out: folder of the results; None makes one beside the folder of pictures, if it is one.
        count: how many results each picture has.

    Raises:
        UsageError: a picture is missing, a folder holds none, `out` is missing or a file, or both turns and a count are asked for.
    """
    if len(instructions) > 1 and count > 1:
        raise UsageError("Several turns are made of one result; leave out either --then or --count.")
    if missing := [path for path in pictures if not path.exists()]:
        raise UsageError(f"There is no file {missing[0]}; if it belongs to the instruction, put quotes around that.")
    if out is None:
        if len(pictures) > 1:
            raise UsageError("Several pictures need a folder for their results; give one with --out.")
        folder = pictures[0].resolve()
        out = folder.parent / f"{folder.name}-edited"
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; the results of several pictures need a folder, which is made where there is none.")
    found: list[Path] = []
    for path in pictures:
        inside = list_folder(path) if path.is_dir() else [path]
        if not inside:
            raise UsageError(f"The folder {path} holds no pictures.")
        found += inside
    named = _name_results(dict.fromkeys(found), out, count)
    return [Job(path, instructions, targets) for path, targets in named.items()]


def read_batch(path: Path, images: Path | None, out: Path, count: int = 1) -> list[Job]:
    """The jobs of a batch file, whose results lie in `out` under the names of their pictures.

    Args:
        path: a JSON object {picture: instruction}; a list of instructions gives several turns, each on the result before it.
        images: folder that the pictures' names start from; None is the batch file's own.
        out: folder of the results.
        count: how many results each picture has; of several turns there is one.

    Raises:
        UsageError: the file is missing or is no such object, a name is none or leads out of the folder, or two results would have one name.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_doubles)
    except OSError as error:
        raise UsageError(f"The batch file {path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The batch file {path} is not JSON of pictures and instructions ({error}).") from error
    if not isinstance(values, dict) or not values:
        raise UsageError(f"The batch file {path} must be an object of pictures and instructions, as in " + '{"cat.png": "add a hat"}.')
    jobs: list[Job] = []
    taken: dict[Path, str] = {}
    for name, wanted in values.items():
        instructions = (wanted,) if isinstance(wanted, str) else tuple(wanted) if isinstance(wanted, list) else ()
        if not instructions or not all(isinstance(each, str) and each.strip() for each in instructions):
            raise UsageError(f"In the batch file {path}, {name} has no instruction; give a text, or a list of texts for several turns.")
        if not _is_file_name(name):
            raise UsageError(f"In the batch file {path}, {name!r} is no name that a file can have.")
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts or not place.name:
            raise UsageError(f"In the batch file {path}, {name!r} leads out of the folder; give names below it.")
        targets = number_names(out / place.with_suffix(".png"), 1 if len(instructions) > 1 else count)
        for target in targets:
            if target in taken:
                raise UsageError(f"In the batch file {path}, {taken[target]} and {name} would both be written to {target}.")
            taken[target] = name
        jobs.append(Job((images or path.parent) / place, instructions, tuple(targets)))
    return jobs


def _is_file_name(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:  # half of a pair of characters
        return False


def number_names(path: Path, count: int) -> list[Path]:
    """out.png, out-2.png, out-3.png, as many as `count`."""
    return [path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, count + 1))]


def list_folder(folder: Path) -> list[Path]:
    """The pictures of a folder by name, without hidden files, which other systems leave beside them."""
    from step1x_edit.image_io import read_endings

    endings = read_endings()
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in endings and each.name[0] != "." and each.is_file())


def _name_results(pictures: Iterable[Path], out: Path, count: int) -> dict[Path, tuple[Path, ...]]:
    """By picture: a.png for a.jpg; but a.jpg.png where that would be another's too, whoever of them comes first."""
    named = {path: tuple(number_names(out / f"{path.stem}.png", count)) for path in pictures}
    long = {path: tuple(number_names(out / f"{path.name}.png", count)) for path in named}
    while True:
        times = Counter(target for targets in named.values() for target in targets)
        shared = [path for path, targets in named.items() if any(times[target] > 1 for target in targets)]
        if not shared:
            return named
        again = {path: long[path] for path in shared if named[path] != long[path]}
        if not again:
            raise UsageError(f"Two of the pictures are called {shared[0].name}; give them different names, or edit one after the other.")
        named |= again


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double} is named twice")
    return values
