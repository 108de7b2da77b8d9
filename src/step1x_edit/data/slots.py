"""Slots: what a set is counted in. A kind of edit, made one of two ways; a candidate is a numbered attempt at one."""

from __future__ import annotations

import re
from typing import NamedTuple

from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

COMPOSED, PHOTOGRAPH = "composed", "photograph"
"""The two ways: cut-outs are pasted onto a photograph (`categories`), or what stands in the photograph itself is edited (`routes`)."""

_ID = re.compile(rf"(.+?)(-{PHOTOGRAPH})?-(\d{{7,}})")


class Slot(NamedTuple):
    """A kind of edit, and how it is made: `COMPOSED` or `PHOTOGRAPH`."""

    category: EditCategory
    route: str

    @property
    def name(self) -> str:
        """What its candidates' ids begin with: "subject-remove", "subject-remove-photograph"."""
        return self.category.value if self.route == COMPOSED else f"{self.category.value}-{self.route}"

    @property
    def composed(self) -> Slot:
        """The same kind of edit, composed."""
        return Slot(self.category, COMPOSED)

    @property
    def order(self) -> int:
        """Where it comes among all slots."""
        return 2 * list(EditCategory).index(self.category) + (self.route == PHOTOGRAPH)


def name_candidate(slot: Slot, index: int) -> str:
    """The id of a slot's candidate number `index`."""
    return f"{slot.name}-{index:07d}"


def parse_id(name: str) -> tuple[Slot, int]:
    """The inverse of `name_candidate`; raises UsageError."""
    match = _ID.fullmatch(name)
    if match is None or match[1] not in list(EditCategory):
        example = name_candidate(Slot(EditCategory.SUBJECT_REMOVAL, COMPOSED), 12)
        raise UsageError(f"{name!r} is not the id of a triplet; ids look like {example}.")
    return Slot(EditCategory(match[1]), PHOTOGRAPH if match[2] else COMPOSED), int(match[3])
