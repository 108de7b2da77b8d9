"""TOML files that people write: recipes and splits."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from step1x_edit.errors import UsageError

M = TypeVar("M", bound=BaseModel)


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """What the file says; `kind` is what errors call it, "recipe" for instance.

    Raises:
        UsageError: it is missing, or is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The {kind} {path} cannot be read ({error.strerror or error}); give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The {kind} {path} is not valid TOML ({error}); correct that line.") from error


def put_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Give the key a value, before the file's contents are checked: `optim.lr`, or `stages.0.size` of the first entry of a list.

    Raises:
        UsageError: it goes through something that is not a section, or names an entry that a list lacks.
    """
    *sections, name = key.split(".")
    place: Any = values
    for depth, section in enumerate(sections):
        place = place[_entry(place, section, key)] if isinstance(place, list) else place.setdefault(section, {})
        if not isinstance(place, dict | list):
            raise UsageError(f"The key {key} goes through {'.'.join(sections[: depth + 1])}, which is not a section of the recipe.")
    place[_entry(place, name, key) if isinstance(place, list) else name] = value


def _entry(entries: list[Any], number: str, key: str) -> int:
    if not number.isascii() or not number.isdigit() or int(number) >= len(entries):
        raise UsageError(f"The key {key} names the entry {number!r} of a list that has {len(entries)}; they are counted from 0.")
    return int(number)


def check_values(model: type[M], values: Mapping[str, Any], kind: str, name: str) -> M:
    """A file's values as what they describe; raises UsageError that says which of them is wrong, `kind` and `name` being the file's."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise UsageError(f"The {kind} {name} is wrong{place}: {first['msg'].removeprefix('Value error, ')}.") from error
