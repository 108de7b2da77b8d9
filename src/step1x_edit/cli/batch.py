"""Batch files of `step1x edit`: {picture: instruction} in JSON, worked through with the model loaded once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class Job:
    """One line of a batch file: the picture, what to do to it, and where its results go, one a seed."""

    image: Path
    instructions: tuple[str, ...]
    targets: tuple[Path, ...]


def read_batch(path: Path, images: Path | None, out: Path, count: int = 1) -> list[Job]:
    """The jobs of a batch file, whose results lie in `out` under the names of their pictures.

    Args:
        path: a JSON object {picture: instruction}; a list of instructions gives several turns, each on the result before it.
        images: folder that the pictures' names start from; None is the batch file's own.
        out: folder of the results.
        count: how many results each picture has; of several turns there is one.

    Raises:
        UsageError: the file is missing or is no such object, a name leads out of the folder, or two results would have one name.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_doubles)
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


def number_names(path: Path, count: int) -> list[Path]:
    """out.png, out-2.png, out-3.png, as many as `count`."""
    return [path, *(path.with_name(f"{path.stem}-{i}{path.suffix}") for i in range(2, count + 1))]


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double} is named twice")
    return values
