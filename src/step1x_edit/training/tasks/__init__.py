"""What can be trained: the autoencoder, the small MLLM, and the editor itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from step1x_edit.training.recipe import Recipe
    from step1x_edit.training.trainer import Task


def build_task(recipe: Recipe, device: torch.device, out: Path) -> Task:
    """The task that a recipe names; `out` is the run's folder, where a run that is gone on with finds what it chose at its start."""
    if recipe.task == "autoencoder":
        from step1x_edit.training.tasks.autoencoder import AutoencoderTask

        return AutoencoderTask(recipe)
    if recipe.task == "mllm":
        from step1x_edit.training.tasks.mllm import MLLMTask

        return MLLMTask(recipe, out)
    from step1x_edit.training.tasks.edit import EditTask

    return EditTask(recipe, device)
