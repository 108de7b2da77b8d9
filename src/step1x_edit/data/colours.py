"""Named colours: what they are called, which pixels have them, and how a picture is recoloured to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from step1x_edit.data.triplet import Floats, Pixels

LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)
"""Weights of sRGB values in their grey, [1, 3]. Source: ITU-R BT.601."""


@dataclass(frozen=True)
class Colour:
    """A named colour.

    Attributes:
        zh: Chinese name.
        rgb: the plain colour, sRGB 0..255.
        hues: where it lies on OpenCV's hue circle (0..180), or None for black, white and grey.
    """

    zh: str
    rgb: tuple[int, int, int]
    hues: tuple[int, int] | None


COLOURS: dict[str, Colour] = {
    "red": Colour("红色", (214, 36, 40), (-8, 8)),
    "orange": Colour("橙色", (242, 133, 30), (8, 20)),
    "yellow": Colour("黄色", (246, 214, 40), (20, 34)),
    "green": Colour("绿色", (52, 160, 60), (34, 85)),
    "teal": Colour("青色", (30, 160, 160), (85, 98)),
    "blue": Colour("蓝色", (40, 90, 214), (98, 128)),
    "purple": Colour("紫色", (134, 56, 180), (128, 157)),
    "pink": Colour("粉色", (244, 128, 178), (157, 172)),
    "black": Colour("黑色", (20, 20, 20), None),
    "white": Colour("白色", (250, 250, 250), None),
    "grey": Colour("灰色", (128, 128, 128), None),
}
CHROMATIC = tuple(name for name, colour in COLOURS.items() if colour.hues)


def to_lab(picture: Pixels) -> Floats:
    """uint8 [H, W, 3] sRGB -> L*, a*, b*: float32 [H, W, 3]."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


ANCHORS = {name: to_lab(np.array([[colour.rgb]], np.uint8))[0, 0] for name, colour in COLOURS.items()}
"""L*, a*, b* of the plain colours."""


def _window(low: int, high: int, soft: int = 7) -> npt.NDArray[np.uint8]:
    """Table over hue 0..255: 255 inside low..high, falling to 0 within `soft` steps on either side."""
    hue = np.arange(256, dtype=np.float32)
    middle, half = (low + high) / 2, (high - low) / 2
    distance = np.abs((hue - middle + 90) % 180 - 90)
    return (255 * np.clip((half + soft - distance) / soft, 0, 1)).astype(np.uint8)


_HUE_WEIGHTS = {name: _window(*colour.hues) for name, colour in COLOURS.items() if colour.hues}
_DULL = 130 * 255
"""Saturation times value below which what has the hue of orange is brown."""
_SATURATION_WEIGHTS = (255 * np.clip((np.arange(256, dtype=np.float32) - 60) / 40, 0, 1)).astype(np.uint8)
_VALUE_WEIGHTS = (255 * np.clip((np.arange(256, dtype=np.float32) - 35) / 40, 0, 1)).astype(np.uint8)


def find_colour(picture: Pixels, name: str) -> Floats:
    """Weigh how much each pixel has a named hue.

    Args:
        picture: uint8 [H, W, 3] sRGB.
        name: a chromatic colour.

    Returns:
        float32 [H, W], 0 where it has not, 1 where it clearly has, smooth between.
    """
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    weight = cv2.multiply(cv2.LUT(hue, _HUE_WEIGHTS[name]), cv2.LUT(saturation, _SATURATION_WEIGHTS), scale=1 / 255)
    return cv2.multiply(weight, cv2.LUT(value, _VALUE_WEIGHTS), scale=1 / 255).astype(np.float32) / 255


def measure_hues(picture: Pixels) -> dict[str, float]:
    """Measure which share of a picture has each chromatic colour: uint8 [H, W, 3] -> name -> 0..1; brown is none of them."""
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV))
    counts = np.bincount(hue[(saturation > 80) & (value > 55) & ~_is_brown(hue, saturation, value)], minlength=180)
    total = hue.size
    shares = {}
    for name in CHROMATIC:
        low, high = COLOURS[name].hues or (0, 0)
        count = counts[low:high].sum() if low >= 0 else counts[low:].sum() + counts[:high].sum()
        shares[name] = float(count) / total
    return shares


def _is_brown(hue: npt.NDArray[Any], saturation: npt.NDArray[Any], value: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which pixels, given as OpenCV's HSV, have the hue of orange or nearly so, but are too dull to be called orange or red."""
    return (hue >= 4) & (hue < 20) & (saturation.astype(np.int32) * value < _DULL)


def name_colour(pixels: Pixels) -> str | None:
    """Name the colour of most of the pixels, uint8 [N, 3]: a chromatic one of 60 %, black, white or grey of 75 %, or else None.

    Brown and skin have no name here.
    """
    name = name_hue(pixels)
    if name not in ("red", "orange"):
        return name
    hue, saturation, value = cv2.split(cv2.cvtColor(np.ascontiguousarray(pixels).reshape(-1, 1, 3), cv2.COLOR_RGB2HSV))
    return None if _is_brown(hue, saturation, value).mean() > 0.5 else name


def name_hue(pixels: Pixels) -> str | None:
    """The same as `name_colour`, but brown is called by its hue, orange or red."""
    if len(pixels) == 0:
        return None
    hsv = cv2.cvtColor(np.ascontiguousarray(pixels).reshape(-1, 1, 3), cv2.COLOR_RGB2HSV).reshape(-1, 3)
    hue, saturation, value = hsv.T
    chromatic = (saturation > 80) & (value > 70)
    shares = {
        "black": float(np.mean((value <= 70) | ((saturation <= 90) & (value <= 95)))),
        "white": float(np.mean((saturation <= 45) & (value >= 215))),
        "grey": float(np.mean((saturation <= 55) & (value > 95) & (value < 215))),
    }
    for name in CHROMATIC:
        low, high = COLOURS[name].hues or (0, 0)
        inside = (hue >= low) & (hue < high) if low >= 0 else (hue >= low % 180) | (hue < high)
        shares[name] = float(np.mean(chromatic & inside))
    pale = chromatic & ((hue >= 172) | (hue < 8)) & (saturation < 140) & (value > 180)
    shares["red"] -= float(np.mean(pale))
    shares["pink"] += float(np.mean(pale))
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= (0.6 if best in CHROMATIC else 0.75) else None


def recolour(picture: Floats, name: str) -> Floats:
    """Give everything in a picture a named colour and keep its light and shade.

    The hue becomes the colour's, the chroma at least two thirds of it, and the lightness moves half of the way towards it.

    Args:
        picture: float32 [H, W, 3] sRGB 0..1.
        name: any named colour.

    Returns:
        float32 [H, W, 3] sRGB 0..1.
    """
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    lightness = lab[..., 0]
    anchor = ANCHORS[name]
    if name == "black":
        lab[..., 0] = lightness * 0.35
    elif name == "white":
        lab[..., 0] = 100 - (100 - lightness) * 0.35
    else:
        lab[..., 0] = lightness * 0.5 + anchor[0] * 0.5
    if COLOURS[name].hues is None:
        lab[..., 1:] = lab[..., 1:] * 0.1
    else:
        chroma = np.hypot(lab[..., 1], lab[..., 2])
        strength = float(np.hypot(anchor[1], anchor[2]))
        chroma = np.maximum(chroma, strength * 0.65) * np.clip(lightness / 30, 0.2, 1) * np.clip((104 - lightness) / 20, 0.3, 1)
        lab[..., 1] = chroma * (anchor[1] / strength)
        lab[..., 2] = chroma * (anchor[2] / strength)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
