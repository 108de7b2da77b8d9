"""A process that holds the model, as the server sees it: started, spoken to, listened to, and stopped."""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import threading
from collections.abc import Callable
from ctypes import c_uint64
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection

from step1x_edit.serve.messages import Batch, Message, Opening

STOP_SECONDS = 10.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and some supervisors, reach every process of a server; it alone says when the others end."""

# Measured over hundreds of pictures of different sizes: without these, what the C library and oneDNN keep for reuse grows by a third.
MEMORY = {"MALLOC_ARENA_MAX": "2", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "32"}


class ModelProcess:
    """One process, until it ends; a new one is a new object.

    Args:
        opening: what it is to hold.
        heard: called on the event loop with each of its messages.
        ended: called on the event loop once, after the last message, when the process has ended for any reason.
    """

    def __init__(self, opening: Opening, heard: Callable[[Message], None], ended: Callable[[], None]) -> None:
        for name, value in MEMORY.items():
            os.environ.setdefault(name, value)  # what a new process begins with
        context = get_context("spawn")  # a fork would copy locks and CUDA's state
        self._loop = asyncio.get_running_loop()
        self._heard = heard
        self._ended = ended
        # one alone writes it, at once; a lock would be held for ever by a process that is killed meanwhile, and left behind at the end
        self._cancelled = context.RawValue(c_uint64, 0)
        self._connection, far = context.Pipe()
        self._process = context.Process(target=_work, args=(far, self._cancelled, opening), name="step1x-model", daemon=True)
        resource_tracker.ensure_running()  # to start it later would let the signals in again that are blocked here
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a new process begins with what is blocked here
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        atexit.register(self._process.kill)  # multiprocessing itself sends SIGTERM, and waits
        far.close()
        threading.Thread(target=self._listen, name="step1x-ears", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """Its number on this machine."""
        return self._process.pid

    async def send(self, batch: Batch) -> None:
        """Hand over work; what cannot be handed over any more is told by `ended`."""
        await asyncio.to_thread(_send, self._connection, batch)

    def cancel(self, batch: int) -> None:
        """Let it drop the batches up to this number at its next step."""
        self._cancelled.value = max(batch, self._cancelled.value)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    async def stop(self) -> None:
        """Let it finish what it has, if that is soon, and end."""
        end = self._loop.call_later(STOP_SECONDS, self.kill)
        await asyncio.to_thread(self._stop)
        end.cancel()

    def _stop(self) -> None:
        _send(self._connection, None)  # waits where the process does not read
        self._process.join()

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError, TypeError):  # the last where it is closed in the middle of a wait
                break
            self._tell(self._heard, message)
        self._process.join()
        atexit.unregister(self._process.kill)
        self._tell(self._ended)

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the server's loop has ended; nobody listens
            return


def _work(connection: Connection, cancelled: c_uint64, opening: Opening) -> None:
    from step1x_edit.serve.worker import work  # with PyTorch, which the server's own process does without

    work(connection, cancelled, opening)


def _send(connection: Connection, batch: Batch | None) -> None:
    try:
        connection.send(batch)
    except OSError:
        return
