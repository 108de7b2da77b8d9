"""The state of a run, written whole or not at all, so that a killed run goes on exactly where it was.

The state holds the weights, their running average, the optimisers and the step; the data and the noise of a step follow from its number,
so nothing else has to be remembered.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from step1x_edit.errors import Step1XError, WeightsError
from step1x_edit.training.optim import Average

_NAME = "state.pt"


def save_state(folder: Path, step: int, model: nn.Module, average: Average, optimizers: list[torch.optim.Optimizer]) -> None:
    """Write the state after `step` finished steps into `folder`, over the one before.

    Raises:
        Step1XError: the disk is full or the folder cannot be written; the state before stays as it was.
    """
    state = {
        "step": step,
        "model": {name: p.detach() for name, p in model.named_parameters() if p.requires_grad},
        "average": average.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    partial = folder / f"{_NAME}.partial"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / _NAME)
    except (OSError, RuntimeError) as error:  # torch reports a failed write of its zip stream as RuntimeError
        partial.unlink(missing_ok=True)
        raise Step1XError(f"The checkpoint could not be written to {folder} ({error}); the one before it is still there.") from error


def load_state(folder: Path, model: nn.Module, average: Average, optimizers: list[torch.optim.Optimizer]) -> int:
    """Take up the state in `folder`; returns the number of finished steps, 0 where there is no state.

    Raises:
        WeightsError: the state belongs to a model of other sizes, or is damaged.
    """
    path = folder / _NAME
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        missing, unexpected = model.load_state_dict(state["model"], strict=False)
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        if unexpected or trained & set(missing):
            raise WeightsError(f"The state in {path} belongs to another model; give the run a new folder with --out.")
        average.load_state_dict(state["average"])
        for optimizer, values in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(values)
    except (RuntimeError, KeyError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0] or "it ends too early"
        raise WeightsError(f"The state in {path} cannot be taken up ({reason}); give the run a new folder with --out.") from error
    return int(state["step"])
