"""Filters that say why: each measures a triplet, keeps its numbers, and gives a reason where it is not good enough.

They run in the order of `FILTERS`; the first reason ends it. Near-duplicates (`duplicates.py`) and the judge (`judging.py`) come after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.agreement import VISIBLE_CHANGE, View, check
from step1x_edit.data.recipe import Limits
from step1x_edit.data.routes.portrait import find_portraits
from step1x_edit.data.stream import measure_change
from step1x_edit.data.tools.filtering import bound, overlap
from step1x_edit.data.triplet import Mask, Pixels
from step1x_edit.types import EditCategory


@dataclass(frozen=True)
class Verdict:
    """What was measured, JSON-able, and why the triplet is rejected; an empty reason lets it pass."""

    numbers: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


Filter = Callable[[View, Limits], Verdict]

_SKIN = ("portrait smooth", "portrait tan", "portrait blush")
_FAINT = 0.2
"""Choice: what skin is retouched by, as a share of what other edits must change: it is clearly seen, since one looks at faces closely."""

_OTHER = 0.5
"""Choice: "the face" is the largest one where every other is less than so many times as wide."""


def judge_outside(view: View, limits: Limits) -> Verdict:
    """The outside is unchanged."""
    region = view.triplet.region
    if region.all():
        return Verdict()
    outside = measure_change(view.triplet.source, view.triplet.target, ~region)
    return Verdict({"mean": round(outside, 3)}, "what should stay has changed" if outside > limits.outside else "")


def judge_change(view: View, limits: Limits) -> Verdict:
    """The edit can be seen, and happened in enough of the region."""
    triplet = view.triplet
    size = float(triplet.region.mean())
    if size < limits.smallest:
        return Verdict({"size": round(size, 5)}, "the region is too small")
    inside = measure_change(triplet.source, triplet.target, triplet.region)
    changed = float(np.mean(view.difference[triplet.region] >= VISIBLE_CHANGE))
    numbers = {"size": round(size, 4), "inside": round(inside, 2), "changed": round(changed, 4)}
    least = limits.colour_change if triplet.category is EditCategory.COLOR_ALTERATION else limits.change
    share = _FAINT if triplet.edit in _SKIN else 1.0
    if inside < share * least:
        return Verdict(numbers, "the change can hardly be seen")
    return Verdict(numbers, "too little of the region changes" if changed < share * limits.changed else "")


def judge_sharpness(view: View, limits: Limits) -> Verdict:
    """The sharper one of both pictures is sharp; a style or a haze may well blur the other."""
    spread = max(float(cv2.Laplacian(grey, cv2.CV_32F).std()) for grey in view.greys)
    return Verdict({"spread": round(spread, 2)}, "the pictures are not sharp" if spread < limits.sharpness else "")


def judge_exposure(view: View, limits: Limits) -> Verdict:
    """The better exposed one of both pictures is neither black nor white through and through."""
    means = [float(grey.mean()) for grey in view.greys]
    clipped = [float(np.mean((grey <= 4) | (grey >= 251))) for grey in view.greys]
    numbers = {"mean": [round(mean, 1) for mean in means], "clipped": [round(share, 3) for share in clipped]}
    fit = [limits.darkest <= mean <= limits.brightest and share <= limits.clipped for mean, share in zip(means, clipped, strict=True)]
    return Verdict(numbers, "" if any(fit) else "too dark, too bright or clipped")


def judge_seams(view: View, limits: Limits) -> Verdict:
    """What was filled has no seam along its border. Only pictures that something was taken out of are looked at."""
    triplet = view.triplet
    picture = _filled(view)
    if picture is None or triplet.region.all():
        return Verdict()
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    edges = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    border, beside = _band(triplet.region, 0, 2), _band(triplet.region, 3, 12)
    if not border.any() or not beside.any():
        return Verdict()
    ratio = float(edges[border].mean()) / max(float(edges[beside].mean()), 12.0)
    return Verdict({"ratio": round(ratio, 3)}, "a seam shows where it was filled" if ratio > limits.seam else "")


def _filled(view: View) -> Pixels | None:
    triplet = view.triplet
    if triplet.category is EditCategory.SUBJECT_REMOVAL or triplet.edit.startswith("text remove"):
        return triplet.target
    return triplet.source if triplet.category is EditCategory.SUBJECT_ADDITION and view.route == "photograph" else None


def _band(region: Mask, near: int, far: int) -> Mask:
    """Pixels whose distance from the region's border, on either side, is above `near` (0 takes the border in) and at most `far`."""
    mask = region.view(np.uint8)

    def around(distance: int) -> Pixels:
        kernel = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
        return cv2.subtract(cv2.dilate(mask, kernel), cv2.erode(mask, kernel)).astype(np.uint8)

    return (around(far) > 0) & ~(around(near) > 0) if near else around(far) > 0


@cache
def _open_reader() -> Any:
    from rapidocr import RapidOCR

    narrow = [3, 48, 96]  # words are short: at the model's own 320 columns, most of each would be padding
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    return RapidOCR(params={"Global.log_level": "error", "Rec.rec_img_shape": narrow, **threads})


def read_line(picture: Pixels) -> str:
    """What a picture of one line of text says; empty where nothing can be read. PP-OCR's recogniser, without its detector."""
    found = _open_reader()(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), use_det=False, use_cls=False, use_rec=True)
    return str(found.txts[0]).strip() if found.txts else ""


def judge_text(view: View, limits: Limits) -> Verdict:
    """The words are read again: what was there in the source, what is asked for in the target.

    A draft says them in its parameters, as `text_before` and `text_after`; empty where no word stands.
    """
    triplet = view.triplet
    words = [triplet.parameters.get(key) for key in ("text_before", "text_after")]
    if triplet.category is not EditCategory.TEXT_MODIFICATION or not all(isinstance(word, str) for word in words):
        return Verdict()
    box = bound(triplet.region).within
    reads, numbers = [], dict[str, Any]()
    for name, picture, word in zip(("before", "after"), (triplet.source, triplet.target), words, strict=True):
        if not word:
            continue
        said = read_line(picture[box])
        likeness = SequenceMatcher(None, _letters(word), _letters(said)).ratio()
        numbers |= {name: said, f"{name}_match": round(likeness, 3)}
        reads.append(likeness)
    return Verdict(numbers, "the text is not read as it should be" if min(reads, default=1.0) < limits.text_match else "")


def _letters(text: str) -> str:
    return "".join(text.split()).casefold()


def judge_faces(view: View, limits: Limits) -> Verdict:
    """A portrait has a face where the edit acts, no other that could be meant, and keeps it. What is dressed is no portrait."""
    triplet = view.triplet
    if triplet.category is not EditCategory.PORTRAIT_EDITING or triplet.edit.startswith("portrait wear"):
        return Verdict()
    before = [face.box for face in find_portraits(triplet.source, view.tools, limits.face)]
    numbers: dict[str, Any] = {"before": len(before)}
    if not before:
        return Verdict(numbers, "there is no face to be edited")
    around = triplet.edit.endswith(" around")
    least = 0.0 if around else _OTHER * max(box.width for box in before)  # around one person there must be no other
    if not triplet.region.all() and sum(box.width >= least for box in before) > 1:
        return Verdict(numbers, "another face could be meant")
    middles = [((box.top + box.bottom) // 2, (box.left + box.right) // 2) for box in before]
    height, width = triplet.region.shape
    inside = sum(bool(triplet.region[min(row, height - 1), min(column, width - 1)]) for row, column in middles)
    if inside == (1 if around else 0):
        return Verdict({**numbers, "inside": inside}, "the face is not where the edit puts it")
    after = [face.box for face in view.tools.faces.find_faces(triplet.target, 0.8 * limits.face)]
    kept = sum(any(overlap(one, other) >= 0.4 for other in after) for one in before)
    numbers |= {"inside": inside, "kept": kept}
    return Verdict(numbers, "a face is lost" if kept < len(before) else "")


def judge_agreement(view: View, limits: Limits) -> Verdict:
    """Instruction and change agree, as far as pixels can tell: see `agreement.py`."""
    numbers, reason = check(view, limits.agreement)
    return Verdict(numbers, reason)


FILTERS: dict[str, Filter] = {
    "change": judge_change,
    "outside": judge_outside,
    "exposure": judge_exposure,
    "sharpness": judge_sharpness,
    "agreement": judge_agreement,
    "seams": judge_seams,
    "text": judge_text,
    "faces": judge_faces,
}
"""By name, in the order in which they are asked: the quick ones first."""
