"""Which pictures are never trained on, by name, and which wordings: the border between training and evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from step1x_edit.errors import UsageError
from step1x_edit.toml_files import read_toml

Part = Literal["train", "heldout"]


@dataclass(frozen=True)
class Split:
    """Names (file names without folder and ending) that are kept out of training.

    Attributes:
        photographs: backgrounds for evaluation only.
        cutouts: subjects for evaluation only.
        known: subjects used by both parts. Adding "a cat" is only a fair question to a model that has seen the cat: the subjects
            added by name come from this list, and the picture, the place and the wording are new.
    """

    photographs: frozenset[str] = frozenset()
    cutouts: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: str | Path) -> Split:
        """Read a split from a TOML file with the keys `photographs`, `cutouts` and `known`, each a list of names.

        Raises:
            UsageError: the file cannot be read, is not TOML, or has unknown keys or values that are not lists of names.
        """
        table = read_toml(Path(path), "split")
        fields = ("photographs", "cutouts", "known")
        for key, value in table.items():
            if key not in fields:
                raise UsageError(f"The split {path} has an unknown key {key!r}; use {', '.join(fields)}.")
            if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
                raise UsageError(f"In the split {path}, {key} must be a list of names in quotation marks.")
        split = cls(**{key: frozenset(table.get(key, ())) for key in fields})
        both = sorted(split.cutouts & split.known)
        if both:
            raise UsageError(f"In the split {path}, {both[0]} is both in cutouts and in known; keep it in one of them.")
        return split

    def select(self, names: Iterable[str], part: Part, *, photographs: bool) -> set[str]:
        """Choose the names that `part` may use, of photographs or else of cut-outs."""
        kept_out = self.photographs if photographs else self.cutouts
        if part == "train":
            return {name for name in names if name not in kept_out}
        return {name for name in names if name in kept_out or (not photographs and name in self.known)}
