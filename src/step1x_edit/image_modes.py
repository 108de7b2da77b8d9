"""Bring a picture of any kind that Pillow knows to one kind: RGB or RGBA, sRGB, 8 bits a channel."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from step1x_edit.image_origins import UNKNOWN, Origin

_UNMULTIPLIED = {"La": "LA", "RGBa": "RGBA"}
_COLOURS_OF = {"1": "L", "P": "RGB", "PA": "RGB", "LA": "L", "RGBA": "RGB", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
"""Modes with transparency, a palette or a colour space of their own, and the mode that holds their colours alone."""

_UPPER = np.rint(np.arange(65536) / 257).astype(np.uint8)
"""By a value of 16 bits, that of 8 bits which is nearest."""

_UNNOTICED = 3
"""Levels of 255 by which profiles of sRGB by different makers differ."""


@dataclass(frozen=True)
class Picture:
    """A picture that was read, RGB or RGBA; what was done to it that its owner may want to know, a sentence each; and how it was taken."""

    image: Image.Image
    notes: tuple[str, ...] = ()
    origin: Origin = UNKNOWN


def to_standard(image: Image.Image) -> Picture:
    """Bring a picture of any Pillow mode to RGB, or RGBA where it has transparency, in sRGB with 8 bits a channel.

    16-bit values keep their upper half. 32-bit integers count as 16-bit, and floats as 0..1 or 0..255, where they fit; others are
    stretched. An embedded colour profile is applied. An RGB or RGBA picture without a profile comes back as it is.
    """
    profile = image.info.get("icc_profile")
    alpha, depth_notes = None, tuple[str, ...]()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        alpha = _key_out(image)
        image, depth_notes = _to_eight_bits(image)
    image = image.convert(_UNMULTIPLIED[image.mode]) if image.mode in _UNMULTIPLIED else image
    alpha = _alpha_of(image) if alpha is None else alpha
    image = image.convert(_COLOURS_OF[image.mode]) if image.mode in _COLOURS_OF else image
    colours, profile_notes = _to_srgb(image, profile)
    if alpha is not None:
        colours = colours.copy()
        colours.putalpha(alpha)
    return Picture(colours, depth_notes + profile_notes)


def flatten(image: Image.Image) -> Image.Image:
    """The picture as RGB, transparent parts on white."""
    if image.mode == "RGB":
        return image
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def to_grey(mask: Image.Image) -> Image.Image:
    """A mask of any Pillow mode as greys of 8 bits; of 16 bits and of floats as in `to_standard`, where Pillow would cut off at 255."""
    return (to_standard(mask).image if mask.mode == "F" or mask.mode.startswith("I;16") else mask).convert("L")


def _alpha_of(image: Image.Image) -> Image.Image | None:
    if not image.has_transparency_data:
        return None
    return image.getchannel("A") if "A" in image.getbands() else image.convert("RGBA").getchannel("A")


def _key_out(image: Image.Image) -> Image.Image | None:
    """The transparency of a picture of more than 8 bits, one of whose values stands for it."""
    value = image.info.get("transparency")
    return Image.fromarray(np.where(np.asarray(image) == value, 0, 255).astype(np.uint8)) if isinstance(value, int) else None


def _to_eight_bits(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if image.mode != "F" and (whole := np.asarray(image)).dtype.itemsize == 2:
        return Image.fromarray(_UPPER[whole]), ()
    values = np.nan_to_num(np.asarray(image).astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    notes: tuple[str, ...] = ()
    if low >= 0 and high <= (65535 if image.mode != "F" else 255):
        scaled = values / 257 if image.mode != "F" else values * (255 if high <= 1 else 1)
    else:
        scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
        notes = ("Its values are beyond the usual range and were stretched to 0..255.",)
    return Image.fromarray(np.rint(scaled).astype(np.uint8)), notes


def _to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert an opaque picture from an embedded profile to sRGB; one that does not fit or cannot be read is left aside, with a note."""
    notes: tuple[str, ...] = ()
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            name = (ImageCms.getProfileDescription(source) or "").strip() or "its own colour profile"
            if image.mode == "L" and source.profile.xcolor_space == "RGB ":
                image = image.convert("RGB")
            if not (_is_srgb(source) if image.mode == "RGB" else "srgb" in name.lower()):
                return _transform(image, source), (f"Its colours were converted from {name} to sRGB.",)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes = ("Its colour profile cannot be used; its colours are taken as sRGB.",)
    if image.mode == "LAB":
        return _transform(image, ImageCms.createProfile("LAB")), notes
    return image if image.mode == "RGB" else image.convert("RGB"), notes


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether a profile moves no colour noticeably. Its name tells too little: there are linear profiles with sRGB in theirs."""
    steps = np.linspace(0, 255, 6).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
    moved = np.asarray(_transform(Image.fromarray(colours), profile)).astype(int) - colours
    return bool(abs(moved).max() <= _UNNOTICED)


def _transform(image: Image.Image, source: ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile) -> Image.Image:
    result = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if result is None:
        raise ValueError("no conversion")
    return result
