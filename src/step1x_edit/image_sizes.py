"""Which size a picture is brought to: for the model, in tokens' multiples; or within a longest side."""

from __future__ import annotations

import math
from dataclasses import dataclass


def fit_size(width: int, height: int, size: int, cell: int) -> tuple[int, int]:
    """The size that the model works at: the picture's aspect ratio, an area of about size * size, sides multiples of `cell` pixels.

    Extreme aspect ratios, one side of which would be less than a cell, are squeezed so that the area stays within bounds.

    Source: reference facts, "width and height keep the aspect ratio at area size_level^2, floored to multiples of 16"; the published code
    rounds the longer side up, then the shorter one that belongs to it, and only then floors both.
    """
    area, ratio = size * size, width / height
    if width > height:
        wide = math.ceil(math.sqrt(area * ratio))
        high = math.ceil(wide / ratio)
    else:
        high = math.ceil(math.sqrt(area / ratio))
        wide = math.ceil(high * ratio)
    longest = max(area // cell // cell * cell, cell)
    fitted_width, fitted_height = (min(max(side // cell * cell, cell), longest) for side in (wide, high))
    return fitted_width, fitted_height


FURTHEST = 2.0
"""Widths over heights beyond which, up or down, a squeezed picture counts as having this one: none is trained on further ones."""


@dataclass(frozen=True, order=True)
class Form:
    """What a picture is resampled to for the model: pixels, and how many times as wide as high the place of each is in the picture."""

    width: int
    height: int
    stretch: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def aspect(self) -> float:
        """Width over height of the picture itself."""
        return self.stretch * self.width / self.height


def fit_form(width: int, height: int, size: int, cell: int, squares: bool) -> Form:
    """`fit_size`, or with `squares`, for a model that has no other sizes, a square of that area."""
    if not squares:
        return Form(*fit_size(width, height, size, cell))
    return Form(*fit_size(1, 1, size, cell), min(max(width / height, 1 / FURTHEST), FURTHEST))


def fit_within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size of a picture whose longer side is at most `longest`, in its own proportions."""
    scale = min(1.0, longest / max(size))
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height
