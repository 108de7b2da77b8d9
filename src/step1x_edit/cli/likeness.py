"""`step1x edit --like`: the settings of an edited picture, used again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from step1x_edit.errors import UsageError


def repeat(path: Path, model: str | None, instruction: str | None, given: dict[str, Any], masked: bool) -> tuple[str, str, dict[str, Any]]:
    """Model, instruction and options of the edit whose result is in `path`; what is given wins over what is there.

    Raises:
        ImageError: `path` cannot be opened as a picture.
        UsageError: it holds no settings; or the edit was made within a mask, and none is given.
    """
    from step1x_edit.settings import read_settings

    found = read_settings(path)
    if found.mask and not masked:
        raise UsageError(f"The edit in {path} was made within a mask, which is not kept in the file; give one with --mask or --box.")
    options = {**found.options, **given}
    words = options.pop("instruction")
    print(f"Like {path}: {instruction or words}", file=sys.stderr)
    return model or found.model, instruction or words, options
