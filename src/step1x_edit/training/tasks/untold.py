"""What the smaller tasks leave as it is."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import nn

from step1x_edit.training.processes import Processes
from step1x_edit.training.recipe import Stage


class Untold:
    """A task that is small enough to be whole on every device, is not counted, and has nothing to prepare or to show."""

    blocks: Sequence[nn.Module] = ()
    sharded = False

    def prepare(self, processes: Processes) -> None:
        """Nothing."""

    def fill(self) -> None:
        """The weights are there from the beginning."""

    def flops(self, stage: Stage) -> float | None:
        """Not counted."""
        return None

    def evaluate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Nothing."""
        return {}, None
