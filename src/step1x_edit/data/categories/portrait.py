"""Portrait editing and beautification, without pictures of faces: what retouchers do, at the place where a portrait has its face.

The materials hold no annotated portraits. So this category teaches the operations and their words, not what a face is: smoothing,
lighting, tanning or blushing inside a soft oval in the upper middle of the frame, softening or darkening what is around it, a soft
glow, and a hat or crown on the head of a pasted subject. Real portraits need real before and after pictures.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from step1x_edit.data.compositing import scale_subject
from step1x_edit.data.materials import Materials
from step1x_edit.data.scene import Placed, describe, draw_all, gather_facts, put_subject, refer
from step1x_edit.data.triplet import Draft, Floats, Mask, Pixels, Request

HATS: dict[str, str] = {"top-hat": "礼帽", "crown": "皇冠"}
"""Known subjects that can be worn: name -> Chinese."""


@lru_cache(maxsize=8)
def _oval(size: int) -> Floats:
    """Soft oval around (0.5, 0.45) with half axes 0.32 and 0.42: float32 [S, S, 1], 1 inside, 0 outside."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    distance = np.sqrt(((axis[None] - 0.5) / 0.32) ** 2 + ((axis[:, None] - 0.45) / 0.42) ** 2)
    return np.clip((1.15 - distance) / 0.3, 0, 1)[..., None].astype(np.float32)


def _smooth(picture: Pixels) -> Floats:
    width = max(3, 2 * round(picture.shape[0] * 0.03) + 1)
    return cv2.medianBlur(picture, width).astype(np.float32)


def _soften(picture: Pixels) -> Floats:
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[0] * 0.04).astype(np.float32)


def _glow(picture: Pixels) -> Floats:
    soft = cv2.GaussianBlur(picture, (0, 0), picture.shape[0] * 0.03).astype(np.float32)
    return 255 - (255 - picture.astype(np.float32)) * (255 - 0.75 * soft) / 255


_OPERATIONS: dict[str, tuple[Callable[[Pixels], Floats], str, str]] = {
    "smooth": (_smooth, "inside", "smooth in the middle"),
    "brighten": (lambda picture: 255 * (picture.astype(np.float32) / 255) ** 0.5, "inside", "bright in the middle"),
    "tan": (lambda picture: picture * np.array([0.95, 0.72, 0.5], np.float32), "inside", "tanned in the middle"),
    "blush": (
        lambda picture: picture * np.array([1.0, 0.72, 0.78], np.float32) + np.array([18, 0, 6], np.float32),
        "inside",
        "rosy in the middle",
    ),
    "blur around": (_soften, "outside", "blurred around the middle"),
    "darken around": (lambda picture: picture * np.float32(0.2), "outside", "dark around the middle"),
    "glow": (_glow, "everywhere", "in a soft glow"),
}
"""What is done, where, and how a caption speaks of the result."""


def make(rng: random.Random, materials: Materials, size: int) -> Draft | None:
    """Retouch the oval of a portrait or what is around it, or dress a subject's head."""
    hats = [subject for subject in materials.known if subject.name in HATS]
    if hats and rng.random() < 0.25:
        return _dress(rng, materials, size, rng.choice(hats).name)
    background, photograph = materials.crop(rng, size)
    picture, placed = _seat(rng, materials, background)
    name = rng.choice(tuple(_OPERATIONS))
    operation, where, caption_after = _OPERATIONS[name]
    weight = {"inside": _oval(size), "outside": 1 - _oval(size), "everywhere": np.ones((size, size, 1), np.float32)}[where]
    mixed = picture + weight * (np.clip(operation(picture), 0, 255) - picture)
    target = np.where(weight > 0, (mixed + 0.5).astype(np.uint8), picture)
    touched: Mask | None = None if where == "everywhere" else weight[..., 0] > 0
    caption = describe(placed, photograph.caption)
    return Draft(
        source=picture,
        target=target,
        touched=touched,
        request=Request(f"portrait {name}"),
        source_caption=caption,
        target_caption=f"{caption}, {caption_after}",
        edit=f"portrait {name}",
        parameters=gather_facts(photograph, placed),
    )


def _seat(rng: random.Random, materials: Materials, background: Pixels) -> tuple[Pixels, list[Placed]]:
    """Half of the time, paste an animal or a person where a portrait has its face."""
    sitters = [subject for subject in materials.subjects if subject.kind in ("animal", "person")]
    if not sitters or rng.random() < 0.5:
        return background, []
    size = background.shape[0]
    sitter = put_subject(rng, materials, background, rng.uniform(0.6, 0.85), rng.choice(sitters), plain=True)
    height, width = sitter.sprite.alpha.shape[:2]
    sitter = Placed(sitter.subject, sitter.sprite, (size - width) // 2, round(size * 0.47) - height // 2, "centre")
    return draw_all(background, [sitter]), [sitter]


def _dress(rng: random.Random, materials: Materials, size: int, hat_name: str) -> Draft | None:
    """Put a hat on a pasted animal or person: three fifths as wide as it, a quarter of the hat over its head."""
    wearers = [subject for subject in materials.subjects if subject.kind in ("animal", "person")]
    if not wearers:
        return None
    background, photograph = materials.crop(rng, size)
    wearer = put_subject(rng, materials, background, rng.uniform(0.45, 0.65), rng.choice(wearers), plain=True)
    height, width = wearer.sprite.alpha.shape[:2]
    top = round(size * 0.96) - height
    wearer = Placed(wearer.subject, wearer.sprite, wearer.left, top, "bottom")
    hat_subject = next(subject for subject in materials.known if subject.name == hat_name)
    hat = scale_subject(hat_subject.pixels, max(4, round(width * 0.6)), aspect=materials.aspect)
    hat_height, hat_width = hat.alpha.shape[:2]
    worn = Placed(hat_subject, hat, wearer.left + (width - hat_width) // 2, top - round(hat_height * 0.75), "top")
    if worn.top < 0:
        return None
    source = draw_all(background, [wearer])
    target = source.copy()
    touched = worn.draw(target)
    english, chinese, short = refer(rng, wearer, (), photograph)
    caption = describe([wearer], photograph.caption)
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=Request("portrait wear", {"subject": english, "hat": f"a {hat_subject.en}"}, {"subject": chinese, "hat": HATS[hat_name]}),
        source_caption=caption,
        target_caption=f"{caption}, wearing a {hat_subject.en}",
        edit=f"portrait wear {hat_subject.en} {short}",
        parameters={**gather_facts(photograph, [wearer]), "hat": hat_name},
    )
