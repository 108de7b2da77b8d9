"""What every kind of edit provides: one function that makes a draft from random choices and materials."""

from __future__ import annotations

import random
from typing import Protocol

from step1x_edit.data.materials import Materials
from step1x_edit.data.triplet import Draft


class Category(Protocol):
    """Makes one draft.

    Every choice comes from `rng`, and none depends on `size`, so that the same index gives the same edit at every size.
    None means that these choices allow no good edit (no pixel of the colour asked for, say) and others should be drawn.
    """

    def __call__(self, rng: random.Random, materials: Materials, size: int) -> Draft | None: ...
