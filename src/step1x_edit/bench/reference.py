"""Score results by their true ones: no judge, no cost, the same figure on every machine.

    success   the squared error inside the region is under half of that of leaving the picture as it is (see `bench.heldout`)
    ssim      structural similarity of result and true result, -1..1, 1 is equal
    outside   PSNR in dB outside the region, at most 60: what should have stayed
    text      whether the new word can be read in the result, where a word was to be replaced

Success alone says that something right was done; `outside` says what else was. A case without a result is missing, not a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import numpy as np
from PIL import Image

from step1x_edit.bench import heldout
from step1x_edit.bench.gedit import TASKS, BenchCase, CaseName, find_picture, place_result
from step1x_edit.bench.running import check_asked, read_missing
from step1x_edit.bench.statistics import interval_of
from step1x_edit.bench.summary import number
from step1x_edit.data.tools.rapid_ocr import RapidTextReader
from step1x_edit.data.triplet import Mask, Pixels, Triplet
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image, resize
from step1x_edit.image_modes import flatten
from step1x_edit.types import EditCategory

Figure = Literal["success", "squared", "ssim", "outside", "text"]
FIGURES: tuple[Figure, ...] = ("success", "squared", "ssim", "outside", "text")

Reader = Callable[[Pixels], str]
"""Reads what is written in a picture."""


@dataclass(frozen=True)
class ReferenceScores:
    """Figures by case, and why cases are missing."""

    values: Mapping[Figure, Mapping[CaseName, float]]
    missing: Mapping[CaseName, str]


def score_results(
    cases: Sequence[BenchCase], folder: Path, read: Reader | None = None, progress: Callable[[int, int], None] = lambda done, total: None
) -> ReferenceScores:
    """Score every result of a system.

    Args:
        cases: with their truth.
        folder: the system's result folder.
        read: reads text; None leaves that figure out.
        progress: told (done, total).

    Raises:
        UsageError: the truth of a case is not known, or the results answer other questions.
    """
    check_asked(folder, cases)
    values: dict[Figure, dict[CaseName, float]] = {figure: {} for figure in FIGURES}
    missing = read_missing(folder, [case.name for case in cases])
    for done, case in enumerate(cases, 1):
        path = find_picture(place_result(folder, case.name))
        try:
            found = {} if path is None else score_result(case, flatten(read_image(path).image), read)
        except ImageError as error:
            missing[case.name], found = f"the result cannot be read: {error}", {}
        for figure, value in found.items():
            values[figure][case.name] = value
        progress(done, len(cases))
    return ReferenceScores(values, missing)


def score_result(case: BenchCase, result: Image.Image, read: Reader | None = None) -> dict[Figure, float]:
    """The figures of one result; one of another size is brought to the true one's.

    Raises:
        UsageError: the case's truth is not known, or is none.
    """
    from skimage.metrics import structural_similarity

    source, target, region = _read_truth(case)
    pixels = np.asarray(resize(result.convert("RGB"), (target.shape[1], target.shape[0])))
    triplet = Triplet(source, target, region, EditCategory(case.task), case.instruction, case.instruction, "", "", "")
    found = heldout.score(heldout.Case(triplet, "zh" if case.language == "cn" else "en"), pixels)
    figures: dict[Figure, float] = {
        "success": float(found.success),
        "squared": found.squared,
        "ssim": float(structural_similarity(pixels, target, channel_axis=2, data_range=255)),
    }
    if found.outside is not None:
        figures["outside"] = found.outside
    if read is not None and (word := case.facts.get("reads")):
        figures["text"] = float(str(word).upper() in read(pixels).upper().split())
    return figures


def summarise_reference(systems: Mapping[str, ReferenceScores]) -> dict[str, Any]:
    """Means over tasks with intervals, by figure, language and task. Plain data."""
    summary: dict[str, Any] = {}
    for system, scores in systems.items():
        views: dict[str, Any] = {}
        for language in ("en", "cn", "all"):
            figures: dict[str, Any] = {}
            for figure, values in scores.values.items():
                chosen = {name: value for name, value in values.items() if language in ("all", name[1])}
                if not chosen:
                    continue
                interval = interval_of(chosen)
                tasks = {task: [value for name, value in chosen.items() if name[0] == task] for task in TASKS}
                figures[figure] = {
                    "value": number(interval.value),
                    "interval": [number(interval.low), number(interval.high)],
                    "cases": len(chosen),
                    "tasks": {task: fmean(group) for task, group in tasks.items() if group},
                }
            if figures:
                views[language] = figures
        summary[system] = {"views": views, "missing": {"/".join(name): reason for name, reason in scores.missing.items()}}
    return summary


def open_reader() -> Reader:
    """Text recognition that needs no network: PP-OCR's models, which come with the library rapidocr."""
    reader = RapidTextReader()
    return lambda pixels: " ".join(line.text for line in reader.read(pixels))


def _read_truth(case: BenchCase) -> tuple[Pixels, Pixels, Mask]:
    """Source, true result, and the region that should change, all of one size."""
    name = "/".join(case.name)
    if not {"target", "region"} <= set(case.truth):
        raise UsageError(f"The true result of {name} is not known; the reference scorer needs cases of gedit-mini.")
    try:
        source, target = (_pixels(stored.read()) for stored in (case.source, case.truth["target"]))
        region = np.asarray(read_image(case.truth["region"].read()).image.convert("L")) > 127
    except ImageError as error:
        raise UsageError(f"Source, true result or region of {name} cannot be read: {error}") from error
    if not source.shape[:2] == target.shape[:2] == region.shape:
        raise UsageError(f"Source, true result and region of {name} differ in size; bring them to the same.")
    if np.array_equal(source[region], target[region]):
        raise UsageError(f"The true result of {name} is its source wherever the region is white; correct one of them.")
    return source, target, region


def _pixels(data: bytes) -> Pixels:
    return np.asarray(flatten(read_image(data).image))
