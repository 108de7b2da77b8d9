"""Motion change: the thing in the photograph is lifted off, what is behind it is filled in, and it is set down elsewhere."""

from __future__ import annotations

import random

import cv2
import numpy as np

from step1x_edit.data.materials import Materials, Photograph
from step1x_edit.data.routes.erasing import ROLES, erase
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import caption_frame, draw_seed, find_subject, refer_to, take_frame
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Request, Shape

_SHIFTS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

STEP = 0.16
"""How far a thing is moved, as a share of the frame's width or height."""


def make(rng: random.Random, photograph: Photograph, tools: Toolbox, materials: Materials, shape: Shape) -> Draft | Unsuited:
    """Move, mirror, enlarge or shrink what stands out.

    Choice: a still photograph holds no second moment, so that the paper's frame pairs are replaced by moving the thing itself.
    """
    frame = take_frame(rng, photograph, shape)
    found = find_subject(rng, frame, tools, smallest=0.015, largest=0.25, whole=True)
    if isinstance(found, Unsuited):
        return found
    way = rng.choice((*_SHIFTS, "mirror", "larger", "smaller"))
    seed = draw_seed(rng)
    erased = erase(frame.pixels, found, tools, seed)
    if isinstance(erased, Unsuited):
        return erased
    middle_x, middle_y = (found.box.left + found.box.right) / 2, (found.box.top + found.box.bottom) / 2
    right, down = _SHIFTS.get(way, (0, 0))
    factor = {"larger": 1.35, "smaller": 0.7}.get(way, 1.0)
    flip = -1.0 if way == "mirror" else 1.0
    move = np.array(
        [
            [factor * flip, 0, middle_x - factor * flip * middle_x + right * STEP * shape[0]],
            [0, factor, middle_y - factor * middle_y + down * STEP * shape[1]],
        ],
        np.float32,
    )
    lifted = cv2.GaussianBlur(erased.hole.astype(np.float32) * found.mask, (0, 0), 0.8)
    alpha = cv2.warpAffine(lifted, move, shape, flags=cv2.INTER_LINEAR)
    inside = float(alpha.sum()) / (factor * factor * max(float(lifted.sum()), 1.0))
    if inside < 0.93:
        return Unsuited("there is no room to move it", {"inside": round(inside, 3)})
    moved = cv2.warpAffine(frame.pixels, move, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    target = np.where(
        alpha[..., None] > 0, (erased.pixels + alpha[..., None] * (moved - erased.pixels) + 0.5).astype(np.uint8), erased.pixels
    )
    english, chinese, short = refer_to(rng, found)
    edit = f"move {short} {way}" if way in _SHIFTS else f"{way} {short}"
    caption = caption_frame(frame, tools)
    after = f"moved {way}" if way in _SHIFTS else {"mirror": "mirrored"}.get(way, way)
    return Draft(
        source=frame.pixels,
        target=target,
        touched=erased.hole | (alpha > 0),
        request=Request(f"motion {way}", {"subject": english}, {"subject": chinese}),
        source_caption=f"{caption}, {found.caption}",
        target_caption=f"{caption}, {found.new[0]}, {after}",
        edit=edit,
        parameters={**frame.facts, "found": found.facts, "way": way, "tool_seed": seed, "tools": tools.describe(*ROLES, "captioner")},
    )
