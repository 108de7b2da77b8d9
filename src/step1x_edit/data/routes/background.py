"""Background change: the foreground is matted, and what is behind it becomes plain, blurred, grey or dark, or a scene by prompt."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.backdrops import BLURRED, WAYS, choose_backdrop
from step1x_edit.data.colours import name_hue
from step1x_edit.data.labels import LABELS, label_topic
from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, guess_label, is_thing, stands_apart, take_frame
from step1x_edit.data.tools.filtering import tidy
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Floats, Pixels, Request, Shape

_SHARES = tuple(way.routed for way in WAYS)


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
        if label and not guess_label(frame, mask, name_hue(frame.pixels[mask])):
            return Unsuited("the foreground is not what the photograph is of")
    backdrop, alpha = choose_backdrop(rng, _SHARES), matte[..., None]
    behind = _blur_behind(frame.pixels, matte) if backdrop.way is BLURRED else backdrop.draw(frame.pixels)
    front = _clean_colours(frame.pixels, matte) if backdrop.caption else frame.pixels.astype(np.float32)
    target = (front * alpha + behind.astype(np.float32) * (1 - alpha) + 0.5).astype(np.uint8)
    touched = ~tidy(matte >= 0.999) | ~mask  # pinholes of the matte are healed, but the handle of a cup shows background
    target[~touched] = frame.pixels[~touched]
    noun_en, noun_zh = (content.en, content.zh) if content else (label or "subject", LABELS.get(label, ("主体", ""))[0])
    caption, roles = caption_frame(frame, tools), ("captioner",) if content else ("matting", "captioner")
    return Draft(
        source=frame.pixels,
        target=target,
        touched=touched,
        request=Request(backdrop.way.clauses, {"subject": f"the {noun_en}", **backdrop.english}, {"subject": noun_zh, **backdrop.chinese}),
        source_caption=caption,
        target_caption=f"{caption}, {backdrop.edit}",
        edit=backdrop.edit,
        parameters={**frame.facts, "foreground": round(share, 4), "tools": tools.describe(*roles)},
    )


def _blur_behind(picture: Pixels, matte: Floats) -> Pixels:
    """Blur what is behind a foreground without the foreground's own colours, which would shine around it."""
    reach, alpha = min(picture.shape[:2]) * 0.04, matte[..., None]
    weight = cv2.GaussianBlur(1 - matte, (0, 0), reach)[..., None] + 1e-3
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
