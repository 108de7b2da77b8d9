"""Score edits whose true result is known: pictures, subjects and wordings that nothing was trained on.

An edit succeeds when its error inside the region that should change is under half of the error of leaving the picture as it is, and when
it is closer to the true result than to the results of other edits of its kind that might have been asked of the same picture. Outside the
region nothing should change; how much did is given as PSNR. All compare 8-bit sRGB pixels at the triplet's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from step1x_edit.data.stream import TripletStream
from step1x_edit.data.triplet import Pixels, Triplet, fit_shape, resize_pixels
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

OTHERS = 4
"""Most other results that an edit is compared with."""

LONGEST_SEARCH = 100
"""Triplets looked at for each one wanted, before the pictures count as unable to give a category."""

BEST_PSNR = 60.0
"""PSNR in dB that stands for an exact match, so that means stay finite."""

MARKED_ABOUT = 0.02
"""Of the picture's longer side: how much more than the region a box about it holds on each side."""

MARKED = (
    EditCategory.BACKGROUND_CHANGE,
    EditCategory.COLOR_ALTERATION,
    EditCategory.MATERIAL_MODIFICATION,
    EditCategory.SUBJECT_REMOVAL,
    EditCategory.SUBJECT_REPLACEMENT,
)
"""Categories whose edits may be of what a photograph itself shows. What lies behind it is filled in by patches, not known."""


@dataclass(frozen=True)
class Case:
    """One question: a triplet, the language it is asked in ("en" or "zh"), and results of other edits of the same picture."""

    triplet: Triplet
    language: str
    others: Sequence[Pixels] = ()

    @property
    def instruction(self) -> str:
        """What is asked."""
        return self.triplet.instruction_zh if self.language == "zh" else self.triplet.instruction_en

    def box_region(self) -> Pixels:
        """The region that should change as a person may mark it, by a box with a little more about it: uint8 [H, W], 255 inside."""
        region = self.triplet.region
        more = round(MARKED_ABOUT * max(region.shape))
        rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
        mask = np.zeros(region.shape, np.uint8)
        mask[max(0, rows[0] - more) : rows[-1] + 1 + more, max(0, columns[0] - more) : columns[-1] + 1 + more] = 255
        return mask


@dataclass(frozen=True)
class Score:
    """What came of one case.

    Attributes:
        category: kind of edit.
        family: the same in more detail where the triplet tells, as "motion mirror".
        language: "en" or "zh".
        squared: mean squared error inside the region, relative to that of leaving the picture as it is; 0 is perfect, 1 is no edit.
        absolute: the same of the mean absolute error.
        outside: PSNR in dB outside the region, at most 60; None where the region is the whole picture.
        told_apart: whether the edit is closer to the true result, in squared error, than to each of the case's others.
    """

    category: EditCategory
    family: str
    language: str
    squared: float
    absolute: float
    outside: float | None
    told_apart: bool = True

    @property
    def success(self) -> bool:
        """Whether the squared error is under half of that of leaving the picture as it is, and the edit is the one that was asked for."""
        return self.squared < 0.5 and self.told_apart


def shows_its_own(triplet: Triplet) -> bool:
    """Whether what is edited was photographed where it stands, rather than pasted."""
    photograph = triplet.parameters["photograph"]
    return any(subject["subject"] == photograph for subject in triplet.parameters["subjects"])


def draw_cases(
    stream: TripletStream, per_category: int, suits: Callable[[Triplet], bool] | None = None, aspect: float = 1.0
) -> Iterator[Case]:
    """`per_category` cases of each of the stream's categories, by turns English and Chinese, in the order of the stream.

    `suits` leaves triplets out; None takes all. `aspect` is width over height; the area is that of the stream's squares.

    Raises:
        UsageError: the pictures do not give so many.
    """
    stream, shape = stream.squeezed(aspect), fit_shape(stream.size, aspect)
    counts: dict[EditCategory, int] = dict.fromkeys(stream.categories, 0)
    index = 0
    while min(counts.values()) < per_category:
        if index > LONGEST_SEARCH * per_category * len(counts):
            lacking = min(counts, key=lambda category: counts[category])
            raise UsageError(f"These pictures do not give {per_category} cases of {lacking}; add some that show what is to be edited.")
        triplet = stream.sample(index, max(shape)).resized(shape)
        if counts[triplet.category] < per_category and (suits is None or suits(triplet)):
            others = [resize_pixels(other, shape) for other in stream.others(index, OTHERS, max(shape))]
            yield Case(triplet, "zh" if counts[triplet.category] % 2 else "en", others)
            counts[triplet.category] += 1
        index += 1


def score(case: Case, edited: Pixels) -> Score:
    """Compare an edited picture, uint8 [H, W, 3] of the triplet's size, with the true result."""
    triplet = case.triplet
    source, target, result = (picture.astype(np.float64) for picture in (triplet.source, triplet.target, edited))
    inside, outside = triplet.region, ~triplet.region
    left = (source - target)[inside]
    error = (result - target)[inside]
    return Score(
        category=triplet.category,
        family=triplet.parameters.get("family", triplet.category.value),
        language=case.language,
        squared=float(np.square(error).mean() / np.square(left).mean()),
        absolute=float(np.abs(error).mean() / np.abs(left).mean()),
        outside=_psnr((result - target)[outside]) if outside.any() else None,
        told_apart=all(np.square(result - target).sum() < np.square(result - other).sum() for other in case.others),
    )


def tabulate(scores: Iterable[Score], by_family: bool = False) -> str:
    """A Markdown table with a row a category, or a family.

    Its columns are cases, success in all and by language, told apart, median relative errors, and mean PSNR outside.
    """
    kind = "family" if by_family else "category"
    rows = [
        f"| {kind} | cases | success | English | Chinese | told apart | squared error | absolute error | outside, dB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[str, list[Score]] = {}
    for one in scores:
        groups.setdefault(one.family if by_family else one.category.value, []).append(one)
    for name in sorted(groups):
        group = groups[name]
        outside = [s.outside for s in group if s.outside is not None]
        rows.append(
            f"| {name} | {len(group)} | {_share(group)} | {_share([s for s in group if s.language == 'en'])} "
            f"| {_share([s for s in group if s.language == 'zh'])} | {fmean(s.told_apart for s in group):.2f} "
            f"| {median(s.squared for s in group):.2f} "
            f"| {median(s.absolute for s in group):.2f} | {f'{fmean(outside):.1f}' if outside else '-'} |"
        )
    return "\n".join(rows)


def _share(scores: list[Score]) -> str:
    return f"{fmean(s.success for s in scores):.2f}" if scores else "-"


def _psnr(error: np.ndarray) -> float:
    mean = float(np.square(error).mean())
    return min(BEST_PSNR, 10 * math.log10(255**2 / mean)) if mean > 0 else BEST_PSNR
