"""How a recipe says which tool plays a role, and with which weights."""

from __future__ import annotations

from dataclasses import dataclass

from step1x_edit.errors import UsageError


@dataclass(frozen=True)
class ToolChoice:
    """A tool by its name in the registry of its role.

    Attributes:
        name: "grabcut", "sam2", ...
        model: a folder, a file, or a repository of the Hugging Face hub; None takes the one that the tool names.
        revision: of that repository; None takes the newest.
        device: where it runs; None takes the best there is.
        dtype: "float32", "bfloat16" or "float16"; None takes what suits the device.
    """

    name: str
    model: str | None = None
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None

    def check_bare(self) -> None:
        """Refuse settings for a tool that has none.

        Raises:
            UsageError: a model, revision, device or dtype is given.
        """
        for key in ("model", "revision", "device", "dtype"):
            if getattr(self, key) is not None:
                raise UsageError(f"The tool {self.name} takes no {key}; leave it out, or choose a tool that runs a model.")
