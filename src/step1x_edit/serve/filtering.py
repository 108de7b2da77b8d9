"""A place for a check of what goes in and out: a hook, for what a service may and must not draw is its owner's decision."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image


class ContentFilter(Protocol):
    """Runs beside the model, in its process; `step1x serve --content-filter package.module:name` makes one by calling name()."""

    def check_request(self, instruction: str, negative: str, pictures: Sequence[Image]) -> str | None:
        """Why this is not done, in one sentence for the client; None lets it pass."""

    def check_result(self, picture: Image) -> str | None:
        """Why this is not handed out, in one sentence for the client; None lets it pass. A preview that does not pass is left out.

        Previews and results are checked in threads of their own, and may be at the same time.
        """


_NOT_MADE = (TypeError, ValueError, LookupError, AttributeError, ImportError, OSError, RuntimeError)
"""What an owner's class raises where it cannot be made."""


def load_filter(place: str) -> ContentFilter:
    """Make the filter at module:name.

    Raises:
        UsageError: there is nothing of that name, or it cannot be made.
    """
    module, _, name = place.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where an owner's own module lies; an installed command does not look there by itself
    try:
        make = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"There is no content filter at {place!r} ({error}); give it as package.module:name.") from error
    try:
        made: ContentFilter = make()
    except _NOT_MADE as error:  # starting it once more would not help
        raise UsageError(f"The content filter at {place!r} cannot be made ({type(error).__name__}: {error}).") from error
    return made
