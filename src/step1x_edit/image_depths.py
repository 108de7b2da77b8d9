"""Values that Pillow hands on as they stand in the file, where they mean something else: greys of 12 bits, greys that count from white, and
the value or colour that stands for transparency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

_WHITE_IS_ZERO = 0
_BITS, _PHOTOMETRIC = 258, 262
_TWELVE = 12

ROUNDED = "Its values have more than 8 bits a channel, of which 8 are kept."

_STEPS = {"L;2": 85, "L;4": 17}
"""By the layout of a picture's pixels, how much of 255 one step of theirs is, to which Pillow stretches them."""


@dataclass(frozen=True)
class Depth:
    """How the values of a picture stand in its file.

    Attributes:
        layout: of its pixels, as Pillow calls it; empty where it says none.
        from_white: greys of 16 bits count from white.
        twelve: greys have 12 bits, in the lower part of 16.
        deep: there are more than 8 bits a channel.
    """

    layout: str = ""
    from_white: bool = False
    twelve: bool = False
    deep: bool = False

    @classmethod
    def of(cls, image: Image.Image) -> Depth:
        """Of a picture that was opened, but not decoded yet: what tells is forgotten then."""
        tiles = getattr(image, "tile", None)
        layout = tiles[0][3] if tiles else ""
        layout = layout[0] if isinstance(layout, tuple) and layout else layout
        layout = layout if isinstance(layout, str) else ""
        deep = ";16" in layout or image.mode.startswith("I;16") or image.info.get("bit_depth", 8) > 8
        if not isinstance(image, TiffImageFile) or not image.mode.startswith("I;16"):
            return cls(layout, deep=deep)
        return cls(layout, image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO, image.tag_v2.get(_BITS) == (_TWELVE,), deep)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the owner of the picture may want to know, a sentence each."""
        return (ROUNDED,) if self.deep else ()

    def restore(self, image: Image.Image) -> Image.Image:
        """The decoded picture with values that mean what they do in others of its mode."""
        if self.from_white or self.twelve:
            values = np.asarray(image).astype(np.uint16)
            restored = Image.fromarray((values << 4 | values >> 8 if self.twelve else 65535 - values).astype(np.uint16, copy=False))
            restored.info = image.info
            return restored
        key = image.info.get("transparency")
        if self.layout in _STEPS and isinstance(key, int):
            image.info["transparency"] = min(key * _STEPS[self.layout], 255)
        elif self.layout == "RGB;16B" and isinstance(key, tuple):
            image.info["transparency"] = tuple(value >> 8 for value in key)
        return image
