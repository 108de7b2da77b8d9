"""`step1x edit --credentials`: who signs, read before any work is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from step1x_edit.credentials import Credentials


def open_credentials(certificates: Path | None, key: Path | None) -> Credentials | None:
    """The signer; None where nothing is to be signed.

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
