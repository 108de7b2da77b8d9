"""Candidates: numbered attempts at a triplet. What one becomes follows from the recipe, the pictures and its id alone."""

from __future__ import annotations

import dataclasses
import platform
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import cv2

from step1x_edit import __version__
from step1x_edit.data.agreement import View
from step1x_edit.data.film import FILMED, Film
from step1x_edit.data.instructions.typos import mistype
from step1x_edit.data.licences import Credits
from step1x_edit.data.makers import MAKERS
from step1x_edit.data.materials import Materials, read_subjects
from step1x_edit.data.photographs import Input, PhotographFolder
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.routes.route import Unsuited
from step1x_edit.data.shapes import draw_shapes
from step1x_edit.data.shards import Record
from step1x_edit.data.slots import PHOTOGRAPH, Slot, name_candidate
from step1x_edit.data.stream import find_region, word_draft
from step1x_edit.data.suitability import find_need, suits
from step1x_edit.data.triplet import Draft, Shape, Triplet, fit_shape
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

ENLARGEMENT = 1.4
"""Choice: how much a photograph may be enlarged before it looks soft; as in `Materials`."""


SLIPS = 0.04
"""Share of Chinese instructions with a slip of the keyboard; of English ones, the grammar sees to as many."""


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is not in the set: the stage that rejected it, and its reason."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Candidate:
    """One attempt. `triplet` is None where nothing could be drawn; `numbers` are what filters measured, by their names."""

    id: str
    slot: Slot
    index: int
    triplet: Triplet | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejection: Rejection | None = None

    def reject(self, stage: str, reason: str) -> Candidate:
        """The same, rejected."""
        return dataclasses.replace(self, rejection=Rejection(stage, reason))

    def record(self) -> Record:
        """What its JSON says; it must have a triplet."""
        triplet = self.triplet
        assert triplet is not None
        return Record(
            id=self.id,
            category=self.slot.category.value,
            instruction_en=triplet.instruction_en,
            instruction_zh=triplet.instruction_zh,
            source_caption=triplet.source_caption,
            target_caption=triplet.target_caption,
            edit=triplet.edit,
            parameters=triplet.parameters,
            provenance=self.provenance,
            numbers=self.numbers,
        )


def list_versions() -> dict[str, str]:
    """The versions that a triplet's pixels may depend on."""
    libraries = {name: version(name) for name in ("numpy", "opencv-python-headless", "pillow", "scikit-image", "scipy")}
    return {"step1x-edit": __version__, **libraries, "machine": platform.machine()}


class Workshop:
    """Everything that candidates are made from, opened once a process: photographs, cut-outs, and the wording's part of the split."""

    def __init__(self, recipe: DataRecipe, inputs: Sequence[Input]) -> None:
        """Open it; `inputs` are the photographs as they were looked over.

        Raises:
            UsageError: no photograph is left, or a folder of cut-outs or clips cannot be used.
        """
        cv2.setNumThreads(0)
        self.recipe = recipe
        # Choice: crops are 40 to 100 % of the short side, so twice the longest side is enough for most of them
        longest = max(max(fit_shape(recipe.size, aspect)) for aspect in recipe.aspects)
        self.photographs = PhotographFolder(inputs, side=2 * longest)
        if not self.photographs:
            skipped = "; ".join(sorted({entry.skipped for entry in inputs})) or "the folders are empty"
            raise UsageError(f"None of the {len(inputs)} files in the folders of photographs can be used ({skipped}); give others.")
        self._suited: dict[str, PhotographFolder] = {}
        self.credits = Credits(recipe.cutouts)
        split = recipe.read_split()
        subjects, known = read_subjects(recipe.cutouts, split, "train") if recipe.cutouts else (draw_shapes(), draw_shapes())
        self.materials = Materials(self.photographs, subjects, known, recipe.difficulty, ENLARGEMENT)
        self._files = {subject.name: subject.path for subject in (*subjects, *known)}
        self.tools = recipe.open_tools()
        self.film = Film.open(recipe.videos, self.tools, recipe.privacy.to_switches()) if recipe.videos else None
        self.versions = list_versions()

    def draw(self, slot: Slot, index: int) -> Candidate:
        """Make a candidate, with the grammar's words."""
        recipe = self.recipe
        name = name_candidate(slot, index)
        rng = random.Random(f"{recipe.seed}/{name}")
        aspect = random.Random(f"{recipe.seed}/{name}/aspect").choice(recipe.aspects)
        shape = fit_shape(recipe.size, aspect)
        film = self.film if slot.category is EditCategory.MOTION_CHANGE else None
        if film is not None and rng.random() < recipe.from_videos:
            route, draft = FILMED, film.make(rng, shape)
        elif slot.route == PHOTOGRAPH:
            route, draft = slot.route, self._edit(slot, rng, shape)
        else:
            route, draft = slot.route, self._compose(slot, rng, shape)
        facts = {"route": route, "seed": recipe.seed, "index": index, "size": recipe.size}
        if aspect != 1:
            facts["aspect"] = aspect
        candidate = Candidate(name, slot, index)
        if isinstance(draft, Unsuited):
            numbers = {"draw": draft.numbers} if draft.numbers else {}
            candidate = dataclasses.replace(candidate, provenance={**facts, "versions": self.versions}, numbers=numbers)
            return candidate.reject("draw", draft.reason)
        triplet = word_draft(draft, find_region(draft), slot.category, rng, "train", {})
        if rng.random() < SLIPS:
            triplet = dataclasses.replace(triplet, instruction_zh=mistype(rng, triplet.instruction_zh))
        return dataclasses.replace(candidate, triplet=triplet, provenance={**facts, **self._trace(draft), "versions": self.versions})

    def _compose(self, slot: Slot, rng: random.Random, shape: Shape) -> Draft | Unsuited:
        """Compose in a square with the shape's longer side, squeezed so that things have their form in the shape; see `Materials`."""
        materials = dataclasses.replace(self.materials, aspect=shape[0] / shape[1])
        if find_need(slot) and self._find_suited(slot):
            materials = dataclasses.replace(materials, photographs=self._find_suited(slot))
        draft = MAKERS[slot.category].compose(rng, materials, max(shape))
        return draft.resized(shape) if draft else Unsuited("what was drawn allows no edit")

    def _edit(self, slot: Slot, rng: random.Random, shape: Shape) -> Draft | Unsuited:
        photographs = self._find_suited(slot)
        if not photographs:
            return Unsuited("no photograph suits it")
        return MAKERS[slot.category].edit(rng, rng.choice(photographs), self.tools, self.materials, shape)

    def _find_suited(self, slot: Slot) -> PhotographFolder:
        """The photographs that the slot's edits may be tried on."""
        if find_need(slot) is None:
            return self.photographs
        if slot.name not in self._suited:
            suited = [entry for entry in self.photographs.inputs if suits(slot, entry)]
            self._suited[slot.name] = PhotographFolder(suited, self.photographs.side)
        return self._suited[slot.name]

    def view(self, candidate: Candidate) -> View:
        """What the filters look at; the candidate must have a triplet."""
        assert candidate.triplet is not None
        return View(candidate.triplet, candidate.slot.route, self.tools)

    def _trace(self, draft: Draft) -> dict[str, Any]:
        """Where the pictures come from that a draft is made of."""
        parameters = draft.parameters
        if "clip" in parameters:
            return {"clip": parameters["clip"], "seconds": parameters["seconds"]}
        photograph = self.photographs.find(parameters["photograph"])
        names = [item["subject"] for item in (*parameters.get("subjects", ()), *([parameters["new"]] if "new" in parameters else ()))]
        names += [parameters["hat"]] if "hat" in parameters else []
        cutouts = []
        for name in dict.fromkeys(names):
            path = self._files.get(name)
            if path is not None:
                cutouts.append({"name": name, **dataclasses.asdict(self.credits.find(path))})
        return {"photograph": photograph.provenance() if photograph else None, "cutouts": cutouts}
