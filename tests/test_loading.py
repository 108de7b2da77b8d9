"""The search for garbage rests while something is loaded, and goes on afterwards without what was loaded."""

from __future__ import annotations

import gc
import weakref

import pytest

from step1x_edit.loading import without_collecting


class Node:
    """Part of a ring, which only the search for garbage can take away."""

    def __init__(self) -> None:
        self.ring = self


def test_nothing_is_collected_within_and_all_of_it_after() -> None:
    with without_collecting():
        assert not gc.isenabled()
    assert gc.isenabled()
    later = weakref.ref(Node())
    gc.collect()
    assert later() is None


def test_an_error_leaves_it_on() -> None:
    with pytest.raises(ValueError, match="no weights"), without_collecting():
        raise ValueError("no weights")
    assert gc.isenabled()


def test_what_was_loaded_is_not_looked_through_again() -> None:
    gc.unfreeze()
    before = gc.get_freeze_count()
    with without_collecting():
        kept = [Node() for _ in range(1000)]
    assert gc.get_freeze_count() >= before + len(kept)
    first = weakref.ref(kept[0])
    del kept
    gc.collect()
    assert first() is not None
    with without_collecting():  # as when another model is loaded in its place
        assert first() is None
    gc.unfreeze()
