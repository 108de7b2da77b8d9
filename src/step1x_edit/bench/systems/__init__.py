"""The systems that can be measured, one file a kind. Each loads its library when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from step1x_edit.bench.systems import gemini, local, openai_images, pipelines, seededit
from step1x_edit.bench.systems.system import Edited, Settings, System
from step1x_edit.errors import UsageError

__all__ = ["SYSTEMS", "Edited", "Settings", "System", "open_system"]

SYSTEMS: dict[str, Callable[[Settings], System]] = {
    "leave-as-is": local.leave_as_is,
    "step1x": local.own,
    "openai": openai_images.openai_images,
    "gemini": gemini.Gemini,
    "seededit": seededit.SeedEdit,
    "endpoint": openai_images.endpoint,
    "diffusers": pipelines.diffusers,
    "folder": local.folder,
}


def open_system(name: str, settings: Settings) -> System:
    """Open a system by name: one of `SYSTEMS`, and after a colon the model, repository or folder.

    Raises:
        UsageError: there is no such system, or it needs something that is missing.
    """
    kind, _, model = name.partition(":")
    if kind not in SYSTEMS:
        raise UsageError(f"There is no system {kind!r}; choose from {', '.join(SYSTEMS)}.")
    return SYSTEMS[kind](replace(settings, model=model))
