"""Motion change out of clips: two moments of one scene, in which one thing has moved. Source: paper, motion change."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from step1x_edit.data.clips import SIDE, Clip, list_clips, read_frames, read_samples
from step1x_edit.data.colours import name_colour
from step1x_edit.data.deidentification import Switches, deidentify
from step1x_edit.data.frame_pairs import STEP, FramePair, Motion, Search, compare, find_pairs
from step1x_edit.data.instructions.film import name_step
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.routes.subjects import Found, describe_box, refer_to
from step1x_edit.data.scene import name_place
from step1x_edit.data.tools.filtering import blend, bound, overlap, shrink
from step1x_edit.data.tools.protocols import Box, Matting
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.data.triplet import Draft, Mask, Pixels, Request, Shape
from step1x_edit.data.windows import Window
from step1x_edit.errors import ImageError

FILMED = "filmed"
"""Name of this way of making a motion change."""

_GROWTH = 1.3
"""Change of size from which on a thing comes nearer or goes away, whatever else it does."""

_TRIES = 8
"""Clips that are looked at for one draft."""


class Film:
    """Clips, each searched for pairs when it is first drawn."""

    def __init__(self, clips: Sequence[Clip], tools: Toolbox, switches: Switches | None = None) -> None:
        """Take some clips; drafts that show what `switches` tell to hide are refused, since a blur would not stay in its place."""
        self.clips = tuple(clips)
        self._tools, self._switches = tools, switches
        self._searches: dict[Path, Search] = {}

    @classmethod
    def open(cls, folders: Sequence[Path], tools: Toolbox, switches: Switches | None = None) -> Film:
        """The clips of some folders; raises UsageError where there are none."""
        return cls(list_clips(folders), tools, switches)

    def search(self, clip: Clip) -> Search:
        """The clip's pairs, and why others were refused; a clip that cannot be decoded has none, for that reason."""
        if clip.path not in self._searches:
            try:
                self._searches[clip.path] = find_pairs(read_samples(clip.path), self._tools.flow, choose_matting(self._tools))
            except ImageError:
                self._searches[clip.path] = Search((), {"the clip cannot be decoded": 1})
        return self._searches[clip.path]

    def make(self, rng: random.Random, shape: Shape) -> Draft | Unsuited:
        """Make a draft of a shape from a clip and a pair that `rng` chooses; the same choices give the same draft."""
        usual = "the clip is too short"
        for clip in rng.sample(self.clips, min(len(self.clips), _TRIES)):
            search = self.search(clip)
            if search.pairs:
                draft = draft_pair(rng, clip, rng.choice(search.pairs), self._tools, shape)
                return self._hide(draft) if isinstance(draft, Draft) else draft
            usual = max(search.refused, key=lambda reason: (search.refused[reason], reason), default=usual)
        return Unsuited(f"no pair of frames in the clip: {usual}")

    def _hide(self, draft: Draft) -> Draft | Unsuited:
        if self._switches is not None:
            for picture in (draft.source, draft.target):
                found = deidentify(picture, self._tools, self._switches)
                if found.refusal or found.findings:
                    return Unsuited("it shows what is to be hidden")
        return draft


def choose_matting(tools: Toolbox) -> Matting | None:
    """What says what is foreground: a model where one is chosen; the offline tool is no judge of it."""
    return tools.matting if "matting" in tools.choices else None


def draft_pair(rng: random.Random, clip: Clip, pair: FramePair, tools: Toolbox, shape: Shape) -> Draft | Unsuited:
    """Make a draft of a pair: the first frame, and over it everything that moved in the second.

    What did not move is taken from the first frame in both pictures, so that no noise of the camera is learned as an edit.
    """
    frames = read_frames(clip.path, pair.numbers)
    height, width = frames[0].shape[:2]
    small = [shrink(frame, SIDE) for frame in frames]
    motion = compare(small[0], small[1], tools.flow, choose_matting(tools))
    if isinstance(motion, Unsuited):
        return motion
    window = _choose_window(rng, motion.touched, height, width, shape[0] / shape[1])
    outside = f"it moves out of any {'square part of the frame' if shape[0] == shape[1] else 'part of the frame with such proportions'}"
    if window is None:
        return Unsuited(outside)
    source, second = (window.cut(frame, shape) for frame in frames)
    before, after, touched = (_cut_mask(mask, window, (width, height), shape) for mask in (motion.before, motion.after, motion.touched))
    if not before.any() or not after.any():
        return Unsuited(outside)
    target = blend(source, touched, second.astype(np.float32), border=max(2.0, min(shape) / 128))
    found = _describe(source, before, tools)
    request, edit, after_words = _word(rng, found, motion, max(height, width) / math.sqrt(window.box.area))
    caption = tools.captioner.caption(source)
    return Draft(
        source=source,
        target=target,
        touched=touched,
        request=request,
        source_caption=f"{caption}, {found.caption}",
        target_caption=f"{caption}, {found.new[0]}, {after_words}",
        edit=edit,
        parameters={
            "photograph": clip.name,
            "clip": clip.provenance(),
            "frames": list(pair.numbers),
            "seconds": list(pair.seconds),
            "crop": describe_box(window.box),
            "found": found.facts,
            "motion": {"right": round(motion.right, 4), "down": round(motion.down, 4), **motion.numbers},
            "tools": tools.describe("flow", "detector", "captioner", *(("matting",) if "matting" in tools.choices else ())),
        },
    )


def _choose_window(rng: random.Random, touched: Mask, height: int, width: int, aspect: float) -> Window | None:
    """A window of the full-size frame, `aspect` times as wide as high, around all that changed; None where none is large enough."""
    factor = height / touched.shape[0]
    box = Box(*(round(edge * factor) for edge in bound(touched)))
    room, needed = min(height, width / aspect), max(box.height, box.width / aspect)
    if needed > room:
        return None
    exact = rng.uniform(max(0.8 * room, min(1.15 * needed, room)), room)
    wide, high = min(round(exact * aspect), width), min(round(exact), height)
    lefts = max(0, box.right - wide), min(box.left, width - wide)
    tops = max(0, box.bottom - high), min(box.top, height - high)
    left = min(round(rng.uniform(lefts[0], max(lefts))), width - wide)
    top = min(round(rng.uniform(tops[0], max(tops))), height - high)
    return Window(Box(left, top, left + wide, top + high))


def _cut_mask(mask: Mask, window: Window, frame: Shape, shape: Shape) -> Mask:
    """A mask of the compared size, in the window of a frame at the triplet's shape: bool [H, W]."""
    whole = cv2.resize(mask.astype(np.float32), frame, interpolation=cv2.INTER_LINEAR)
    part = np.ascontiguousarray(window.of(whole))
    return cv2.resize(part, shape, interpolation=cv2.INTER_LINEAR) > 0.5


def _describe(picture: Pixels, mask: Mask, tools: Toolbox) -> Found:
    """What moves: its name where the detector knows one that fits its box, its colour and its place."""
    box = bound(mask)
    label = next((item.label.lower() for item in tools.detector.detect(picture) if item.label and overlap(item.box, box) > 0.4), "")
    return Found(mask, box, label, name_colour(picture[mask]), name_place((picture.shape[1], picture.shape[0]), box), 1.0)


def _word(rng: random.Random, found: Found, motion: Motion, enlarged: float) -> tuple[Request, str, str]:
    """What is asked, its canonical form, and how the caption says it.

    `enlarged` is the longer side of the whole frame, in sides of a square as large as the window.
    """
    english, chinese, short = refer_to(rng, found)
    growth = motion.growth
    if motion.step < STEP or max(growth, 1 / growth) >= _GROWTH:
        way = "nearer" if growth > 1 else "farther"
        return Request(f"motion {way}", {"subject": english}, {"subject": chinese}), f"move {short} {way}", f"moved {way}"
    name, where_en, where_zh = name_step(motion.right * enlarged, motion.down * enlarged)
    request = Request("motion travel", {"subject": english, "where": where_en}, {"subject": chinese, "where": where_zh})
    return request, f"move {short} {name}", f"moved {where_en}"
