"""Background change: the foreground is matted, and what is behind it becomes plain, blurred, grey or dark, or a scene by prompt."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.colours import COLOURS, name_colour
from step1x_edit.data.labels import LABELS, label_topic
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, guess_label, is_thing, stands_apart, take_frame
from step1x_edit.data.tools.filtering import tidy
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Pixels, Request, Shape

_PLAIN = ("white", "black", "grey", "red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Keep what stands out, change the rest. Source: paper, matting and inpainting."""
    frame = take_frame(rng, photograph, shape)
    content = frame.content
    if photograph.content and content is None:
        return Unsuited("the frame cuts off too much of what the mask marks")
    matte = content.alpha.astype(np.float32) / 255 if content else tools.matting.matte(frame.pixels)
    share, unsure = float(matte.mean()), float((4 * matte * (1 - matte)).mean())
    if not 0.06 <= share <= 0.7:
        return Unsuited("no foreground of a fitting size", {"share": round(share, 4)})
    if unsure > 0.5 * share:
        return Unsuited("the border of the foreground is not clear", {"unsure": round(unsure, 4)})
    mask, label = matte > 0.5, label_topic(photograph.topic)
    if content is None and tools.is_offline("matting"):
        if not (is_thing(frame.pixels, mask) and stands_apart(frame.pixels, mask)):
            return Unsuited("the foreground is not one whole thing")
        if label and not guess_label(frame, mask, name_colour(frame.pixels[mask])):
            return Unsuited("the foreground is not what the photograph is of")
    way = rng.choices(("plain", "gradient", "blur", "black and white", "dark"), (4, 2, 3, 2, 2))[0]
    one, two = rng.sample(_PLAIN, 2)
    alpha = matte[..., None]
    behind = _draw(way, frame.pixels, alpha, one, two)
    front = _clean_colours(frame.pixels, matte) if way in ("plain", "gradient") else frame.pixels.astype(np.float32)
    target = (front * alpha + behind.astype(np.float32) * (1 - alpha) + 0.5).astype(np.uint8)
    touched = ~tidy(matte >= 0.999)
    target[~touched] = frame.pixels[~touched]
    noun_en, noun_zh = (content.en, content.zh) if content else (label or "subject", LABELS.get(label, ("主体", ""))[0])
    facts_en, facts_zh = {"colour": one, "other": two}, {"colour": COLOURS[one].zh, "other": COLOURS[two].zh}
    caption, roles = caption_frame(frame, tools), ("captioner",) if content else ("matting", "captioner")
    said = {"plain": f"background {one}", "gradient": f"background gradient {one} to {two}"}.get(way, f"background {way}")
    return Draft(
        source=frame.pixels,
        target=target,
        touched=touched,
        request=Request(f"background {way}", {"subject": f"the {noun_en}", **facts_en}, {"subject": noun_zh, **facts_zh}),
        source_caption=caption,
        target_caption=f"{caption}, {said}",
        edit=said,
        parameters={**frame.facts, "foreground": round(share, 4), "tools": tools.describe(*roles)},
    )


def _draw(way: str, picture: Pixels, alpha: Floats, one: str, two: str) -> Pixels:
    """The new background: uint8 [H, W, 3]."""
    height, width = picture.shape[:2]
    first, second = np.array(COLOURS[one].rgb, np.float32), np.array(COLOURS[two].rgb, np.float32)
    if way == "plain":
        return np.full(picture.shape, COLOURS[one].rgb, np.uint8)
    if way == "gradient":
        ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        return np.repeat((first * (1 - ramp) + second * ramp + 0.5).astype(np.uint8), width, 1)
    if way == "blur":
        return _blur_behind(picture, alpha, min(height, width) * 0.04)
    if way == "black and white":
        return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
    return (picture * 0.3).astype(np.uint8)


def _blur_behind(picture: Pixels, alpha: Floats, reach: float) -> Pixels:
    """Blur what is behind a foreground without the foreground's own colours, which would shine around it."""
    weight = cv2.GaussianBlur(1 - alpha, (0, 0), reach)[..., None] + 1e-3
    soft = cv2.GaussianBlur(picture * (1 - alpha) + 1e-3 * picture, (0, 0), reach)
    return np.clip(soft / weight, 0, 255).astype(np.uint8)


def _clean_colours(picture: Pixels, matte: Floats) -> Floats:
    """Foreground colours without the old background that shines through at the border: float32 [H, W, 3]."""
    reach = max(2.0, min(picture.shape[:2]) / 80)
    weight = cv2.GaussianBlur((matte > 0.95).astype(np.float32), (0, 0), reach)
    solid = cv2.GaussianBlur(picture * (matte > 0.95)[..., None].astype(np.float32), (0, 0), reach)
    inside = solid / np.maximum(weight, 1e-3)[..., None]
    keep = np.clip((matte - 0.6) / 0.35, 0, 1)[..., None] + (weight < 0.02)[..., None]
    return inside + np.clip(keep, 0, 1) * (picture - inside)
