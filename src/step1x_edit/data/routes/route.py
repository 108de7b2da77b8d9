"""What every route provides: one function from a real photograph to a draft, or to the reason why there is none.

The categories of `step1x_edit.data.categories` paste cut-out subjects, so that their targets are exact. Routes work on what stands in the
photograph itself, as the paper does: they find it, cut it out, and draw it or what is behind it anew with tools.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Protocol

from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Shape


@dataclass(frozen=True)
class Unsuited:
    """Why a photograph allows no good edit of a kind.

    Attributes:
        reason: a short clause that is the same for all photographs it fits, so that reasons can be counted: "no text was found".
        numbers: JSON-able figures behind it.
    """

    reason: str
    numbers: dict[str, Any] = field(default_factory=dict)


class Route(Protocol):
    """Makes one draft from one photograph.

    Every choice comes from `rng`; the same arguments give the same draft, whatever was made before. The draft has the `shape`.
    Its parameters hold under "tools" the role, name, version and settings of every tool that took part.
    """

    def __call__(
        self, rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape
    ) -> Draft | Unsuited: ...
