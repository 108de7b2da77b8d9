"""Simple shapes as subjects: what everybody knows how to draw from its name and its colour."""

from __future__ import annotations

import random
from functools import lru_cache

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS
from step1x_edit.data.materials import Subject
from step1x_edit.data.tools.filtering import bound

SHAPES: dict[str, str] = {
    "circle": "圆形",
    "square": "正方形",
    "triangle": "三角形",
    "star": "星形",
    "heart": "心形",
    "diamond": "菱形",
    "ring": "圆环",
    "cross": "十字",
}
"""Name of a shape, English -> Chinese."""

_SIDE = 256


def _polygon(name: str) -> np.ndarray:
    """Corners of a shape in the square -1..1, float64 [N, 2]."""
    if name == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if name == "triangle":
        return np.array([(0, -1), (1, 0.8), (-1, 0.8)], float)
    if name == "diamond":
        return np.array([(0, -1), (0.75, 0), (0, 1), (-0.75, 0)], float)
    if name == "cross":
        arm = 0.34
        quarter = np.array([(-arm, -1), (arm, -1), (arm, -arm)])
        turn = np.array([(0, 1), (-1, 0)])
        return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    angles = np.linspace(0, 2 * np.pi, 121)[:-1]
    if name == "star":
        angles = np.arange(10) * np.pi / 5
        radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
        return np.stack([radius * np.sin(angles), -radius * np.cos(angles)], 1)
    if name == "heart":
        x = np.sin(angles) ** 3
        y = -(13 * np.cos(angles) - 5 * np.cos(2 * angles) - 2 * np.cos(3 * angles) - np.cos(4 * angles)) / 16
        return np.stack([x, y], 1)
    return np.stack([np.cos(angles), np.sin(angles)], 1)


@lru_cache(maxsize=256)
def draw_shape(name: str, colour: str) -> Subject:
    """Draw a shape in a plain named colour."""
    mask = np.zeros((_SIDE, _SIDE), np.uint8)
    corners = np.round((_polygon(name) * 0.98 + 1) * _SIDE / 2).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, lineType=cv2.LINE_AA)
    if name == "ring":
        cv2.circle(mask, (_SIDE // 2, _SIDE // 2), round(_SIDE * 0.3), 0, -1, lineType=cv2.LINE_AA)
    mask = mask[bound(mask > 0).within]
    rgb = mask[..., None].astype(np.float32) / 255 * np.array(COLOURS[colour].rgb, np.float32)
    pixels = np.concatenate([(rgb + 0.5).astype(np.uint8), mask[..., None]], 2)
    return Subject(f"{colour}-{name}", pixels, f"{colour} {name}", f"{COLOURS[colour].zh}{SHAPES[name]}", "object", colour)


def choose_shape(rng: random.Random) -> Subject:
    """Draw any shape in any colour."""
    return draw_shape(rng.choice(tuple(SHAPES)), rng.choice(tuple(COLOURS)))


def draw_shapes() -> tuple[Subject, ...]:
    """Every shape in every colour: what stands in for cut-outs where there are none."""
    return tuple(draw_shape(shape, colour) for shape in SHAPES for colour in COLOURS)
