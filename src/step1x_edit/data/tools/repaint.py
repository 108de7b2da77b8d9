"""Colours, materials and styles drawn by rule: light and shade stay, what is under them changes. Offline controlled generator."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from step1x_edit.data.categories.material import MATERIALS
from step1x_edit.data.categories.style import STYLES
from step1x_edit.data.colours import ANCHORS, COLOURS, to_lab
from step1x_edit.data.tools.choice import BareTool
from step1x_edit.data.tools.filtering import blend, guide
from step1x_edit.data.tools.protocols import Look, ToolCard
from step1x_edit.data.triplet import Floats, Mask, Pixels
from step1x_edit.errors import UsageError


class Repaint(BareTool):
    """Works in Lab, where equal steps look equally large: the hue is the new one, lightness keeps its folds and shadows."""

    @property
    def card(self) -> ToolCard:
        return ToolCard("repaint", "1")

    def generate(self, picture: Pixels, region: Mask, control: Floats, look: Look, seed: int = 0) -> Pixels:
        """Give the region the look, its border softened over two pixels inwards; depth bends the grain of a material, edges are not needed.

        Raises:
            UsageError: there is no such colour, material or style.
        """
        tables: dict[str, Mapping[str, object]] = {"colour": COLOURS, "material": MATERIALS, "style": STYLES}
        known = tables[look.kind]
        if look.name not in known:
            raise UsageError(f"There is no {look.kind} {look.name!r}; choose one of {', '.join(known)}.")
        if not region.any():
            return picture.copy()
        if look.kind == "style":
            changed = STYLES[look.name].apply(picture).astype(np.float32)
        elif look.kind == "colour":
            changed = _recolour(picture, region, look.name) * 255
        else:
            changed = _remake(picture, region, control, look.name, seed) * 255
        return blend(picture, region, changed, border=2.5)


def _shade(picture: Pixels, region: Mask) -> tuple[Floats, float, float]:
    """Lightness 0..100 of the picture, and its median and spread inside the region."""
    lightness = to_lab(picture)[..., 0]
    inside = lightness[region]
    low, middle, high = (float(v) for v in np.percentile(inside, (10, 50, 90)))
    return lightness, middle, max(high - low, 4.0)


def _recolour(picture: Pixels, region: Mask, name: str) -> Floats:
    """The picture in a named colour: float32 [H, W, 3], 0..1; light and shade around the colour's own lightness, highlights stay pale."""
    lab = to_lab(picture)
    lightness, middle, spread = _shade(picture, region)
    anchor = ANCHORS[name]
    aim = {"black": 17.0, "white": 88.0}.get(name, 0.75 * float(anchor[0]) + 0.25 * middle)
    gain = {"black": 0.45, "white": 0.5}.get(name, min(1.0, 45 / spread))
    lab[..., 0] = np.clip(aim + gain * (lightness - middle), 2, 99)
    shine = np.clip((lightness - max(88.0, middle + 15)) / 10, 0, 1)
    strength = 0.1 if COLOURS[name].hues is None else 1.0
    # Chroma follows lightness as it does on a real surface: pale in highlights, weak in deep shadow, uneven as it was before.
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    usual = max(float(np.median(chroma[region])), 1.0)
    uneven = np.clip(0.6 + 0.4 * chroma / usual, 0.6, 1.15) if usual > 8 else np.ones_like(chroma)
    scale = strength * uneven * np.clip(lab[..., 0] / 35, 0.3, 1) * (1 - 0.85 * shine)
    lab[..., 1], lab[..., 2] = anchor[1] * scale, anchor[2] * scale
    if COLOURS[name].hues is None:
        lab[..., 1:] = 0
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)


def _remake(picture: Pixels, region: Mask, depth: Floats, name: str, seed: int) -> Floats:
    """The picture made of a material: float32 [H, W, 3], 0..1. Its large shading goes through the material's colours, its fine detail
    mostly goes, and the material's grain is bent by shading and depth so that it follows the surface."""
    material = MATERIALS[name]
    height, width = picture.shape[:2]
    size = max(height, width)
    lightness, middle, spread = _shade(picture, region)
    smooth = guide(lightness / 100, picture, max(2, size // 60), 4e-3) * 100
    detail = lightness - smooth
    level = 0.5 + (smooth - middle) / (1.6 * max(spread, 18.0)) + detail / 160
    grey = np.clip(level, 0, 1)
    if material.shine > 1:
        grey = 0.5 - 0.5 * np.cos(np.pi * material.shine * (0.12 + 0.8 * grey))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / size
    generator = np.random.default_rng(seed)
    turn, shift_x, shift_y = float(generator.uniform(-0.5, 0.5)), float(generator.uniform()), float(generator.uniform())
    bend = cv2.GaussianBlur(smooth / 100 + 0.5 * depth, (0, 0), max(1.0, size / 100)) * 0.22
    u = np.cos(turn) * x - np.sin(turn) * y + bend + shift_x
    v = np.sin(turn) * x + np.cos(turn) * y + bend + shift_y
    shade, mid, light = (np.array(colour, np.float32) / 255 for colour in material.ramp)
    low, high = np.clip(grey * 2, 0, 1)[..., None], np.clip(grey * 2 - 1, 0, 1)[..., None]
    rgb = shade + (mid - shade) * low + (light - mid) * high
    grain = 1 + 1.3 * material.strength * material.texture(u, v)
    relief = np.clip(1 + detail / 130, 0.7, 1.3)
    return np.clip(rgb * (grain * relief)[..., None], 0, 1).astype(np.float32)
