"""Where an edit may be, as `step1x edit` is told: a mask file, or a box of pixels; and the shape of a picture without one to edit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image


def read_region(mask: Path | None, box: str | None, size: tuple[int, int]) -> Image | None:
    """The mask, white where the edit may be and black where it is transparent, for a picture of this size; None where neither is given.

    Raises:
        UsageError: both are given, the box is none or lies outside, or nothing of the mask is white.
        ImageError: the mask cannot be read.
    """
    from PIL import ImageChops

    from step1x_edit.image_io import read_image

    if mask is not None and box is not None:
        raise UsageError("Give either a mask or a box, not both.")
    if mask is not None:
        painted = read_image(mask).image
        grey = painted.convert("L")
        if painted.mode == "RGBA":
            grey = ImageChops.multiply(grey, painted.getchannel("A"))
        if grey.getextrema()[1] == 0:
            raise UsageError(f"Nothing of the mask {mask} is white, so that nothing could be edited; white is where the edit may be.")
        return grey
    if box is None:
        return None
    region = draw_box(read_box(box), size)
    if region.getbbox() is None:
        raise UsageError(f"The box {box} lies outside the picture, which is {size[0]} x {size[1]}.")
    return region


def draw_box(box: tuple[int, int, int, int], size: tuple[int, int]) -> Image:
    """A mask for a picture of this size, white in a box X, Y, W, H of pixels."""
    from PIL import Image

    left, top, width, height = box
    region = Image.new("L", size, 0)
    inside = max(0, left), max(0, top), min(size[0], left + width), min(size[1], top + height)
    if inside[0] < inside[2] and inside[1] < inside[3]:
        region.paste(255, inside)
    return region


def read_box(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H in pixels; raises UsageError where it is not that."""
    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError as error:
        raise UsageError(f"The box must be four whole numbers X,Y,W,H, not {text!r}.") from error
    if width < 1 or height < 1:
        raise UsageError(f"The box {text} has no area; give a width and a height above 0.")
    return left, top, width, height


def read_shape(text: str) -> tuple[int, int]:
    """WxH in pixels; raises UsageError where it is not that."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"The shape must be two whole numbers WxH, as 1024x768, not {text!r}.")
    return int(width), int(height)
