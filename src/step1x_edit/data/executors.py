"""Where a list of blocks runs: on this machine, on Ray, or on Slurm; the same tasks, and the same bytes, everywhere.

On this machine and on Ray, the same workers serve all lists of a build, so that the pictures that one has opened stay open.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import io
import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Protocol, Self

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.executor.slurm import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats
from loguru import logger

from step1x_edit.data.gpus import list_gpus, take_gpu
from step1x_edit.data.recipe import Executor
from step1x_edit.data.storage import write_bytes
from step1x_edit.errors import Step1XError, UsageError, first_line

Progress = Callable[[int, int], None]
"""Tasks done, and how many there are."""

_POLL = 2.0
"""Seconds between looks at what a cluster has finished."""


_REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""What a disk says that takes nothing any more, here to datatrove's own logs."""

KILLED = "A worker was killed, perhaps for want of memory; run the same command again, or with fewer --workers."


class Workers(Protocol):
    """What does the tasks of list after list; started when first needed, ended on leaving."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def run(self, work: Callable[[int], Any], ranks: Sequence[int]) -> Iterator[None]:
        """Do the work for every rank, in any order; yields after each, and raises the first error.

        Raises:
            Step1XError: a worker was killed.
        """


def open_workers(where: Executor) -> Workers:
    """The workers that a recipe's section asks for; raises UsageError where these are Ray's and it is not installed."""
    if where.kind != "ray":
        return LocalWorkers(where.workers)
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed: pip install 'step1x-edit[ray]'.")
    return RayWorkers(where)


class LocalWorkers:
    """Processes on this machine.

    They end with the process that started them, even where that is killed; where there are several GPUs, each sees one. With a single one,
    the work is done where it is asked for.
    """

    def __init__(self, count: int) -> None:
        """Have `count` of them."""
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._pool is not None:
            close_pool(self._pool, at_once=KeyboardInterrupt in raised)
            self._pool = None

    def run(self, work: Callable[[int], Any], ranks: Sequence[int]) -> Iterator[None]:
        """See `Workers`."""
        if self.count == 1:
            for rank in ranks:
                work(rank)
                yield
            return
        if self._pool is None:
            self._pool = open_pool(self.count, begin_worker)
        futures: list[Future[Any]] = []
        try:
            futures += [self._pool.submit(work, rank) for rank in ranks]
            for future in as_completed(futures):
                future.result()
                yield
        except BrokenProcessPool as error:
            raise Step1XError(KILLED) from error
        finally:
            for future in futures:
                future.cancel()


class RayWorkers:
    """Ray's actors, on the cluster that the recipe names or on one that is started here.

    Tasks go to those that are there: a cluster that has no room for all of them, or not yet, works with fewer.
    """

    def __init__(self, where: Executor) -> None:
        """Ask for `where.workers` of them."""
        self.where = where
        self._actors: list[Any] = []
        self._started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not (self._started or self._actors):
            return
        import ray

        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        if self._started:
            ray.shutdown()
            self._started = False

    def run(self, work: Callable[[int], Any], ranks: Sequence[int]) -> Iterator[None]:
        """See `Workers`; raises UsageError where a Ray that is started here has no room for one, too."""
        import ray

        self._start()
        shared, waiting, left = ray.put(work), deque(ranks), len(ranks)
        asked = {actor.ready.remote(): actor for actor in self._actors}
        while left:
            (answer,), _ = ray.wait(list(asked), num_returns=1)
            actor = asked.pop(answer)
            try:
                done = ray.get(answer)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise Step1XError(KILLED) from error
            if waiting:
                asked[actor.work.remote(shared, waiting.popleft())] = actor
            if done:
                left -= 1
                yield

    def _start(self) -> None:
        import ray

        options, where = self.where.ray, self.where
        cpus, memory = options.cpus_per_task, int(options.cpus_per_task * options.mem_per_cpu_gb * 2**30)
        if not ray.is_initialized():
            try:
                ray.init(
                    address=options.address or None,
                    logging_level=logging.ERROR,
                    num_cpus=None if options.address else where.workers * cpus,
                    include_dashboard=None if options.address else False,
                    log_to_driver=False,
                )
            except (ConnectionError, RuntimeError, ValueError) as error:
                place = f"at {options.address}" if options.address else "here"
                raise Step1XError(f"Ray cannot be used {place} ({first_line(error)}); correct executor.ray.address.") from error
            self._started = True
            if not options.address:
                _check_room(ray.cluster_resources(), memory, options.gpus_per_task)
        if not self._actors:
            kind = ray.remote(_Actor).options(num_cpus=cpus, memory=memory, num_gpus=options.gpus_per_task)
            self._actors = [kind.remote() for _ in range(where.workers)]


def _check_room(here: Mapping[str, float], memory: int, gpus: float) -> None:
    """Refuse actors of which a Ray that was started here never has room for one; a cluster may grow. Raises UsageError."""
    if gpus > here.get("GPU", 0):
        raise UsageError(f"Ray has {here.get('GPU', 0):g} GPUs here, and executor.ray.gpus_per_task is {gpus:g}; ask for fewer.")
    if memory > here["memory"]:
        has, asked = here["memory"] / 2**30, memory / 2**30
        raise UsageError(f"Ray has {has:.1f} GB of memory here, and executor.ray asks for {asked:.1f} GB a task; lower mem_per_cpu_gb.")


class _Actor:
    """A worker on Ray; answers whether it has done a task."""

    def ready(self) -> bool:
        return False

    def work(self, work: Callable[[int], Any], rank: int) -> bool:
        work(rank)
        return True


def run_tasks(
    steps: Sequence[PipelineStep],
    tasks: int,
    logs: Path,
    where: Executor,
    progress: Progress = lambda done, total: None,
    workers: Workers | None = None,
) -> None:
    """Run every task that has not been completed, and wait for the last one.

    Args:
        steps: the blocks.
        tasks: how many tasks there are.
        logs: folder of datatrove's logs, statistics and marks of completion; what is marked there is not run again.
        where: the recipe's section.
        progress: told after every task.
        workers: to be used again for the next list; others are started where none are given. Slurm starts its own.

    Raises:
        Step1XError: a task failed, a worker was killed, or the disk is full or refuses.
    """
    if not tasks:
        return
    try:
        if where.kind == "slurm":
            _run_slurm(list(steps), tasks, logs, where, progress)
            return
        with contextlib.nullcontext(workers) if workers else open_workers(where) as found:
            LocalExecutor(pipeline=list(steps), tasks=tasks, logging_dir=str(logs)).run_with(found, progress)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise Step1XError(f"{logs} could not be written ({error.strerror}); make room, and run the same command again.") from error


class _Silence(io.TextIOBase):
    """Takes what datatrove would print; its log files keep it."""

    def write(self, text: str) -> int:
        return len(text)


_SILENCE = _Silence()


class LocalExecutor(LocalPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's, but for its pool: it says how far it is, and its processes are `Workers`."""

    def run_with(self, workers: Workers, progress: Progress) -> None:
        """Run all tasks."""
        waiting = self.get_incomplete_ranks(range(self.tasks))
        progress(self.tasks - len(waiting), self.tasks)
        logger.remove()
        for done, _ in enumerate(workers.run(self._run_for_rank, waiting), self.tasks - len(waiting) + 1):
            progress(done, self.tasks)

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        with contextlib.redirect_stderr(_SILENCE):
            return super()._run_for_rank(rank, local_rank, node_rank)


def open_pool(count: int, begin: Callable[..., None], *more: Any) -> ProcessPoolExecutor:
    """`count` processes that Ctrl-C, which reaches every process of a terminal, leaves to the one that started them; see `close_pool`.

    Args:
        count: how many.
        begin: makes a process a worker: `begin_worker`, or what calls it with its first two arguments.
        more: further arguments of it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["step1x_edit.data.pipeline"])
    resource_tracker.ensure_running()  # when it is started, it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()  # which, as all that it starts, never takes the signal: not while it imports, either
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ProcessPoolExecutor(count, context, initializer=begin, initargs=(context.Value("i"), list_gpus(), *more))


def close_pool(pool: ProcessPoolExecutor, at_once: bool) -> None:
    """Wait for what the processes of a pool have in hand, or with `at_once`, end them."""
    if at_once:
        for worker in list((pool._processes or {}).values()):  # as terminate_workers does, which Python has since 3.14
            worker.terminate()
    pool.shutdown(cancel_futures=True)


def begin_worker(begun: Synchronized[int], gpus: Sequence[str]) -> None:
    """Make this process a worker that ends where the one that started it does, even if that is killed, and that sees one GPU of several.

    Args:
        begun: counts the workers of a pool.
        gpus: see `list_gpus`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where something else has started the server of processes before
    with begun.get_lock():
        number, begun.value = begun.value, begun.value + 1
    take_gpu(gpus, number)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


class SlurmExecutor(SlurmPipelineExecutor):  # type: ignore[misc]  # datatrove has no types
    """datatrove's, but for the further job that would merge statistics which nobody reads, in a folder that may be gone by then."""

    def launch_merge_stats(self) -> None:
        """Ask for nothing."""


def _run_slurm(steps: list[PipelineStep], tasks: int, logs: Path, where: Executor, progress: Progress) -> None:
    """Ask for an array and wait for it; one that a run that was stopped has asked for, and that is still at work, is waited for instead."""
    options = where.slurm
    assert options is not None  # the recipe has seen to it
    executor = SlurmExecutor(
        pipeline=steps,
        tasks=tasks,
        workers=where.workers,
        logging_dir=str(logs),
        job_name=f"step1x-{logs.name}",
        time=options.time,
        partition=options.partition,
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.mem_per_cpu_gb,
        tasks_per_job=options.tasks_per_job,
        qos=options.qos,
        env_command=options.env_command,
        sbatch_args=dict(options.arguments),
    )
    logger.remove()
    asked = logs / "job"
    former = asked.read_text() if asked.exists() else ""
    if former and _in_queue(former):
        executor.job_id = former
    else:
        _submit(executor)
        write_bytes(asked, str(executor.job_id).encode())
    while waiting := len(executor.get_incomplete_ranks(range(tasks))):
        progress(tasks - waiting, tasks)
        if not _in_queue(executor.job_id):
            _require_all(executor, tasks, logs)
        time.sleep(_POLL)
    progress(tasks, tasks)


def _submit(executor: SlurmExecutor) -> None:
    try:
        executor.run()
    except subprocess.CalledProcessError as error:
        advice = "what it says stands above, and what it was asked for in the recipe's executor.slurm"
        raise Step1XError(f"sbatch has not taken the work (exit status {error.returncode}); {advice}.") from error


def _in_queue(job: Any) -> bool:
    """Whether Slurm still knows the job as waiting or running; while its controller does not answer, it may."""
    found = subprocess.run(["squeue", "--noheader", "--jobs", str(job)], capture_output=True, text=True, check=False)
    silent = found.returncode != 0 and "invalid job id" not in found.stderr.lower()
    return silent or bool(found.stdout.strip())


def _require_all(executor: Any, tasks: int, logs: Path) -> None:
    left = executor.get_incomplete_ranks(range(tasks))
    if left:
        raise Step1XError(f"{len(left)} of {tasks} tasks failed; their logs are in {logs / 'logs'}, and the same command tries them again.")
