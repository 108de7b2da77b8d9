"""The state of a run, written whole or not at all while training goes on, so that a killed run continues exactly where it was.

    state/step-00000400/shard-00001-....safetensors     one file a process; any number of processes can take it up

The state holds the weights, their running average, the optimisers and the step; the data and the noise of a step follow from its number,
so nothing else has to be remembered. A folder gets its name when all of it is on the disk; before that it ends in `.partial`.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from step1x_edit.errors import Step1XError, WeightsError, first_line
from step1x_edit.model.tensors import TensorFiles
from step1x_edit.training.optim import Average
from step1x_edit.training.processes import Processes
from step1x_edit.training.sharding import local

_FOLDER, _BEFORE = "state", "state.pt"


class Checkpoints:
    """The states of one run; the newest whole one is kept, and the one before it until then."""

    def __init__(
        self, out: Path, model: nn.Module, average: Average, optimizers: list[torch.optim.Optimizer], processes: Processes
    ) -> None:
        self._folder = out / _FOLDER
        self._processes = processes
        self._step = torch.zeros((), dtype=torch.int64)
        self._state = _collect(model, average, optimizers) | {"step": self._step}
        self._writing: tuple[Path, Future[Any]] | None = None

    def load(self) -> int:
        """Take up the newest state; returns the number of finished steps, 0 where there is no state.

        Raises:
            WeightsError: the state belongs to a model of other sizes, or is damaged.
        """
        found = sorted(self._folder.glob("step-*[0-9]"))
        if not found:
            if self._folder.with_name(_BEFORE).exists():
                raise WeightsError(
                    f"{self._folder.with_name(_BEFORE)} was written by an earlier version; begin a new run with --out, "
                    "and name this one's folder as model.start to go on from its weights."
                )
            return 0
        path = found[-1]
        try:
            for file in path.glob("*.safetensors"):
                TensorFiles(file)  # a file that is cut short is found here, by a check that names it
            reader = HuggingFaceStorageReader(str(path))
            saved = {name: tuple(getattr(facts, "size", ())) for name, facts in reader.read_metadata().state_dict_metadata.items()}
            self._check(path, saved)
            dcp.load(self._state, storage_reader=reader, process_group=self._processes.background)
        except (OSError, RuntimeError, KeyError, ValueError, SafetensorError, CheckpointException) as error:
            reason = str(error).partition("\n")[0] or "it ends too early"
            raise WeightsError(f"The state in {path} cannot be taken up ({reason}); give the run a new folder with --out.") from error
        return int(self._step)

    def _check(self, path: Path, saved: dict[str, tuple[int, ...]]) -> None:
        """Refuse a state of other tensors than these, by their names and shapes."""
        wanted = {name: tuple(value.shape) for name, value in self._state.items()}
        differing = {name for name in {**saved, **wanted} if saved.get(name) != wanted.get(name)}
        keys = {"average/": "optim.ema", "optimizer/": "optim.muon_lr"}
        named = [key for start, key in keys.items() if any(name.startswith(start) for name in differing)]
        if named and not any(name.startswith("model/") for name in differing):
            raise WeightsError(
                f"The state in {path} does not go with this {' and '.join(named)}; set as recipe.json has it, or give the run a new folder "
                "with --out."
            )
        if differing:
            raise WeightsError(f"The state in {path} belongs to another model; give the run a new folder with --out.")

    def save(self, step: int) -> None:
        """Begin to write the state after `step` finished steps; training may go on at once, the weights of this moment are written.

        Raises:
            Step1XError: the weights are no longer finite numbers, or the state before could not be written.
        """
        self.finish()
        if not all(bool(torch.isfinite(local(value)).all()) for value in self._state.values()):
            raise Step1XError(f"The weights after step {step} are not finite numbers; go on from the last saved state with a lower rate.")
        self._step.fill_(step)
        partial = self._folder / f"step-{step:08d}.partial"
        if self._processes.first:
            try:
                for left in self._folder.glob("*.partial"):
                    shutil.rmtree(left)
                partial.mkdir(parents=True)
            except OSError as error:
                raise _unwritten(self._folder, error) from error
        self._processes.wait()
        writer = HuggingFaceStorageWriter(str(partial), save_distributed=True)
        future: Any = dcp.async_save(self._state, storage_writer=writer, process_group=self._processes.background)
        self._writing = partial, future

    def poll(self) -> None:
        """Give the state that is being written its name, if it is on the disk by now; raises as `finish` does."""
        if self._writing is not None and self._writing[1].done():
            self.finish()

    def finish(self) -> None:
        """Wait until the state that is being written is on the disk.

        Raises:
            Step1XError: the disk is full or the folder cannot be written; the state before stays as it was.
        """
        if self._writing is None:
            return
        (partial, future), self._writing = self._writing, None
        try:
            future.result()
            if self._processes.first:
                _settle(partial)
        except (OSError, RuntimeError, SafetensorError, CheckpointException) as error:
            if self._processes.first:
                shutil.rmtree(partial, ignore_errors=True)
            raise _unwritten(self._folder, error) from error


def _collect(model: nn.Module, average: Average, optimizers: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """All tensors of a run under names of their own."""
    names = {p: name for name, p in model.named_parameters() if p.requires_grad}
    state = {f"model/{name}": p.detach() for p, name in names.items()}
    state |= {f"average/{name}": value for name, value in average.values.items()} | {"average_updates": average.updates}
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for p in group["params"]:
                state |= {f"optimizer/{names[p]}/{key}": value for key, value in optimizer.state[p].items()}
    return state


def _settle(partial: Path) -> None:
    """Make sure that a written state is on the disk, give it its name, and remove the one before."""
    for file in partial.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    final = partial.with_suffix("")
    if final.exists():  # the run was stopped twice at the same step, and the states are equal
        shutil.rmtree(partial)
        return
    partial.replace(final)
    for older in partial.parent.glob("step-*[0-9]"):
        if older != final:
            shutil.rmtree(older)


def _unwritten(folder: Path, error: BaseException) -> Step1XError:
    while isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    return Step1XError(f"The checkpoint could not be written to {folder} ({first_line(error)}); the one before it is still there.")
