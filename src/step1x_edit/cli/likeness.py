"""`step1x edit --like`: the settings of an edited picture, used again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.settings import Settings


def read_likeness(path: Path, masked: bool, adapted: bool, accompanied: bool) -> Settings:
    """The settings of the edit whose result is in `path`.

    Args:
        path: an edited picture.
        masked, adapted, accompanied: whether a mask, adapters, and further pictures are given; the file does not hold them.

    Raises:
        ImageError: `path` cannot be opened as a picture.
        UsageError: it holds no settings; or the edit was made within a mask, with adapters or with further pictures, and none are given.
    """
    from step1x_edit.settings import read_settings

    found = read_settings(path)
    if found.mask and not masked:
        raise UsageError(f"The edit in {path} was made within a mask, which is not kept in the file; give one with --mask or --box.")
    if found.references and not accompanied:
        raise UsageError(f"The edit in {path} was made with further pictures, which are not kept in the file; give them with --reference.")
    if found.lora and not adapted:
        named = " ".join(f"--lora {each}" for each in found.lora)
        raise UsageError(f"The edit in {path} was made with adapters, which are not kept in the file; give them, as {named}.")
    return found
