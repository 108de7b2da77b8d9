"""Subject replacement: what stands out gives way to something known by name, drawn by the inpainter or pasted where it stood."""

from __future__ import annotations

import random

from step1x_edit.data.compositing import paste, scale_subject
from step1x_edit.data.materials import Materials, Photograph, Subject
from step1x_edit.data.routes.erasing import ROLES, erase
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, draw_seed, find_subject, refer_to, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape
from step1x_edit.data.vocabulary import PLACES, count, with_article


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Another subject stands where one stood. Source: paper, Florence-2 + SAM-2, then FLUX-Fill."""
    frame = take_frame(rng, photograph, shape)
    found = find_subject(rng, frame, tools, smallest=0.03, largest=0.3)
    if isinstance(found, Unsuited):
        return found
    subject = rng.choice([item for item in materials.known if item.en != found.label] or materials.known)
    seed = draw_seed(rng)
    erased = erase(frame.pixels, found, tools, seed)
    if isinstance(erased, Unsuited):
        return erased
    if tools.inpainter.reads_prompts:
        target = tools.inpainter.inpaint(frame.pixels, erased.hole, f"{with_article(subject.en)}, photograph", seed)
        touched = erased.hole
    else:
        target = erased.pixels.copy()
        light = 0.88 + 0.16 * float(erased.pixels.mean()) / 255
        longest = min(max(found.box.width, found.box.height), _find_room(subject, shape))
        sprite = scale_subject(subject.pixels, max(2, round(longest * 1.05)), light=light)
        height, width = sprite.alpha.shape[:2]
        left = min(max((found.box.left + found.box.right - width) // 2, 0), max(shape[0] - width, 0))
        top = min(max(found.box.bottom - height, 0), max(shape[1] - height, 0))
        touched = erased.hole | paste(target, sprite, left, top)
    english, chinese, short = refer_to(rng, found)
    new_zh = f"{count(subject.kind, subject.zh, subject.en)}{subject.zh}"
    caption = caption_frame(frame, tools)
    return Draft(
        source=frame.pixels,
        target=target,
        touched=touched,
        request=Request("replacement", {"subject": english, "new": with_article(subject.en)}, {"subject": chinese, "new": new_zh}),
        source_caption=f"{caption}, {found.caption}",
        target_caption=f"{caption}, {with_article(subject.en)} {PLACES[found.place][0]}",
        edit=f"replace {short} with {subject.en}",
        parameters={
            **frame.facts,
            "found": found.facts,
            "new": {"subject": subject.name},
            "tool_seed": seed,
            "tools": tools.describe(*ROLES, "captioner"),
        },
    )


def _find_room(subject: Subject, shape: Shape) -> float:
    """How long, in pixels, the longer side of a subject may be for all of it to be seen in a picture of this shape."""
    height, width = subject.pixels.shape[:2]
    return min(shape[0] * max(1, height / width), shape[1] * max(1, width / height))
