"""An endless stream of exact triplets: sample number i is always the same, whoever asks and in whatever order."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from step1x_edit.data.draws import ChangedDraws
from step1x_edit.data.instructions import CLAUSES, phrase
from step1x_edit.data.makers import MAKERS
from step1x_edit.data.materials import Materials, read_materials
from step1x_edit.data.split import Part, Split
from step1x_edit.data.tools.filtering import grow
from step1x_edit.data.triplet import Draft, Mask, Pixels, Triplet
from step1x_edit.errors import UsageError
from step1x_edit.types import EditCategory

VISIBLE = 8.0
"""Mean absolute change inside the region, of 255, below which an edit is not worth asking for."""

VISIBLE_COLOUR = 16.0
"""The same for colour alterations, where a smaller change means that the colour was there already."""

ATTEMPTS = 64

OTHER_VALUES = 8
OTHER_TRIES = 120
"""`TripletStream.others` changes each choice to so many others, and makes at most so many changes in all."""


class TripletStream:
    """Makes triplets from photographs and cut-out subjects that are decoded once and kept in memory.

    `sample` changes nothing, so a stream may be shared by forked workers, and a run resumes by remembering an index.
    OpenCV's own threads are switched off for the process: one stream uses one core.
    """

    def __init__(
        self,
        photos: Sequence[str | Path],
        cutouts: Sequence[str | Path],
        *,
        split: Split,
        part: Part,
        size: int,
        seed: int,
        mixture: Mapping[EditCategory, float] | None = None,
        difficulty: float = 1.0,
        relit: float = 0.0,
    ) -> None:
        """Read the pictures.

        Args:
            photos: folders of photographs, searched with their subfolders.
            cutouts: folders of named RGBA pictures.
            split: what is kept out of training.
            part: which side of the split to draw from.
            size: side of the triplets in pixels, at least 32.
            seed: with the index, fixes everything.
            mixture: share of each category, any positive numbers; None for equal shares.
            difficulty: 0 for one large subject, 1 for up to several small ones.
            relit: share of the photographs, 0..1, that are seen in another light than their own; see `Materials`.

        Raises:
            UsageError: a folder or value cannot be used.
            ImageError: a picture cannot be decoded.
        """
        cv2.setNumThreads(0)
        self.seed = seed
        self.part: Part = part
        self.materials = dataclasses.replace(read_materials(photos, cutouts, split, part, difficulty), relit=relit)
        self._configure(size, mixture, difficulty)

    def _configure(self, size: int, mixture: Mapping[EditCategory, float] | None, difficulty: float) -> None:
        if not 0 <= difficulty <= 1:
            raise UsageError(f"Difficulty must lie between 0 and 1, not {difficulty}.")
        given: Mapping[EditCategory, float] = dict.fromkeys(MAKERS, 1.0) if mixture is None else mixture
        unknown = [key for key in given if key not in MAKERS]
        if unknown:
            raise UsageError(f"The category {unknown[0]} cannot be generated; use {', '.join(MAKERS)}.")
        shares = {EditCategory(key): share for key, share in given.items() if share > 0}
        if not shares:
            raise UsageError("The mixture is empty; give at least one category a share above 0.")
        self.size = _check_size(size)
        self.materials = dataclasses.replace(self.materials, difficulty=difficulty)
        self.categories = tuple(shares)
        self._bounds = tuple(accumulate(shares.values()))

    def sample(self, index: int, size: int | None = None) -> Triplet:
        """Make triplet number `index`. At another size it is the same edit, but for the rare one that is visible at one size only.

        Args:
            index: any whole number.
            size: side in pixels, at least 32, or None for the stream's.
        """
        rng = random.Random(self._name(index))
        side = self.size if size is None else _check_size(size)
        category, draft, region = self._draw(rng, side)
        return word_draft(draft, region, category, rng, self.part, {"seed": self.seed, "part": self.part, "index": index, "size": side})

    def others(self, index: int, count: int, size: int | None = None) -> list[Pixels]:
        """Targets of other edits of the same category that might have been asked of triplet `index`'s source.

        They come of the same random choices but for one, in an order that the index fixes, and each is visibly unlike the triplet's
        target and unlike the others. There may be fewer than asked for: a lone subject, say, can be removed in one way only.

        Args:
            index: any whole number.
            count: at most so many.
            size: as for `sample`.

        Returns:
            uint8 [H, W, 3] each.
        """
        side = self.size if size is None else _check_size(size)
        made = ChangedDraws(self._name(index))
        category, draft, _ = self._draw(made, side)
        targets = [draft.target]
        changes = [(draw, value) for draw in range(made.count) for value in range(OTHER_VALUES)]
        random.Random(index).shuffle(changes)
        for change in changes[:OTHER_TRIES]:
            if len(targets) > count:
                break
            same, other, region = self._draw(ChangedDraws(self._name(index), *change), side)
            if same is category and np.array_equal(other.source, draft.source):
                region = region | find_region(draft)
                if all(measure_change(target, other.target, region) >= VISIBLE for target in targets):
                    targets.append(other.target)
        return targets[1:]

    def _name(self, index: int) -> str:
        return f"{self.seed}/{self.part}/{index}"

    def _draw(self, rng: random.Random, side: int) -> tuple[EditCategory, Draft, Mask]:
        """A category, and the first of its drafts that is visible, with its region."""
        category = rng.choices(self.categories, cum_weights=self._bounds)[0]
        least = VISIBLE_COLOUR if category is EditCategory.COLOR_ALTERATION else VISIBLE
        for _ in range(ATTEMPTS):
            draft = MAKERS[category].compose(rng, self.materials, side)
            if draft is not None and measure_change(draft.source, draft.target, region := find_region(draft)) >= least:
                return category, draft, region
        raise UsageError(f"No visible edit of the category {category} can be made from these pictures; add photographs or cut-outs.")

    def squeezed(self, aspect: float) -> TripletStream:
        """The same, of pictures `aspect` times as wide as high, squeezed into squares; see `Materials`. In them things have their form."""
        return self._copy(dataclasses.replace(self.materials, aspect=aspect))

    def variant(self, *, size: int, mixture: Mapping[EditCategory, float] | None, difficulty: float) -> TripletStream:
        """Another stream over the same pictures in memory, as a curriculum needs; the arguments are the constructor's."""
        other = self._copy(self.materials)
        other._configure(size, mixture, difficulty)
        return other

    def _copy(self, materials: Materials) -> TripletStream:
        other = object.__new__(TripletStream)
        other.__dict__.update(self.__dict__)
        other.materials = materials
        return other


def _check_size(size: int) -> int:
    if not 32 <= size <= 2048:
        raise UsageError(f"The size of triplets must lie between 32 and 2048 pixels, not {size}.")
    return size


def find_region(draft: Draft) -> Mask:
    """Where a draft's edit is meant to act: bool [H, W]."""
    return np.ones(draft.source.shape[:2], np.bool_) if draft.touched is None else grow(draft.touched)


def word_draft(draft: Draft, region: Mask, category: EditCategory, rng: random.Random, part: Part, facts: dict[str, Any]) -> Triplet:
    """Put a draft's request into words; `facts` and the family of its clauses come before the draft's own parameters."""
    request = draft.request
    english, chinese = phrase(rng, CLAUSES[request.clauses], request.en, request.zh, part)
    return Triplet(
        source=draft.source,
        target=draft.target,
        region=region,
        category=category,
        instruction_en=english,
        instruction_zh=chinese,
        source_caption=draft.source_caption,
        target_caption=draft.target_caption,
        edit=draft.edit,
        parameters={**facts, "family": request.clauses, **draft.parameters},
    )


def measure_change(source: Pixels, target: Pixels, region: Mask) -> float:
    """Mean absolute difference of source and target inside the region, 0..255; 0 for an empty region."""
    difference = cv2.absdiff(source, target)
    return float(np.mean(cv2.mean(difference, mask=region.view(np.uint8))[:3]))
