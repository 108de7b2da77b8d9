"""Material modification: a subject of wood, gold, stone ...: its light and shade through a colour ramp, times a fixed texture.

The texture belongs to the material's name and to the place in the frame, not to the subject, so that it can be known from the words.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from step1x_edit.data.compositing import Sprite, paste
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import describe, draw_all, gather_facts, refer, set_scene
from step1x_edit.data.triplet import Draft, Floats, Request


def _plain(x: Floats, y: Floats) -> Floats:
    return np.zeros_like(x + y)


def _grain(x: Floats, y: Floats) -> Floats:
    """Long wavy lines."""
    return np.sin(2 * np.pi * (9 * y + 0.7 * np.sin(2 * np.pi * 1.3 * x) + 0.35 * np.sin(2 * np.pi * (3.1 * x + y))))


def _veins(x: Floats, y: Floats) -> Floats:
    """Thin dark veins."""
    wave = np.sin(2 * np.pi * (2.2 * x + 1.6 * y + 0.45 * np.sin(2 * np.pi * (1.7 * y - x)) + 0.2 * np.sin(2 * np.pi * 4.3 * x)))
    return 1 - 2 * np.exp(-((wave / 0.22) ** 2))


def _grit(x: Floats, y: Floats) -> Floats:
    """Speckles of a few sizes."""
    return (
        np.sin(37 * x + 23 * np.sin(19 * y)) + np.sin(53 * y + 17 * np.sin(29 * x)) + np.sin(71 * (x + y) + 9 * np.sin(41 * (x - y)))
    ) / 3


def _courses(x: Floats, y: Floats) -> Floats:
    """Brickwork: bricks of an eighth by a sixteenth of the frame, with pale joints."""
    row = np.floor(y * 16)
    along = x * 8 + 0.5 * (row % 2)
    joint = (np.abs(y * 16 - row - 0.5) > 0.38) | (np.abs(along % 1 - 0.5) > 0.44)
    return np.where(joint, 1.0, -0.2)


def _twill(x: Floats, y: Floats) -> Floats:
    return np.sin(2 * np.pi * 24 * (x + y))


@dataclass(frozen=True)
class Material:
    """A material: Chinese name, colours from shade over middle to light (sRGB 0..255), how often light and shade alternate
    (1 keeps them, 2 shines like polished metal), texture and its strength."""

    zh: str
    ramp: tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
    texture: Callable[[Floats, Floats], Floats] = _plain
    strength: float = 0.0
    shine: float = 1.0


MATERIALS: dict[str, Material] = {
    "wood": Material("木头", ((66, 36, 16), (150, 96, 50), (214, 164, 104)), _grain, 0.16),
    "gold": Material("黄金", ((92, 58, 6), (214, 164, 36), (255, 244, 160)), shine=1.7),
    "silver": Material("银", ((50, 54, 62), (140, 146, 156), (228, 232, 238)), shine=1.7),
    "chrome": Material("铬", ((14, 18, 26), (126, 142, 160), (255, 255, 255)), shine=2.6),
    "bronze": Material("青铜", ((50, 30, 14), (150, 98, 50), (236, 186, 120)), shine=1.7),
    "stone": Material("石头", ((60, 60, 58), (128, 126, 120), (190, 188, 180)), _grit, 0.16),
    "marble": Material("大理石", ((150, 148, 150), (216, 214, 212), (252, 252, 250)), _veins, 0.14),
    "jade": Material("玉", ((10, 70, 44), (60, 160, 104), (180, 236, 196)), _veins, 0.07),
    "ice": Material("冰", ((60, 120, 170), (150, 206, 232), (244, 252, 255)), _veins, 0.07, 1.4),
    "glass": Material("玻璃", ((110, 150, 160), (190, 220, 222), (255, 255, 255)), shine=2.2),
    "chocolate": Material("巧克力", ((34, 16, 8), (84, 46, 26), (160, 104, 70)), shine=1.4),
    "clay": Material("陶土", ((96, 44, 26), (178, 96, 64), (226, 158, 124)), _grit, 0.05),
    "brick": Material("砖块", ((90, 30, 20), (160, 66, 46), (206, 116, 90)), _courses, 0.3),
    "denim": Material("牛仔布", ((16, 28, 62), (48, 78, 136), (132, 164, 208)), _twill, 0.14),
    "red plastic": Material("红色塑料", ((150, 10, 20), (226, 40, 50), (255, 190, 190)), shine=1.4),
    "lava": Material("熔岩", ((40, 8, 4), (226, 70, 10), (255, 226, 90)), _veins, 0.2),
}


@lru_cache(maxsize=64)
def _draw_texture(name: str, size: int) -> Floats:
    """Texture of a material over the frame: float32 [S, S, 1], a factor around 1."""
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    material = MATERIALS[name]
    return (1 + material.strength * material.texture(axis[None], axis[:, None]))[..., None].astype(np.float32)


def give_material(sprite: Sprite, name: str, left: int, top: int, size: int) -> Sprite:
    """Redraw a sprite, whose place in a frame of `size` pixels is known, in a material."""
    material = MATERIALS[name]
    grey = cv2.cvtColor(sprite.rgb, cv2.COLOR_RGB2GRAY)
    if material.shine > 1:
        grey = 0.5 - 0.5 * np.cos(np.pi * material.shine * (0.15 + 0.8 * grey))
    shade, middle, light = (np.array(colour, np.float32) / 255 for colour in material.ramp)
    low, high = np.clip(grey * 2, 0, 1)[..., None], np.clip(grey * 2 - 1, 0, 1)[..., None]
    rgb = shade + (middle - shade) * low + (light - middle) * high
    height, width = grey.shape
    rows = np.clip(np.arange(top, top + height), 0, size - 1)
    columns = np.clip(np.arange(left, left + width), 0, size - 1)
    return Sprite(np.clip(rgb * _draw_texture(name, size)[rows[:, None], columns], 0, 1).astype(np.float32), sprite.alpha)


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Take one or two subjects; in the target the first is made of another material."""
    scene = set_scene(rng, materials, size)
    if scene is None:
        return None
    background, photograph, placed = scene
    wanted = placed[0]
    name = rng.choice(tuple(MATERIALS))
    remade = dataclasses.replace(wanted, sprite=give_material(wanted.sprite, name, wanted.left, wanted.top, size))
    touched = paste(background.copy(), wanted.sprite, wanted.left, wanted.top)
    english, chinese, short = refer(rng, wanted, placed[1:], photograph)
    caption = describe(placed, photograph.caption)
    return Draft(
        source=draw_all(background, placed),
        target=draw_all(background, [remade, *placed[1:]]),
        touched=touched,
        request=Request("material", {"subject": english, "material": name}, {"subject": chinese, "material": MATERIALS[name].zh}),
        source_caption=caption,
        target_caption=caption.replace(wanted.subject.en, f"{wanted.subject.en} of {name}", 1),
        edit=f"material {short} {name}",
        parameters=gather_facts(photograph, placed),
    )
