"""The training loop: the same for every task, alone on a CPU or on one CUDA device.

    batch of step s (made in worker processes) -> loss -> gradients -> clip -> optimisers -> average

Everything that is random in a step follows from the recipe's seed and the step's number. So a killed run goes on as if nothing had
happened, and a run can be carried from one machine to another.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from step1x_edit.devices import choose_dtype
from step1x_edit.errors import Step1XError
from step1x_edit.model.tensors import write_json
from step1x_edit.training.checkpoints import load_state, save_state
from step1x_edit.training.optim import Average, build_optimizers, rate
from step1x_edit.training.recipe import Recipe, Stage


class Task(Protocol):
    """What is trained, on what, and how well: one class beside this file for the autoencoder, the MLLM, and the editor."""

    model: nn.Module

    def batch(self, stage: Stage, first: int) -> Any:
        """Make the batch whose samples have the numbers `first` onwards. Runs in a worker process."""

    def loss(self, batch: Any, generator: torch.Generator) -> Tensor:
        """The mean loss of a batch; all randomness comes from `generator`."""

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write the trained part, with the averaged `weights` in place of the present ones, into `folder`."""


class _Batches(torch.utils.data.Dataset[Any]):
    def __init__(self, task: Task, recipe: Recipe) -> None:
        self.task, self.recipe = task, recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> Any:
        return self.task.batch(self.recipe.stage_at(step), first_sample(self.recipe, step))


def first_sample(recipe: Recipe, step: int) -> int:
    """Number of samples that the steps before `step` took."""
    done, begin = 0, 0
    for stage in recipe.stages:
        done += (min(stage.until, step) - begin) * stage.batch if step > begin else 0
        begin = stage.until
    return done


def _batches(task: Task, recipe: Recipe, begin: int) -> Iterator[Any]:
    loader = torch.utils.data.DataLoader(
        _Batches(task, recipe),
        batch_size=None,
        sampler=range(begin, recipe.steps),
        num_workers=recipe.data.workers,
        prefetch_factor=4 if recipe.data.workers else None,
        multiprocessing_context="fork" if recipe.data.workers else None,
        worker_init_fn=_leave_stopping_to_the_loop,
    )
    return iter(loader)


def _leave_stopping_to_the_loop(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the loop still needs its batches until the step in progress is done."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _to(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {key: _to(value, device) for key, value in batch.items()}
    return batch


class _Interrupt:
    """Lets the step in progress end, and the state be saved, when the run is asked to stop (Ctrl-C or a polite kill)."""

    def __init__(self) -> None:
        self.asked = False
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def train(task: Task, recipe: Recipe, out: Path, device: torch.device, seconds: float | None = None) -> int:
    """Train until the recipe's last step, or for about `seconds`, or until asked to stop; returns the number of finished steps.

    `out` gets the resolved recipe, `metrics.jsonl` with every logged number, the state, and the model as `task.save` writes it.

    Raises:
        Step1XError: the loss is not finite, or the disk is full; the last good state stays.
    """
    write_json(out / "recipe.json", recipe.model_dump(mode="json"))
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    task.model.to(device).train()
    optimizers = build_optimizers(task.model, recipe.optim)
    average = Average(task.model, recipe.optim.ema)
    step = load_state(out, task.model, average, optimizers)
    batches = _batches(task, recipe, step)
    loss_of = torch.compile(task.loss) if recipe.compile else task.loss
    precision = torch.autocast(device.type, torch.bfloat16, enabled=choose_dtype(None, device) is torch.bfloat16)
    parameters = [p for group in (g for o in optimizers for g in o.param_groups) for p in group["params"]]
    start, logged, interrupt, losses = time.monotonic(), time.monotonic(), _Interrupt(), []
    try:
        while step < recipe.steps and not interrupt.asked and (seconds is None or time.monotonic() - start < seconds):
            batch = _to(next(batches), device)
            with precision:
                loss = loss_of(batch, torch.Generator(device).manual_seed(recipe.seed * 1_000_003 + step))
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, recipe.optim.clip)
            if not torch.isfinite(norm + loss):
                raise Step1XError(
                    f"The loss of step {step} is not a finite number; go on from the last saved state with a lower learning rate."
                )
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["base_lr"] * rate(step, recipe.steps, recipe.optim)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            average.update(task.model)
            losses.append(loss.detach())
            step += 1
            if step % recipe.log_every == 0:
                now = time.monotonic()
                pace = (first_sample(recipe, step) - first_sample(recipe, step - len(losses))) / (now - logged)
                _log(out, step, recipe, float(torch.stack(losses).mean()), float(norm), pace, now - start)
                losses, logged = [], now
            if step % recipe.save_every == 0:
                save_state(out, step, task.model, average, optimizers)
                task.save(out, average.values)
    finally:
        interrupt.restore()
    save_state(out, step, task.model, average, optimizers)
    task.save(out, average.values)
    return step


def _log(out: Path, step: int, recipe: Recipe, loss: float, norm: float, pace: float, elapsed: float) -> None:
    row = {
        "step": step,
        "samples": first_sample(recipe, step),
        "loss": round(loss, 6),
        "gradient_norm": round(norm, 4),
        "samples_per_second": round(pace, 2),
        "seconds": round(elapsed, 1),
    }
    try:
        with (out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    except OSError as error:
        raise Step1XError(f"The metrics could not be written to {out} ({error.strerror}); the last saved state is still there.") from error
    left = (first_sample(recipe, recipe.steps) - row["samples"]) / max(pace, 1e-9)
    print(f"step {step}/{recipe.steps}  loss {loss:.4f}  {pace:.1f} samples/s  {left / 60:.0f} min left", flush=True)
