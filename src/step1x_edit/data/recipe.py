"""Recipes of the data pipeline: how many triplets of which kind, from which pictures, how they are sifted, and where the work runs.

A recipe is a TOML file that a user copies and changes; unknown keys are errors. The resolved recipe lies in every set as `recipe.json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from step1x_edit.data.deidentification import Switches
from step1x_edit.data.slots import COMPOSED, PHOTOGRAPH, Slot
from step1x_edit.data.split import Split
from step1x_edit.data.tools.choice import ToolChoice
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.toml_files import check_values, put_value, read_toml
from step1x_edit.types import EditCategory

Key = TypeVar("Key")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CategoryShare(_Section):
    """One kind of edit: its share of the set, any positive number, and how much of it is made from photographs themselves."""

    share: float = Field(ge=0)
    from_photographs: float | None = Field(default=None, ge=0, le=1)


def _resolve_model(model: str) -> str:
    return str(Path(model).absolute()) if Path(model).exists() else model  # links stay: what they lead to may have another ending


class Tool(_Section):
    """Which tool plays a role, and with which weights; see `tools.choice.ToolChoice`. In a recipe "NAME" or "NAME:MODEL" will do."""

    name: str
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None
    label: str | None = None
    parts: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _take_short_form(cls, value: Any) -> Any:
        return asdict(ToolChoice.parse(value)) if isinstance(value, str) else value

    def resolve(self) -> Tool:
        """The same with whole paths for models that lie on this machine."""
        parts = {part: _resolve_model(model) for part, model in self.parts.items()}
        return self.model_copy(update={"model": self.model and _resolve_model(self.model), "parts": parts})

    def to_choice(self) -> ToolChoice:
        """What the toolbox takes."""
        return ToolChoice(**self.model_dump())


class Privacy(_Section):
    """De-identification; see `deidentification.Switches`. Metadata never reach a set: pictures are decoded and written anew.

    Attributes:
        faces: blur faces in the photographs.
        plates: blur number plates.
        text: where text looks like personal data: "refuse" the photograph, "blur" the lines, or "keep" them.
    """

    faces: bool = False
    plates: bool = False
    text: Literal["refuse", "blur", "keep"] = "keep"

    def to_switches(self) -> Switches | None:
        """What `deidentify` takes; None where nothing is to be looked for."""
        return Switches(self.faces, self.plates, self.text) if self.faces or self.plates or self.text != "keep" else None


Switchable = Literal["change", "outside", "exposure", "sharpness", "agreement", "seams", "text", "faces", "duplicates"]
"""Filters that a recipe can switch off; the judge works only where a recipe has a section for it."""


class Limits(_Section):
    """What the filters let through. A filter that is named in `off` is left out.

    Attributes:
        outside: largest mean absolute change outside the region, of 255.
        change: smallest mean absolute change inside the region, of 255; a fifth of it where skin is retouched.
        colour_change: the same for colour alterations, where a smaller change means that the colour was there already.
        smallest: smallest region, as a share of the picture.
        changed: smallest share of the region's pixels that visibly change; a fifth of it where skin is retouched.
        sharpness: smallest spread of the second derivative of the sharper one of both pictures, of 255.
        darkest, brightest: bounds of the mean luminance of the better exposed one of both, of 255.
        clipped: largest share of it that is black or white through and through.
        seam: how much stronger the edges along the border of what was filled may be than those beside it.
        text_match: smallest share of letters that a text must be read with.
        face: smallest width of a face that can be edited, as a share of the picture's shorter side.
        agreement: of the pixels that visibly change, the smallest share that has the colour asked for.
        distance: pairs whose two perceptual hashes (128 bits in all) differ in at most so many bits are near-duplicates.
    """

    off: tuple[Switchable, ...] = ()
    outside: float = Field(default=0.5, ge=0)
    change: float = Field(default=8.0, ge=0)
    colour_change: float = Field(default=16.0, ge=0)
    smallest: float = Field(default=0.002, ge=0, le=1)
    changed: float = Field(default=0.1, ge=0, le=1)
    sharpness: float = Field(default=2.0, ge=0)
    darkest: float = Field(default=12.0, ge=0, le=255)
    brightest: float = Field(default=243.0, ge=0, le=255)
    clipped: float = Field(default=0.6, ge=0, le=1)
    seam: float = Field(default=2.0, ge=0)
    text_match: float = Field(default=0.75, ge=0, le=1)
    face: float = Field(default=0.08, ge=0, le=1)
    agreement: float = Field(default=0.35, ge=0, le=1)
    distance: int = Field(default=6, ge=0, le=31)


class Endpoint(_Section):
    """A model behind an OpenAI-compatible API. Its key comes from the environment of the command, never from a recipe."""

    url: str
    model: str
    timeout: float = Field(default=120.0, gt=0)
    attempts: int = Field(default=3, ge=1)


class Writer(_Section):
    """Words by an MLLM: `rounds` times it describes the edit, each time with what it said before; then it writes both instructions."""

    endpoint: Endpoint
    rounds: int = Field(default=2, ge=1, le=8)
    examples: int = Field(default=4, ge=0, le=16)


class Judge(_Section):
    """The last filter: an MLLM gives four marks, of 10 each, see `judging.MARKS`; the least of them must reach `least`."""

    endpoint: Endpoint
    least: float = Field(default=6.0, ge=0, le=10)


class Slurm(_Section):
    """What Slurm is told; `arguments` are further options of sbatch."""

    partition: str
    time: str = "04:00:00"
    cpus_per_task: int = Field(default=1, ge=1)
    mem_per_cpu_gb: int = Field(default=4, ge=1)
    tasks_per_job: int = Field(default=1, ge=1)
    qos: str = ""
    env_command: str = ""
    arguments: dict[str, str] = {}


class Ray(_Section):
    """What Ray is told; `address` of a running cluster, empty to start one on this machine."""

    address: str = ""
    cpus_per_task: int = Field(default=1, ge=1)
    gpus_per_task: float = Field(default=0.0, ge=0, description="Ray hides all GPUs from tasks that ask for none")
    mem_per_cpu_gb: float = Field(default=1.0, gt=0)


class Executor(_Section):
    """Where the work runs. Neither this nor the number of workers changes a byte of the set."""

    kind: Literal["local", "slurm", "ray"] = "local"
    workers: int = Field(default=1, ge=1)
    block: int = Field(default=24, ge=1, description="candidates in one task; what a kill costs at most")
    slurm: Slurm | None = None
    ray: Ray = Ray()

    @model_validator(mode="after")
    def _check(self) -> Executor:
        if self.kind == "slurm" and self.slurm is None:
            raise ValueError("executor.slurm must at least name a partition")
        return self


PAPER_SHARES: Mapping[EditCategory, float] = {
    EditCategory.SUBJECT_ADDITION: 11.0,
    EditCategory.SUBJECT_REMOVAL: 11.0,
    EditCategory.SUBJECT_REPLACEMENT: 22.0,
    EditCategory.MOTION_CHANGE: 13.2,
    EditCategory.TEXT_MODIFICATION: 8.8,
    EditCategory.BACKGROUND_CHANGE: 6.6,
    EditCategory.COLOR_ALTERATION: 6.6,
    EditCategory.PORTRAIT_EDITING: 6.6,
    EditCategory.STYLE_TRANSFER: 5.5,
    EditCategory.TONE_TRANSFORMATION: 5.5,
    EditCategory.MATERIAL_MODIFICATION: 3.3,
}
"""In per cent. Source: paper, figure of the data; addition and removal, which it counts together, by halves."""


class DataRecipe(_Section):
    """The whole file.

    Attributes:
        size: side in pixels of a square with the area of the pictures.
        aspects: widths over heights; each candidate takes one of them by chance, clips as well.
        cutouts: folders of what is pasted; without any, drawn shapes are.
        avoid: folders and Parquet files of pictures, a benchmark's say, that no photograph may show, whatever its name, size or encoding.
        heldout: TOML with the names of photographs and cut-outs that are kept out; see `split.Split`.
        from_photographs: share of the triplets in which what stands in a photograph itself is edited, instead of cut-outs that are pasted
            onto it; 0 where it is left out, or 1 where there are no cut-outs. A category may say otherwise for itself. Portraits are 1
            unless their own category says so: what is pasted has no face.
    """

    count: int = Field(ge=1)
    seed: int = Field(default=0, ge=0)
    size: int = Field(default=512, ge=64, le=2048)
    aspects: list[Annotated[float, Field(ge=0.25, le=4)]] = Field(default=[1.0], min_length=1)
    difficulty: float = Field(default=0.7, ge=0, le=1)
    photos: list[Path] = Field(min_length=1)
    cutouts: list[Path] = []
    from_photographs: float | None = Field(default=None, ge=0, le=1)
    videos: list[Path] = Field(default=[], description="folders of clips, for motion changes")
    from_videos: float = Field(
        default=0.5, ge=0, le=1, description="share of the motion changes that are made of clips, where there are any"
    )
    heldout: Path | None = None
    avoid: list[Path] = []
    format: Literal["jpg", "png"] = "jpg"
    shard: int = Field(default=100, ge=1, description="triplets in one shard")
    smallest_side: int = Field(default=256, ge=16, description="photographs with a shorter side are left out")
    largest_area: int = Field(default=120_000_000, ge=1, description="pixels; larger photographs are left out")
    rejected_pictures: int = Field(default=4, ge=0, description="pictures kept of each reason and category")
    categories: dict[EditCategory, CategoryShare] = {key: CategoryShare(share=share) for key, share in PAPER_SHARES.items()}
    tools: dict[str, Tool] = {}
    limits: Limits = Limits()
    privacy: Privacy = Privacy()
    writer: Writer | None = None
    judge: Judge | None = None
    executor: Executor = Executor()

    @model_validator(mode="after")
    def _check(self) -> DataRecipe:
        if not any(category.share for category in self.categories.values()):
            raise ValueError("at least one category must have a share above 0")
        return self

    def resolve(self) -> DataRecipe:
        """The same with whole paths for relative ones, so that it means the same wherever it is read."""
        keys = ("photos", "cutouts", "videos", "avoid")
        places: dict[str, Any] = {key: [folder.resolve() for folder in getattr(self, key)] for key in keys}
        tools = {role: tool.resolve() for role, tool in self.tools.items()}
        return self.model_copy(update={**places, "heldout": self.heldout and self.heldout.resolve(), "tools": tools})

    def to_values(self) -> dict[str, Any]:
        """JSON-able, as a set keeps it: without the executor, which changes nothing of a set, and without `aspects` where all are squares
        and `avoid` where it is empty, so that sets from before there were these keys are still known by their recipe."""
        left_out = {"executor"} | ({"aspects"} if self.aspects == [1.0] else set()) | (set() if self.avoid else {"avoid"})
        return self.model_dump(mode="json", exclude=left_out)

    def read_split(self) -> Split:
        """What it keeps out for evaluation; raises UsageError where the file is not as it should be."""
        return Split.read(self.heldout) if self.heldout else Split()

    def open_tools(self) -> Toolbox:
        """The tools that it chooses; raises UsageError where there is no such role or tool."""
        return Toolbox({role: tool.to_choice() for role, tool in self.tools.items()})

    def wanted(self) -> dict[EditCategory, int]:
        """How many triplets of each category, in the categories' order; they add up to `count`."""
        return apportion(self.count, {key: self.categories[key].share for key in EditCategory if key in self.categories})

    def slots(self) -> dict[Slot, int]:
        """The same by category and by how they are made, in their order."""
        found: dict[Slot, int] = {}
        for category, count in self.wanted().items():
            share = self._from_photographs(category)
            parts = apportion(count, {COMPOSED: 1 - share, PHOTOGRAPH: share})
            found |= {Slot(category, route): part for route, part in parts.items()}
        return found

    def _from_photographs(self, category: EditCategory) -> float:
        own = self.categories[category].from_photographs
        if own is not None:
            return own
        if category is EditCategory.PORTRAIT_EDITING:
            return 1.0
        return self.from_photographs if self.from_photographs is not None else float(not self.cutouts)


def apportion(count: int, shares: Mapping[Key, float]) -> dict[Key, int]:
    """Divide `count` by shares: whole parts first, what is left to the largest remainders, the earlier one where they are equal."""
    total = sum(shares.values())
    exact = {key: count * share / total for key, share in shares.items() if share > 0}
    parts = {key: math.floor(value + 1e-9) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: parts[key] - exact[key])
    for key in by_remainder[: count - sum(parts.values())]:
        parts[key] += 1
    return {key: part for key, part in parts.items() if part}


def read_recipe(path: Path, changes: Mapping[str, Any]) -> DataRecipe:
    """Read a TOML recipe and lay `changes` over it: keys with dots for sections; None leaves what the file says.

    Relative folders start from where the command runs.

    Raises:
        UsageError: the file is missing, is not TOML, has an unknown key or a value out of range.
    """
    values = read_toml(path, "recipe")
    for key, value in changes.items():
        if value is not None:
            put_value(values, key, value)
    return check_recipe(values, str(path))


def check_recipe(values: Mapping[str, Any], name: str) -> DataRecipe:
    """Make a recipe of plain values; raises UsageError that says which one is wrong."""
    return check_values(DataRecipe, values, "recipe", name)
