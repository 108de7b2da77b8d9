"""What can be trained: the autoencoder, the small MLLM, and the editor itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from step1x_edit.training.recipe import Recipe
    from step1x_edit.training.trainer import Task


def build_task(recipe: Recipe, device: torch.device) -> Task:
    """The task that a recipe names."""
    if recipe.task == "autoencoder":
        from step1x_edit.training.tasks.autoencoder import AutoencoderTask

        return AutoencoderTask(recipe)
    if recipe.task == "mllm":
        from step1x_edit.training.tasks.mllm import MLLMTask

        return MLLMTask(recipe)
    from step1x_edit.training.tasks.edit import EditTask

    return EditTask(recipe, device)
