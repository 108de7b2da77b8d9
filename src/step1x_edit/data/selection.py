"""Which candidates are still needed, and which ones are kept: the first that pass, in one order, until every slot is full."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from step1x_edit.data.duplicates import Neighbours
from step1x_edit.data.jobs import Block, cut_blocks, interleave
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
from step1x_edit.data.suitability import find_need
from step1x_edit.errors import UsageError

_SPARE = 1.15
"""Candidates drawn for every one that is needed, given how many survived so far."""

_MOST = {COMPOSED: 40, PHOTOGRAPH: 20}
"""Candidates drawn for every triplet asked for, after which a slot is given up. Source: paper, 1 of 20 was kept."""


_PIECES = 8
"""Blocks that a slot's candidates of a round are cut into at least, so that no worker waits long for the last one."""

KEPT, SPARE = "", "spare"
"""Stages of candidates that no stage has rejected: they are in the set, or were not needed."""


@dataclass(frozen=True)
class Row:
    """A candidate as its block has it, and where its bytes lie; `order` is its place among all of them."""

    order: tuple[int, int, int]
    slot: Slot
    values: dict[str, Any]
    file: str


class Fate(NamedTuple):
    """What became of candidates: the stage and the reason of those that are not kept, `KEPT` and nothing of the others."""

    slot: Slot
    route: str
    stage: str
    reason: str


class Selection:
    """How a set fills. Of what is kept it remembers the hashes, of everything else only how many there were.

    What photographs do not allow is composed instead: a slot of edits from photographs hands what it lacks to its category's other slot.

    Attributes:
        fates: how many candidates so far had which.
        composed_instead: category -> how many were to come from photographs, but had to be composed.
    """

    def __init__(self, wanted: Mapping[Slot, int], distance: int | None) -> None:
        """Begin with nothing; `distance` is that of near-duplicates, in bits, or None where these are kept."""
        self.fates: Counter[Fate] = Counter()
        self.composed_instead: Counter[str] = Counter()
        self._wanted = dict(wanted)
        self._drawn: Counter[Slot] = Counter()
        self._kept: Counter[Slot] = Counter()
        self._neighbours = None if distance is None else Neighbours(distance)

    def hand_over(self, slot: Slot) -> None:
        """Have composed what a slot still lacks."""
        missing = self._wanted[slot] - self._kept[slot]
        self._wanted = {**self._wanted, slot: self._kept[slot], slot.composed: self._wanted.get(slot.composed, 0) + missing}
        self.composed_instead[slot.category.value] += missing

    def plan(self, block: int) -> list[Block]:
        """What is to be drawn next, in blocks of at most `block`; nothing where the set is full.

        Raises:
            UsageError: a slot cannot be filled.
        """
        for slot in [slot for slot in self._wanted if self._lacks(slot) and self._room(slot) <= 0]:
            if slot.route == COMPOSED or find_need(slot.composed):
                raise UsageError(self._give_up(slot))
            self.hand_over(slot)
        groups = []
        for slot in sorted(filter(self._lacks, self._wanted), key=lambda slot: slot.order):
            drawn, kept = self._drawn[slot], self._kept[slot]
            survival = max(kept / drawn, 1 / _MOST[slot.route]) if drawn else 1.0
            more = min(math.ceil((self._wanted[slot] - kept) / survival * _SPARE) + 2, self._room(slot))
            groups.append(cut_blocks(slot, drawn, more, min(block, math.ceil(more / _PIECES))))
            self._drawn[slot] += more
        return interleave(groups)

    def _lacks(self, slot: Slot) -> bool:
        return self._kept[slot] < self._wanted[slot]

    def _room(self, slot: Slot) -> int:
        """How many candidates may be drawn before the slot is given up."""
        return _MOST[slot.route] * self._wanted[slot] + 100 - self._drawn[slot]

    def settle(self, row: Row) -> Row:
        """Say what becomes of the next candidate: near-duplicates and what is not needed get a stage and a reason."""
        values = row.values
        if values["stage"] == KEPT:
            if not self._lacks(row.slot):
                values |= {"stage": SPARE, "reason": "the category was full already"}
            elif self._neighbours is None or _pass_neighbours(values, self._neighbours):
                self._kept[row.slot] += 1
        self.fates[Fate(row.slot, values["route"], values["stage"], values["reason"])] += 1
        return row

    def _give_up(self, slot: Slot) -> str:
        reasons: Counter[str] = Counter()
        for fate, count in self.fates.items():
            if fate.slot == slot and fate.stage != KEPT:
                reasons[fate.reason] += count
        worst = ", ".join(f"{count} because {reason}" for reason, count in reasons.most_common(3))
        return (
            f"Only {self._kept[slot]} of {self._wanted[slot]} triplets of the category {slot.category} passed ({worst}); "
            "add photographs, loosen the recipe's limits, ask for fewer, or set the category's share to 0."
        )


def _pass_neighbours(values: dict[str, Any], taken: Neighbours) -> bool:
    """Whether a candidate's pictures are like none that were taken; then they are taken too, else the candidate is marked."""
    value = int(values["hash"], 16)
    found = taken.find(value)
    if found is None:
        taken.take(value, values["id"])
        return True
    name, apart = found
    values["numbers"]["duplicates"] = {"of": name, "bits": apart}
    values |= {"stage": "duplicates", "reason": "nearly the same pictures as an earlier triplet"}
    return False
