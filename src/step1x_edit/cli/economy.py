"""Options that save memory or time, of all commands that load a model to edit."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from step1x_edit.cli.folders import find_version
from step1x_edit.errors import UsageError

if TYPE_CHECKING:
    import torch

    from step1x_edit.editor import Editor
    from step1x_edit.memory import Placement, Plan

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:N or mps, or several that share the work, as cuda:0,cuda:1; the best there is by default.",
        show_default=False,
    ),
]
Vram = Annotated[
    float | None,
    typer.Option("--vram", min=0.1, help="Memory of the device in GiB: take the first settings that fit.", show_default=False),
]
WeightsDtype = Annotated[
    str | None, typer.Option("--weights-dtype", help="full, float8, int8 or int4: type in which the blocks' weights lie.")
]
Offload = Annotated[str | None, typer.Option("--offload", help="none, parts or blocks: what waits in main memory until it is used.")]
Strips = Annotated[bool, typer.Option("--strips", help="Run the autoencoder some rows at a time: less memory, the same picture.")]
Split = Annotated[bool, typer.Option("--split", help="Compute the two sides of guidance one after the other: less memory.")]
Cache = Annotated[
    str | None,
    typer.Option("--cache", metavar="KIND:LIMIT", help="Near-exact: first-block:0.1, accumulated:0.2 or every:5.", show_default=False),
]
Guided = Annotated[
    str | None, typer.Option("--guided", metavar="LOW,HIGH", help="Near-exact: guidance acts between these times.", show_default=False)
]


@dataclass(frozen=True)
class Edits:
    """What is counted with `--vram`.

    Attributes:
        size: that is worked at; None for the model's own.
        pictures: in each request.
        guidance: None for the model's own.
        previews: whether the work in progress is shown.
    """

    size: int | None = None
    pictures: int = 1
    guidance: float | None = None
    previews: bool = False


USUAL, SHOWN = Edits(), Edits(previews=True)
"""Edits of one picture at the model's own settings: whose work in progress is not shown, and is."""


@dataclass(frozen=True)
class Economy:
    """The options as they were given."""

    vram: float | None = None
    weights: str | None = None
    offload: str | None = None
    strips: bool = False
    split: bool = False
    cache: str | None = None
    guided: str | None = None

    @property
    def places(self) -> bool:
        """Whether anything is said of how the model is kept in memory."""
        return self.vram is not None or self.weights is not None or self.offload is not None or self.strips or self.split

    def open(self, model: str, device: str | None, dtype: str | None, folder: Path | None, edits: Edits = USUAL) -> Editor:
        """Load the model in this way, for edits such as these; see `place`."""
        from step1x_edit.devices import choose_devices
        from step1x_edit.editor import Editor
        from step1x_edit.model.caching import Shortcuts

        shortcuts = Shortcuts.read(self.cache, self.guided)
        shortcuts.check(choose_devices(device))
        editor = Editor.open(find_version(model), device, dtype, folder, self.place(model, device, dtype, folder, edits))
        editor.shortcuts = shortcuts
        return editor

    def place(self, model: str, device: str | None, dtype: str | None, folder: Path | None, edits: Edits = USUAL) -> Placement:
        """How to keep the model: as is said, or with `--vram`, in the first way that fits for edits such as these.

        Where nothing is said, all is on the device, or, of a GPU that has no room for that, what leaves the numbers alone and fits. Of
        several devices, each is to have room for what the first one needs.

        Raises:
            UsageError: no way fits, or an option contradicts another.
        """
        from step1x_edit.devices import choose_devices, device_memory, main_memory
        from step1x_edit.memory import ALL_ON_DEVICE, GIB, Placement, offloads_of

        devices = choose_devices(device)
        where = devices[0]
        given: dict[str, Any] = {"weights": self.weights, "offload": self.offload, "strips": self.strips, "split": self.split}
        if self.vram is not None:
            if any(given.values()):
                raise UsageError("--vram chooses the settings itself; leave out --weights-dtype, --offload, --strips and --split.")
            ways = ("none",) if where.type == "cpu" else offloads_of(len(devices))
            return self._plan(model, where, dtype, folder, edits).best(self.vram * GIB, ways, main_memory()).placement
        free = min((memory for each in devices if (memory := device_memory(each)) is not None), default=None)
        if any(given.values()) or free is None or folder is None or 2 * _weigh(folder) < free:
            return Placement(**{name: value for name, value in given.items() if value})
        fitting = self._plan(model, where, dtype, folder, edits).fitting(free, offloads_of(len(devices)), main_memory())
        found = next((need.placement for need in fitting if need.placement.weights == "full"), None)
        if found is None:
            raise UsageError(
                f"{model} as it is has no room in the {free / GIB:.1f} GiB that are free on {where}, nor its weights in main memory; "
                f"--vram {free / GIB:.1f} takes the first way that has, with rounded weights."
            )
        if found != ALL_ON_DEVICE:
            print(f"{free / GIB:.1f} GiB are free on {where}: {model} is kept as by {found.spell()}.", file=sys.stderr)
        return found

    def _plan(self, model: str, where: torch.device, dtype: str | None, folder: Path | None, edits: Edits) -> Plan:
        from step1x_edit.cli.plan import make_plan
        from step1x_edit.devices import choose_dtype

        number = str(choose_dtype(dtype, where)).removeprefix("torch.")
        return make_plan(model, edits.size, number, edits.pictures, edits.guidance, folder, self.cache is not None, edits.previews)


NOTHING_SAID = Economy()


def _weigh(folder: Path) -> int:
    """Bytes of the weights in a folder."""
    return sum(file.stat().st_size for ending in ("safetensors", "gguf") for file in folder.rglob(f"*.{ending}"))
