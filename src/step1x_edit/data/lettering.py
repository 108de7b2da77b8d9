"""Words drawn in Pillow's own typeface, kept as coverage masks that scale to any size."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from step1x_edit.data.compositing import Sprite
from step1x_edit.data.tools.filtering import bound

_HEIGHT = 72

_WORDS = """
A B C X Z OK GO NO YES HI UP ON OFF NEW OLD HOT ICE SUN SEA SKY BIG TOP BUS CAR TAXI STOP OPEN CLOSED SALE FREE EXIT CAFE BAR
FOOD FISH TEA COFFEE MILK PIZZA BREAD CAKE SWEET HOTEL BANK SHOP BOOKS MUSIC LOVE PEACE HOPE DREAM HAPPY SMILE HELLO BYE THANKS
WELCOME PARTY FUN GAME PLAY WIN START END NORTH SOUTH EAST WEST RED BLUE GREEN GOLD STAR MOON CITY PARK ROAD RIVER BEACH SUMMER
WINTER SPRING TIME NOW TODAY 1 2 3 5 7 8 10 12 24 50 99 100 2025 365
"""

WORDS: tuple[str, ...] = tuple(_WORDS.split())
"""Words that text edits read and write: short, in capitals."""


@lru_cache(maxsize=512)
def draw_word(word: str) -> npt.NDArray[np.uint8]:
    """Draw a word in a bold line: uint8 [h, w], coverage 0..255, cropped to what is drawn."""
    font = ImageFont.load_default(_HEIGHT)
    left, top, right, bottom = font.getbbox(word, stroke_width=3)
    picture = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(picture).text((4 - left, 4 - top), word, fill=255, font=font, stroke_width=3)
    mask = np.asarray(picture)
    return np.ascontiguousarray(mask[bound(mask > 0).within])


def letter(word: str, height: int, widest: int, colour: tuple[int, int, int], aspect: float = 1.0) -> Sprite:
    """A word as a sprite of `height` pixels, or less where it would be wider than `widest`, in a frame of this aspect; see `Materials`."""
    mask = draw_word(word)
    width = mask.shape[1] / aspect
    factor = min(height / mask.shape[0], widest / width)
    shape = (max(1, round(width * factor)), max(1, round(mask.shape[0] * factor)))
    alpha = cv2.resize(mask, shape, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR).astype(np.float32) / 255
    rgb = np.broadcast_to(np.array(colour, np.float32) / 255, (*alpha.shape, 3))
    return Sprite(rgb, alpha[..., None])
