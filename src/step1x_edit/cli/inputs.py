"""What a command is given by name besides pictures, read before any work is done: adapters, who signs, and an edit to be done again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.credentials import Credentials
    from step1x_edit.settings import Settings


def read_lora(text: str) -> tuple[Path, float]:
    """FILE or FILE:WEIGHT; raises UsageError where the weight is no number."""
    name, _, weight = text.rpartition(":")
    if not name or Path(text).exists():
        return Path(text), 1.0
    try:
        number = float(weight)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"The weight of the adapter must be a number, as in {name}:0.8, not {weight!r}.")
    return Path(name), number


def open_credentials(certificates: Path | None, key: Path | None) -> Credentials | None:
    """Who signs the files (C2PA); None where nothing is to be signed.

    Raises:
        UsageError: one of the two is missing, the library is not installed, or nothing can be signed with them.
    """
    if certificates is None and key is None:
        return None
    if certificates is None or key is None:
        raise UsageError("Content credentials need a chain of certificates and its key; give --credentials and --credentials-key.")
    try:
        import c2pa  # noqa: F401

        from step1x_edit.credentials import Credentials
    except ImportError as error:
        raise UsageError("Content credentials need the library of C2PA; install step1x-edit[credentials].") from error
    return Credentials.open(certificates, key)


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
