"""How a recipe says which tool plays a role, and with which weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class ToolChoice:
    """A tool by its name in the registry of its role.

    Attributes:
        name: "grabcut", "sam2", ...
        model: a folder, a file, or a repository of the Hugging Face hub, perhaps with @REVISION; None takes the one that the tool names.
        revision: of that repository; None takes the newest.
        device: where it runs; None takes the best there is.
        dtype: "float32", "bfloat16" or "float16"; None takes what suits the tool and the device.
        label: for detectors of one kind of thing: what the model calls it.
        parts: further models that the tool is made of, by the names of their parts, each as `model` is given.
    """

    name: str
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None
    label: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the short form of a recipe: a name, and after a colon the model: "sam2:facebook/sam2.1-hiera-small@main"."""
        name, _, model = text.partition(":")
        return cls(name, model or None)

    def check_settings(self, *known: str) -> None:
        """Refuse settings that a tool does not read.

        Raises:
            UsageError: one other than `known` is given.
        """
        for key in ("model", "revision", "device", "dtype", "label", "parts"):
            if key not in known and getattr(self, key):
                hint = "leave it out" if known else "leave it out, or choose a tool that runs a model"
                raise UsageError(f"The tool {self.name} takes no {key}; {hint}.")


class BareTool:
    """A tool that takes no settings."""

    @classmethod
    def open(cls, choice: ToolChoice) -> Self:
        """Open it; raises UsageError where the recipe gives settings."""
        choice.check_settings()
        return cls()
