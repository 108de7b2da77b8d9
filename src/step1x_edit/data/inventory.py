"""The files that a set is made of, written down when it is begun: a run that goes on works through the same ones, or refuses."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from step1x_edit.data.avoidance import list_avoided
from step1x_edit.data.clips import list_clips
from step1x_edit.data.licences import list_tables
from step1x_edit.data.materials import find_mask, list_cutouts
from step1x_edit.data.photographs import list_inputs
from step1x_edit.data.recipe import DataRecipe
from step1x_edit.data.split import Split
from step1x_edit.data.storage import write_json
from step1x_edit.data.tools.weights import digest_file


@dataclass(frozen=True)
class Inventory:
    """What there was.

    Attributes:
        photographs: folder and path of each, in the order in which they are looked over.
        states: of every file: its checksum, or its size, where its checksum is taken when it is looked over or drawn.
    """

    photographs: list[tuple[str, str]]
    states: dict[str, str]

    @classmethod
    def take(cls, recipe: DataRecipe, out: Path) -> Inventory:
        """Look through a recipe's folders; what a build writes into `out` is not part of them.

        Raises:
            UsageError: a folder or the split is missing, or does not hold what it should.
        """
        photographs = [(folder, path) for folder, path in list_inputs(recipe.photos) if not path.is_relative_to(out)]
        clips = [clip.path for clip in list_clips(recipe.videos)] if recipe.videos else []
        avoided = list_avoided(recipe.avoid)
        masks = [mask for _, path in photographs if (mask := find_mask(path))]
        sizes = {str(path): _measure(path) for path in (*(path for _, path in photographs), *masks, *clips, *avoided)}
        read_whole = [*list_cutouts(recipe.cutouts), *list_tables((*recipe.photos, *recipe.cutouts, *recipe.videos))]
        if recipe.heldout:
            Split.read(recipe.heldout)
            read_whole.append(recipe.heldout)
        checksums = {str(path): digest_file(path) for path in read_whole}
        return cls([(str(folder), str(path)) for folder, path in photographs], sizes | checksums)

    @classmethod
    def read(cls, path: Path) -> Inventory:
        """The inverse of `write`."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls([(folder, file) for folder, file in values["photographs"]], values["states"])

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        write_json(path, asdict(self))

    def find_change(self, later: Inventory) -> str:
        """What has become of the first file that differs later, or empty where all is as it was."""
        for path in sorted(self.states.keys() | later.states.keys()):
            if path not in later.states:
                return f"{path} has gone"
            if path not in self.states:
                return f"{path} is new"
            if self.states[path] != later.states[path]:
                return f"{path} has changed"
        return ""


def _measure(path: Path) -> str:
    return f"{path.stat().st_size} bytes" if path.exists() else "a link that leads nowhere"
