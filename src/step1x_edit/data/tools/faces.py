"""A cascade of local binary patterns that ships with scikit-image: finds upright faces that look at the camera. Offline face detector."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.filtering import shrink
from step1x_edit.data.tools.protocols import Box, Face, ToolCard
from step1x_edit.data.triplet import Pixels

_SIDE = 640


class CascadeFaces:
    """Fast and without weights to fetch; misses faces from the side, turned or covered ones."""

    def __init__(self) -> None:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade

        self._cascade: Any = Cascade(lbp_frontal_face_cascade_filename())

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        choice.check_bare()
        return cls()

    @property
    def card(self) -> ToolCard:
        from importlib.metadata import version

        return ToolCard("cascade", f"scikit-image {version('scikit-image')}", {"side": _SIDE})

    def find_faces(self, picture: Pixels) -> tuple[Face, ...]:
        """List the faces, the largest first; the score is 0.5 for each, because the cascade only says yes or no."""
        small, factor = shrink(picture, _SIDE)
        smallest = max(24, round(min(small.shape[:2]) / 16))
        if min(small.shape[:2]) < 2 * smallest:
            return ()
        found = self._cascade.detect_multi_scale(
            img=np.ascontiguousarray(small),
            scale_factor=1.15,
            step_ratio=1,
            min_size=(smallest, smallest),
            max_size=(min(small.shape[:2]), min(small.shape[:2])),
        )
        faces = [
            Face(
                Box(
                    int(f["c"] / factor),
                    int(f["r"] / factor),
                    int((f["c"] + f["width"]) / factor),
                    int((f["r"] + f["height"]) / factor),
                ),
                0.5,
            )
            for f in found
        ]
        return tuple(sorted(faces, key=lambda face: (-face.box.area, face.box)))
