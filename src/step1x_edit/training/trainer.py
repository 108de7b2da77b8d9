"""The training loop: the same for every task, on a CPU, on one GPU, or on many under torchrun.

    batch of step s (made in worker processes) -> loss -> gradients -> clip -> optimisers -> average

Everything that is random in a step follows from the recipe's seed and the numbers of its samples. So a killed run goes on as if nothing
had happened, and a run can be carried from one machine to another, with more devices or fewer.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from step1x_edit.errors import Step1XError
from step1x_edit.locking import hold
from step1x_edit.training.batches import to_device
from step1x_edit.training.checkpoints import Checkpoints
from step1x_edit.training.journal import Journal, Pace, check_folder, line
from step1x_edit.training.optim import Average, build_optimizers, rate
from step1x_edit.training.portions import Portion, first_sample, generators, portions
from step1x_edit.training.processes import Processes, joined
from step1x_edit.training.recipe import Recipe, Stage
from step1x_edit.training.sharding import check_compiling, compile_blocks, let_go, recompute, shard, whole

PATIENCE = 10.0
"""Seconds that a run waits for one in the same folder to end: the workers of one that was killed notice it after a while."""

KILLED = "A process that makes the batches was killed, perhaps for want of memory; run the same command again, or with fewer data.workers."


class Task(Protocol):
    """What is trained, on what, and how well: one class in `tasks/` for the autoencoder, the MLLM, and the editor.

    What has a default here suits a task that is small: whole on every device, not counted, with nothing to prepare or to show.

    Attributes:
        model: what holds the weights; those that require gradients are trained.
        blocks: its equal parts, over which it is sharded, compiled and run again; none where it is small enough to be left whole.
        sharded: whether several processes share the weights out, or each keeps all of them.
    """

    model: nn.Module
    blocks: Sequence[nn.Module] = ()
    sharded: bool = False

    def prepare(self, processes: Processes) -> None:
        """Do what is done once, before the first step: read data, compute what is cached."""
        return

    def fill(self) -> None:
        """Give the model, which may lie on the meta device until now, its weights, of which each process may hold a part."""
        return

    def batch(self, portion: Portion) -> Any:
        """Make the batch of a portion's samples. Runs in a worker process."""

    def loss(self, batch: Any, draws: Sequence[torch.Generator]) -> Tensor:
        """The mean loss of a batch; what is random in sample i comes from `draws[i]`."""

    def flops(self, stage: Stage) -> float | None:
        """Floating-point operations of a step of that stage on all samples, without what is run again; None where it is not counted."""
        return None

    def evaluate(self) -> tuple[dict[str, float], Image.Image | None]:
        """Scores by name, and a picture to look at; empty where the task has none. The model holds its averaged weights by then."""
        return {}, None

    def save(self, folder: Path, weights: dict[str, Tensor]) -> None:
        """Write the trained part, with the averaged `weights` in place of the present ones, into `folder`."""


class _Batches(torch.utils.data.Dataset[Any]):
    def __init__(self, task: Task, recipe: Recipe, processes: Processes) -> None:
        self.task = task
        self.portions = lambda step: portions(recipe, step, processes)

    def __getitem__(self, step: int) -> list[Any] | Step1XError:
        try:
            return [self.task.batch(portion) for portion in self.portions(step)]
        except Step1XError as error:
            return error  # raised in a worker it would become another, with the worker's traceback in its text


def _batches(task: Task, recipe: Recipe, begin: int, processes: Processes) -> Generator[list[Any]]:
    loader = torch.utils.data.DataLoader(
        _Batches(task, recipe, processes),
        batch_size=None,
        sampler=range(begin, recipe.steps),
        num_workers=recipe.data.workers,
        prefetch_factor=4 if recipe.data.workers else None,
        multiprocessing_context="fork" if recipe.data.workers else None,
        worker_init_fn=_begin_worker,
    )
    for batches in loader:
        if isinstance(batches, Step1XError):
            raise batches
        yield batches


def _begin_worker(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; the loop still needs its batches until the step in progress is done.

    And tensors go to it by value: otherwise a file is held open for each that waits, of which many systems allow a thousand.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ForkingPickler.register(Tensor, _send)


def _send(tensor: Tensor) -> tuple[Any, ...]:
    return _receive, (tensor.reshape(-1).view(torch.uint8).numpy(), tensor.dtype, tensor.shape)


def _receive(data: Any, dtype: torch.dtype, shape: torch.Size) -> Tensor:
    return torch.from_numpy(data).view(dtype).reshape(shape)


class _Interrupt:
    """Lets the step in progress end, and the state be saved, when the run is asked to stop (Ctrl-C or a polite kill)."""

    def __init__(self, seconds: float | None) -> None:
        self.asked = False
        self.end = None if seconds is None else time.monotonic() + seconds
        self.before = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True

    def due(self) -> bool:
        return self.asked or (self.end is not None and time.monotonic() >= self.end)

    def restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


@contextmanager
def _within_memory(step: int) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise Step1XError(
            f"The device's memory was not enough for step {step}; give the stages a smaller micro_batch or set activation_checkpointing."
        ) from error


def train(
    task: Task,
    recipe: Recipe,
    out: Path,
    device: torch.device,
    seconds: float | None = None,
    torchrun: bool = False,
    peak: float | None = None,
) -> int:
    """Train until the recipe's last step, or for about `seconds`, or until asked to stop; returns the number of finished steps.

    `out` gets the resolved recipe, `metrics.jsonl` with every logged number, the state, and the model as `task.save` writes it.

    Args:
        task: what is trained.
        recipe: how.
        out: folder of the run, the same for all processes; a run that is there already is gone on with.
        device: where this process computes.
        seconds: when to stop.
        torchrun: whether this is one of several processes that torchrun started.
        peak: floating-point operations a second that one device can do at most, for the log.

    Raises:
        Step1XError: the loss is not finite, or the device's memory or the disk is full; the last good state stays.
        UsageError: another run is at work in `out`, or it holds something else.
    """
    with joined(device, torchrun) as processes, _alone_in(out) if processes.first else nullcontext():
        return _Run(task, recipe, out, device, processes, peak).train(seconds)


def _alone_in(out: Path) -> AbstractContextManager[None]:
    check_folder(out)
    busy = f"Another run is at work in {out}; wait for it, or choose another folder with --out."
    return hold(out / ".lock", busy, seconds=PATIENCE)


def _place(task: Task, recipe: Recipe, device: torch.device, processes: Processes) -> None:
    """Put the model on the device, or a part of it, and its weights in."""
    if recipe.activation_checkpointing:
        recompute(task.blocks)
    if task.sharded:
        shard(task.model, task.blocks, processes, device, recipe.dtype(device))
    if any(p.is_meta for p in task.model.parameters()):
        task.model.to_empty(device=device)
    else:
        task.model.to(device)
    task.fill()
    task.model.train()


class _Run:
    def __init__(self, task: Task, recipe: Recipe, out: Path, device: torch.device, processes: Processes, peak: float | None) -> None:
        self.task, self.recipe, self.out, self.device, self.processes = task, recipe, out, device, processes
        for stage in recipe.stages:
            processes.share(range(stage.batch))  # a batch that cannot be shared out is said before anything is done
        if recipe.compile:
            check_compiling(device)
            compile_blocks(task.blocks)
        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.journal = Journal(out, recipe, device, processes.count) if processes.first else None
        task.prepare(processes)
        _place(task, recipe, device, processes)
        self.optimizers = build_optimizers(task.model, recipe.optim, processes)
        self.average = Average(task.model, recipe.optim.ema)
        self.parameters = [p for o in self.optimizers for group in o.param_groups for p in group["params"]]
        self.checkpoints = Checkpoints(out, task.model, self.average, self.optimizers, processes)
        self.precision = torch.autocast(device.type, torch.bfloat16, enabled=recipe.dtype(device) is torch.bfloat16)
        self.pace = Pace(recipe, None if peak is None else peak * processes.count)
        self.unheard: OSError | None = None

    def train(self, seconds: float | None) -> int:
        step, recipe = self.checkpoints.load(), self.recipe
        if self.journal is not None:
            self.pace.before = self.journal.resume(step)
        batches = _batches(self.task, recipe, step, self.processes)
        interrupt, losses, saved = _Interrupt(seconds), list[Tensor](), -1
        try:
            while step < recipe.steps and not self.processes.any(interrupt.due() or self.unheard is not None, self.device):
                with _within_memory(step):
                    loss, norm = self._step(step, next(batches))
                losses.append(loss)
                step += 1
                stage = recipe.stage_at(step - 1)
                self.pace.add(stage.batch, self.task.flops(stage) if self.pace.peak else None)
                if step % recipe.log_every == 0:
                    self._log(step, torch.stack(losses).mean().item(), norm.item())
                    losses = []
                self.checkpoints.poll()
                if step % recipe.save_every == 0:
                    self._save(step)
                    saved = step
                if recipe.evaluation.every and step % recipe.evaluation.every == 0:
                    self._evaluate(step)
            if saved != step:
                self._save(step)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise Step1XError(KILLED) from error  # it comes from a signal's handler, in the middle of anything: there is nothing to save
        finally:
            try:
                batches.close()  # else the processes that make them, which no signal ends, would be waited for without end
                self._close()
            finally:
                interrupt.restore()  # not before: who asks twice to stop would lose the state that is being written
        if self.unheard is not None:
            raise self.unheard
        return step

    def _step(self, step: int, batches: list[Any]) -> tuple[Tensor, Tensor]:
        """One optimiser step; returns loss and length of the gradient, both over all processes."""
        recipe, total = self.recipe, torch.zeros((), device=self.device)
        pieces = portions(recipe, step, self.processes)
        samples = sum(len(piece.samples) for piece in pieces)
        for portion, batch in zip(pieces, batches, strict=True):
            with self.precision:
                loss = self.task.loss(to_device(batch, self.device), generators(recipe, portion, self.device))
            share = loss * (len(portion.samples) / samples)
            share.backward()
            total += share.detach()
        if not self.task.sharded:
            self.processes.average_gradients(self.parameters)
        norm = whole(torch.nn.utils.clip_grad_norm_(self.parameters, recipe.optim.clip))
        total = self.processes.mean(total)
        if not torch.isfinite(norm + total):
            raise Step1XError(
                f"The loss of step {step} is not a finite number; go on from the last saved state with a lower learning rate."
            )
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * rate(step, recipe.steps, recipe.optim)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.average.update()
        return total, norm

    def _log(self, step: int, loss: float, norm: float) -> None:
        done = first_sample(self.recipe, step)
        numbers = {"samples": done, "loss": loss, "gradient_norm": norm, "learning_rate": self.optimizers[0].param_groups[0]["lr"]}
        numbers |= self.pace.read(first_sample(self.recipe, self.recipe.steps) - done)
        if self.device.type == "cuda":
            numbers["memory_gib"] = torch.cuda.max_memory_allocated(self.device) / 2**30
        if self.journal is not None:
            self.journal.log(step, numbers)
            self._say(line(step, self.recipe, numbers))

    def _say(self, text: str) -> None:
        """Print a line. Where the output takes none any more, as a pipe whose reader has gone, the run ends, but not before it is saved."""
        try:
            print(text, flush=True)
        except OSError as error:
            self.unheard = error

    def _save(self, step: int) -> None:
        self.checkpoints.save(step)
        gathered: dict[str, Tensor] = {}
        for name, value in self.average.weights().items():
            together = whole(value)  # all processes have to ask, one weight at a time, so that no device holds them all
            if self.processes.first:
                gathered[name] = together.cpu()
        if self.processes.first:
            self.task.save(self.out, gathered)

    def _evaluate(self, step: int) -> None:
        self.task.model.eval()
        with self.average.applied(), torch.no_grad(), self.precision:
            try:
                scores, picture = self.task.evaluate()
            except FloatingPointError as error:
                scores, picture = {"failed": 1.0}, None
                if self.processes.first:
                    print(f"The evaluation after step {step} failed: {error}.", file=sys.stderr, flush=True)
            let_go(self.task.model)
        self.task.model.train()
        if self.journal is not None and scores:
            self.journal.log(step, {f"evaluation/{name}": value for name, value in scores.items()})
            self._say(f"step {step}/{self.recipe.steps}  " + "  ".join(f"{name} {value:.2f}" for name, value in scores.items()))
            if picture is not None:
                self.journal.show(step, "evaluation", picture)

    def _close(self) -> None:
        try:
            self.checkpoints.finish()
        finally:
            if self.journal is not None:
                self.journal.close()
