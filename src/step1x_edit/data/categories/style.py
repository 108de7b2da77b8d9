"""Style transfer: drawing, painting and print styles as fixed filters, whose scales are shares of the picture's side."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import decorate, describe, gather_facts
from step1x_edit.data.triplet import Draft, Floats, Pixels, Request


def _odd(pixels: float) -> int:
    """The nearest odd whole number, at least 3: a filter's width."""
    return max(3, 2 * round((pixels - 1) / 2) + 1)


def _grey(picture: Pixels) -> Pixels:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8)


def _to_rgb(grey: Floats) -> Pixels:
    """Values of 0..255 [H, W] as a picture."""
    return cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB).astype(np.uint8)


def _side(picture: Pixels) -> int:
    """The shorter one, in pixels, by which blurs and lines go."""
    return min(picture.shape[:2])


def _ink(grey: Pixels) -> Floats:
    """Thin lines on the dark side of edges, as the difference of two blurs: float32 [H, W], 0 no ink, 1 full ink."""
    scale = _side(grey) / 128
    fine = cv2.GaussianBlur(grey, (0, 0), 0.6 * scale).astype(np.float32)
    coarse = cv2.GaussianBlur(grey, (0, 0), 1.6 * scale).astype(np.float32)
    return np.clip((coarse - fine - 2) / 7, 0, 1).astype(np.float32)


def _pencil(picture: Pixels) -> Pixels:
    grey = _grey(picture)
    soft = cv2.GaussianBlur(grey, (0, 0), _side(picture) * 0.025)
    drawn = np.clip(grey.astype(np.float32) / np.maximum(soft, 8) * 1.02, 0, 1) ** 2.2
    return _to_rgb(drawn * 255)


def _line_art(picture: Pixels) -> Pixels:
    return _to_rgb(255 * (1 - _ink(_grey(picture))))


def _mosaic(picture: Pixels) -> Pixels:
    side = _side(picture)
    cells = round(16 * picture.shape[1] / side), round(16 * picture.shape[0] / side)
    small = cv2.resize(picture, cells, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _levels(count: int) -> Pixels:
    steps = np.round(np.arange(256) / 255 * (count - 1)) / (count - 1)
    return (steps * 255).astype(np.uint8)


_FOUR = _levels(4)


def _soft_levels(count: int) -> Floats:
    """As many steps of light, each a short ramp, so that noise does not make them ragged: float32 [256] in 0..255."""
    whole, rest = np.divmod(np.arange(256, dtype=np.float32) / 255 * count, 1)
    return np.clip((whole + np.clip((rest - 0.5) * 4 + 0.5, 0, 1)) / count * 255, 0, 255).astype(np.float32)


_FIVE_SOFT = _soft_levels(5)


def _posterise(picture: Pixels) -> Pixels:
    soft = cv2.GaussianBlur(picture, (0, 0), _side(picture) / 160)
    return cv2.LUT(soft, _FOUR).astype(np.uint8)


def _blur(picture: Pixels) -> Pixels:
    return cv2.GaussianBlur(picture, (0, 0), _side(picture) * 0.035).astype(np.uint8)


def _saturate(picture: Pixels, factor: float, light: float = 0) -> Pixels:
    grey = _grey(picture)[..., None].astype(np.float32)
    return np.clip(grey + factor * (picture - grey) + light, 0, 255).astype(np.uint8)


def _oil(picture: Pixels) -> Pixels:
    width = _odd(_side(picture) * 0.055)
    smooth = cv2.medianBlur(cv2.medianBlur(picture, width), width)
    return _saturate(smooth.astype(np.uint8), 1.5)


def _watercolour(picture: Pixels) -> Pixels:
    width = _odd(_side(picture) * 0.04)
    smooth = cv2.blur(cv2.medianBlur(picture, width), (width, width)).astype(np.float32)
    pale = 255 * (smooth / 255) ** 0.55
    edge = _ink(_grey(picture))[..., None]
    return np.clip(pale * (1 - 0.35 * edge) + 12, 0, 255).astype(np.uint8)


def _cartoon(picture: Pixels) -> Pixels:
    """Flat, strong colours in five soft steps of light, of unchanged hue, within dark lines."""
    smooth = cv2.medianBlur(picture, _odd(_side(picture) * 0.035)).astype(np.uint8)
    grey = _grey(smooth)
    light = grey.astype(np.float32)[..., None]
    flat = (smooth * ((_FIVE_SOFT[grey][..., None] + 18) / (light + 18))).clip(0, 255).astype(np.uint8)
    return (_saturate(flat, 1.5, 14) * (1 - _ink(grey)[..., None])).astype(np.uint8)


def _emboss(picture: Pixels) -> Pixels:
    size = _side(picture)
    soft = cv2.GaussianBlur(_grey(picture), (0, 0), size / 180).astype(np.float32)
    shift = max(1, round(size / 128))
    padded = cv2.copyMakeBorder(soft, shift, shift, shift, shift, cv2.BORDER_REPLICATE)
    relief = 128 + 2.2 * (padded[: -2 * shift, : -2 * shift] - padded[2 * shift :, 2 * shift :])
    return _to_rgb(np.clip(relief, 0, 255))


def _neon(picture: Pixels) -> Pixels:
    size = _side(picture)
    soft = cv2.GaussianBlur(picture, (0, 0), size / 128).astype(np.float32)
    glow = cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)) * (size / 128)
    return np.clip(glow * 1.3, 0, 255).astype(np.uint8)


def _negative(picture: Pixels) -> Pixels:
    return 255 - picture


def _phases(length: int, dots: int) -> Floats:
    """How far each of so many pixels is from the middle of its dot, in dots: float32 [length], -0.5..0.5."""
    return (np.arange(length, dtype=np.float32) + 0.5) * dots / length % 1 - 0.5


def _halftone(picture: Pixels) -> Pixels:
    size = _side(picture)
    counts = [round(32 * length / size) for length in picture.shape[:2]]
    along, across = (_phases(length, dots) for length, dots in zip(picture.shape[:2], counts, strict=True))
    distance = np.sqrt(along[:, None] ** 2 + across[None] ** 2)
    small = cv2.resize(_grey(picture), counts[::-1], interpolation=cv2.INTER_AREA)
    dark = 1 - cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(np.float32) / 255
    ink = np.clip((np.sqrt(dark) * 0.72 - distance) * size / 32 + 0.5, 0, 1)
    return _to_rgb(255 * (1 - ink))


def _pop_art(picture: Pixels) -> Pixels:
    soft = cv2.GaussianBlur(picture, (0, 0), _side(picture) / 128)
    return np.where(soft > 112, 255, 30).astype(np.uint8)


def _map_luminance(colours: Pixels) -> Callable[[Pixels], Pixels]:
    """Each luminance becomes a colour: uint8 [256, 3]."""
    table = np.ascontiguousarray(colours.reshape(1, 256, 3))
    return lambda picture: cv2.LUT(_to_rgb(_grey(picture)), table).astype(np.uint8)


_JET = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_JET)[:, 0, ::-1].astype(np.uint8)


def _duotone(dark: str, light: str) -> Callable[[Pixels], Pixels]:
    """Luminance mapped onto the line between two named colours."""
    ramp = np.arange(256, dtype=np.float32)[:, None] / 255
    table = np.array(COLOURS[dark].rgb) * 0.6 * (1 - ramp) + np.array(COLOURS[light].rgb) * ramp
    return _map_luminance(table.clip(0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Style:
    """A filter of uint8 [H, W, 3] and how a caption speaks of its result."""

    apply: Callable[[Pixels], Pixels]
    caption: str


STYLES: dict[str, Style] = {
    "pencil": Style(_pencil, "as a pencil sketch"),
    "line art": Style(_line_art, "as line art"),
    "mosaic": Style(_mosaic, "as a mosaic of squares"),
    "posterise": Style(_posterise, "as a poster of few colours"),
    "blur": Style(_blur, "out of focus"),
    "oil painting": Style(_oil, "as an oil painting"),
    "watercolour": Style(_watercolour, "as a watercolour"),
    "cartoon": Style(_cartoon, "as a cartoon"),
    "emboss": Style(_emboss, "as a grey relief"),
    "neon": Style(_neon, "as neon lines"),
    "negative": Style(_negative, "as a negative"),
    "halftone": Style(_halftone, "as printed dots"),
    "heat map": Style(_map_luminance(_JET), "as a heat map"),
    "pop art": Style(_pop_art, "as pop art"),
    "duotone blue yellow": Style(_duotone("blue", "yellow"), "in blue and yellow"),
    "duotone red white": Style(_duotone("red", "white"), "in red and white"),
    "duotone purple orange": Style(_duotone("purple", "orange"), "in purple and orange"),
    "duotone green white": Style(_duotone("green", "white"), "in green and white"),
}


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Apply one style to a photograph, with or without a subject on it."""
    name = rng.choice(tuple(STYLES))
    background, photograph = materials.crop(rng, size)
    picture, placed = decorate(rng, materials, background)
    caption = describe(placed, photograph.caption)
    return Draft(
        source=picture,
        target=STYLES[name].apply(picture),
        touched=None,
        request=Request(f"style {name}"),
        source_caption=caption,
        target_caption=f"{caption}, {STYLES[name].caption}",
        edit=f"style {name}",
        parameters=gather_facts(photograph, placed),
    )
