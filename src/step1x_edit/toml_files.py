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
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"The {kind} {path} cannot be read ({error.strerror or error}); give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The {kind} {path} is not valid TOML ({error}); correct that line.") from error


def put_value(values: dict[str, Any], key: str, value: Any) -> None:
    """Give the key, whose sections are parted by dots, a value, before the file's contents are checked.

    Raises:
        UsageError: it goes through something that is not a section.
    """
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"The key {key} goes through {section}, which is not a section of the recipe.")
    values[name] = value


def check_values(model: type[M], values: Mapping[str, Any], kind: str, name: str) -> M:
    """A file's values as what they describe; raises UsageError that says which of them is wrong, `kind` and `name` being the file's."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = f" at {'.'.join(map(str, first['loc']))}" if first["loc"] else ""
        raise UsageError(f"The {kind} {name} is wrong{place}: {first['msg'].removeprefix('Value error, ')}.") from error
