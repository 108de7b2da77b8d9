"""The waiting line: bounded, fair among those who ask, and read in batches of one kind."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What may stand in the line."""

    @property
    def owner(self) -> str:
        """Who asks."""

    @property
    def kind(self) -> Hashable:
        """Equal for those that may be served together."""

    @property
    def cost(self) -> int:
        """What it adds to a batch, see `FairQueue.take`."""


T = TypeVar("T", bound="Waiting")


class FairQueue(Generic[T]):
    """Owners take turns; each one's own come first in, first out.

    Args:
        places: most that may wait.
        places_each: most that one owner may have waiting, so that nobody's rush shuts out the others.
    """

    def __init__(self, places: int, places_each: int) -> None:
        self.places = places
        self.places_each = places_each
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()  # never an empty one; who is next comes first
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        return (item for line in self._lines.values() for item in line)

    def room(self, owner: str) -> int:
        """How many more this owner may add."""
        return max(0, min(self.places - self._length, self.places_each - len(self._lines.get(owner, ()))))

    def add(self, item: T) -> None:
        """Put at the end of its owner's line; ask for `room` first."""
        assert self.room(item.owner)
        self._lines.setdefault(item.owner, deque()).append(item)
        self._length += 1

    def remove(self, item: T) -> bool:
        """Take it out; False where it is not waiting."""
        line = self._lines.get(item.owner)
        if line is None or item not in line:
            return False
        self._leave(item)
        return True

    def take(self, most: int, budget: int) -> list[T]:
        """The next in turn, and up to `most` - 1 more of its kind, again in turns, wherever in their owners' lines they stand.

        Each one served moves its owner to the end of the order. All but the first must fit into `budget` by their costs' sum.
        """
        if not self._lines:
            return []
        first = next(iter(self._lines.values()))[0]
        taken, spent = [first], first.cost
        self._serve(first)
        while len(taken) < most:
            # an owner's turn passes to the next one who has something of this kind
            found = next((x for line in self._lines.values() for x in line if x.kind == first.kind and spent + x.cost <= budget), None)
            if found is None:
                break
            taken.append(found)
            spent += found.cost
            self._serve(found)
        return taken

    def _serve(self, item: T) -> None:
        self._leave(item)
        if item.owner in self._lines:
            self._lines.move_to_end(item.owner)

    def _leave(self, item: T) -> None:
        line = self._lines[item.owner]
        line.remove(item)
        self._length -= 1
        if not line:
            del self._lines[item.owner]
