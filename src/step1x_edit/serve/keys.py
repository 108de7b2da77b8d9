"""API keys: random, shown once, kept as hashes in a file that only its owner reads.

A key is 256 random bits, so that one round of SHA-256 guards it as well as many would.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import stat
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from step1x_edit.errors import UsageError
from step1x_edit.locking import hold

PREFIX = "sk-step1x-"

log = logging.getLogger("step1x.serve")


@dataclass(frozen=True)
class Key:
    """What is kept of a key: whose it is, its hash, and when it was made, in seconds since 1970."""

    name: str
    sha256: str
    created: int


class Keys:
    """A file of keys, read again when it has changed: a key that is revoked stops working at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}
        self._sound = True
        self.read()

    def read(self) -> tuple[Key, ...]:
        """All keys, in the order in which they were made.

        Raises:
            UsageError: there is no such file, or it holds something else.
        """
        try:
            values = json.loads(self._path.read_text(encoding="utf-8"))
            return tuple(Key(str(each["name"]), str(each["sha256"]), int(each["created"])) for each in values["keys"])
        except OSError as error:
            raise UsageError(f"The keys in {self._path} cannot be read ({error.strerror}); step1x serve keys add makes one.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._path} is not a file of keys; name another with --keys.") from error

    def find(self, key: str) -> str | None:
        """Whose key this is; None for nobody's."""
        self._refresh()
        return self._names.get(_hash(key))

    def add(self, name: str) -> str:
        """Make a key, and return it: it is not kept.

        Raises:
            UsageError: there is a key of that name.
        """
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise UsageError("A key's name must be text of 1 to 100 characters, for instance whose it is.")
        secret = PREFIX + secrets.token_urlsafe(32)
        with _alone(self._path):
            keys = self.read()
            if name in {key.name for key in keys}:
                raise UsageError(f"There is a key named {name} already; choose another name, or revoke it first.")
            _write(self._path, (*keys, Key(name, _hash(secret), int(time.time()))))
        return secret

    def revoke(self, name: str) -> None:
        """Let a key stop working.

        Raises:
            UsageError: there is none of that name.
        """
        with _alone(self._path):
            keys = self.read()
            left = tuple(key for key in keys if key.name != name)
            if len(left) == len(keys):
                raise UsageError(f"There is no key named {name}; step1x serve keys list shows all.")
            _write(self._path, left)

    @classmethod
    def open(cls, path: Path) -> Keys:
        """The file, which is made if it is not there."""
        if not path.exists():
            with _alone(path):
                if not path.exists():
                    _write(path, ())
        return cls(path)

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen != self._seen:
                self._names = {key.sha256: key.name for key in self.read()}
                self._seen, self._sound = seen, True
        except (OSError, UsageError) as error:
            self._names, self._seen = {}, None
            if self._sound:
                log.error("Nobody is let in, for want of a sound file of keys: %s", error)
            self._sound = False


def _alone(path: Path) -> AbstractContextManager[None]:
    """While this is held, no other process changes the file."""
    path = _find(path)
    return hold(path.with_name(f".{path.name}.lock"), f"The keys in {path} are being changed; try again in a little while.", seconds=10)


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    """Whole or not at all; for its owner alone where it is new, and else for those who could read it before."""
    path = _find(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _keep_owner(path, descriptor)
            json.dump({"keys": [vars(key) for key in keys]}, file, indent=1)
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"The keys cannot be written to {path} ({error.strerror}); name another file with --keys.") from error


def _find(path: Path) -> Path:
    """The file itself, where the path is a link to it."""
    return Path(os.path.realpath(path))


def _keep_owner(path: Path, descriptor: int) -> None:
    """Give a new file the owner, group and mode of the one in its place: a server may run as somebody else than who changes its keys."""
    with suppress(FileNotFoundError, PermissionError):
        old = path.stat()
        os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
