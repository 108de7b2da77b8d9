"""From tasks to pictures: who waits, what is worked on together, where, and what happens when something breaks.

Each process holds the model on one device. A batch that takes its process down is tried again task by task, each alone in its process; the
one that takes it down again is given up, and reported to its client alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from step1x_edit.serve.limits import Settings
from step1x_edit.serve.messages import Batch, Broken, Done, Event, Failed, Free, Message, Opening, Preview, Ready, Task
from step1x_edit.serve.metrics import Metrics
from step1x_edit.serve.process import ModelProcess
from step1x_edit.serve.queue import FairQueue
from step1x_edit.serve.refusals import Busy, Stopping

log = logging.getLogger("step1x.serve")

TRIES = 2
"""How often a task is given to a process before it counts as what takes processes down."""

LONGEST_PAUSE = 60.0
"""Seconds between attempts to start a process that does not come up."""


@dataclass(eq=False)
class Ticket:
    """A task in the engine's hands; `events` end with `Done` or `Failed`."""

    task: Task
    owner: str
    deadline: float
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    tries: int = 0
    over: bool = False
    timer: asyncio.TimerHandle | None = None

    @property
    def kind(self) -> object:
        return self.task.kind

    @property
    def cost(self) -> int:
        return self.task.pixels


class Engine:
    """See the module's text.

    Args:
        settings: of the server.
        metrics: where to count.
        gave_up: called with a sentence when a model cannot be loaded, and never could.
    """

    def __init__(self, settings: Settings, metrics: Metrics, gave_up: Callable[[str], None] = lambda sentence: None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._gave_up = gave_up
        self._queue: FairQueue[Ticket] = FairQueue(settings.places, settings.places_each)
        self._suspects: deque[Ticket] = deque()
        self._seats: list[_Seat] = []
        self._batches = itertools.count(1)
        self._tasks = itertools.count(1)
        self._seconds_each = 1.0
        self._stopping = False
        self.model: Ready | None = None

    async def start(self) -> None:
        """Start the processes; they become ready later."""
        self._seats = [_Seat(self, opening) for opening in self._settings.openings]
        for seat in self._seats:
            seat.start()

    async def stop(self) -> None:
        """Take nothing more, finish what is here if it is a matter of the grace's seconds, end the processes."""
        self._stopping = True
        loop = asyncio.get_running_loop()
        end = loop.time() + self._settings.grace
        while self.busy and any(seat.ready for seat in self._seats) and loop.time() < end:
            await asyncio.sleep(0.05)
        await asyncio.gather(*(seat.stop() for seat in self._seats))

    def abandon(self) -> None:
        """The time for what was begun is over: take nothing more, and tell all who still wait."""
        self._stopping, reason = True, Stopping()
        held = (ticket for seat in self._seats for ticket in seat.held.values())
        for ticket in [*self._queue, *self._suspects, *held]:
            self.finish(ticket, Failed(ticket.task.number, str(reason), reason.http_status, reason.code))
        self._sweep()

    def kill(self) -> None:
        """End the processes at once, whatever they do; for when nothing can be waited for."""
        for seat in self._seats:
            if seat.process is not None:
                seat.process.kill()

    @property
    def stopping(self) -> bool:
        """Whether it takes nothing more."""
        return self._stopping

    @property
    def ready(self) -> bool:
        """Whether a process can take work."""
        return not self._stopping and any(seat.ready for seat in self._seats)

    @property
    def busy(self) -> bool:
        """Whether anything that waits or is worked on is waited for."""
        held = (ticket for seat in self._seats for ticket in seat.held.values())
        return bool(len(self._queue) or self._suspects or not all(ticket.over for ticket in held))

    @property
    def processes(self) -> list[int]:
        """Numbers of the processes on this machine."""
        return [seat.process.pid for seat in self._seats if seat.process is not None and seat.process.pid is not None]

    def number(self) -> int:
        """A number for a new task."""
        return next(self._tasks)

    def submit(self, owner: str, tasks: Sequence[Task], seconds: float, arrived: float | None = None) -> list[Ticket]:
        """Take tasks, all or none.

        Args:
            owner: whose they are, for the taking of turns.
            tasks: what to do.
            seconds: until when they must be done.
            arrived: from when on that counts, by the loop's clock; None for now.

        Raises:
            Busy: too many are waiting.
            Stopping: the server is about to end.
        """
        if self._stopping:
            raise Stopping
        if self._queue.room(owner) < len(tasks):
            raise Busy(self._estimate())
        loop = asyncio.get_running_loop()
        deadline = (loop.time() if arrived is None else arrived) + seconds
        tickets = [Ticket(task, owner, deadline) for task in tasks]
        for ticket in tickets:
            ticket.timer = loop.call_at(deadline, self._expire, ticket, seconds)
            self._queue.add(ticket)
        self.dispatch()
        return tickets

    def cancel(self, tickets: Iterable[Ticket]) -> None:
        """Nobody waits for these any more."""
        for ticket in tickets:
            if not ticket.over:
                self._metrics.cancelled.inc()
                self._close(ticket)
        self._sweep()

    def _estimate(self) -> float:
        """Seconds until about half of the line has gone."""
        return len(self._queue) * self._seconds_each / max(1, len(self._seats)) / 2

    def _expire(self, ticket: Ticket, seconds: float) -> None:
        sentence = f"It took more than {seconds:g} seconds, which is the limit; ask for fewer steps or pictures, or later."
        self.finish(ticket, Failed(ticket.task.number, sentence, 504, "deadline_exceeded"))
        self._sweep()

    def _sweep(self) -> None:
        """Let go of what nobody waits for."""
        for seat in self._seats:
            seat.drop_if_unwanted()
        self._suspects = deque(ticket for ticket in self._suspects if not ticket.over)
        self._count()

    def finish(self, ticket: Ticket, end: Done | Failed) -> None:
        """Tell the client of the end, unless it has been told of one before."""
        if ticket.over:
            return
        if isinstance(end, Done):
            self._metrics.pictures.inc()
            for step, seconds in end.seconds.items():
                self._metrics.steps.labels(step).observe(seconds)
        ticket.events.put_nowait(end)
        self._close(ticket)

    def _close(self, ticket: Ticket) -> None:
        ticket.over = True
        self._queue.remove(ticket)
        if ticket.timer is not None:
            ticket.timer.cancel()

    def dispatch(self) -> None:
        """Give work to whoever can take it."""
        for seat in self._seats:
            if not seat.ready or not seat.free or seat.alone:
                continue
            if self._suspects:
                if not seat.held:
                    self._give(seat, [self._suspects.popleft()], alone=True)
            elif tickets := self._queue.take(self._settings.batch, self._settings.limits.pixels):
                self._metrics.batch.observe(len(tickets))
                self._give(seat, tickets)
        self._count()

    def _give(self, seat: _Seat, tickets: Sequence[Ticket], alone: bool = False) -> None:
        """A batch for a process, which counts as hung where it has not let go of all of it long after the last deadline."""
        seat.take(tickets, next(self._batches), alone)
        end = max(ticket.deadline for ticket in tickets) + self._settings.grace
        asyncio.get_running_loop().call_at(end, seat.kill_if_holding, {ticket.task.number for ticket in tickets})

    def _count(self) -> None:
        self._metrics.waiting.set(len(self._queue) + len(self._suspects))
        self._metrics.working.set(sum(len(seat.held) for seat in self._seats))

    def learn(self, seconds: float, pictures: int) -> None:
        """How long a batch took, for the estimate of waiting times."""
        self._seconds_each += 0.2 * (seconds / max(1, pictures) - self._seconds_each)

    def suspect(self, tickets: Iterable[Ticket]) -> None:
        """These were in a process that went down: each is tried once more, alone, or given up."""
        for ticket in tickets:
            if ticket.over:
                continue
            if ticket.tries < TRIES:
                self._suspects.append(ticket)
            else:
                sentence = "The edit brought the model's process down and was given up; try a smaller picture or fewer steps."
                self.finish(ticket, Failed(ticket.task.number, sentence, 500, "edit_failed"))

    def give_up(self, sentence: str) -> None:
        """A model cannot be loaded; where none ever was, there is nothing to serve."""
        log.error("%s", sentence)
        if self.model is None:
            self._gave_up(sentence)

    def restarted(self) -> None:
        """A process ended and is started again."""
        self._metrics.restarts.inc()


@dataclass(frozen=True)
class _Running:
    """The batch that the model is at work on."""

    number: int
    tickets: Sequence[Ticket]
    began: float


class _Seat:
    """A device's place: its process, and what the process has in hand."""

    def __init__(self, engine: Engine, opening: Opening) -> None:
        self._engine = engine
        self._opening = opening
        self._failures = 0
        self._stopping = False
        self._running: _Running | None = None
        self._sending: set[asyncio.Task[None]] = set()
        self.process: ModelProcess | None = None
        self.ready = False
        self.free = False
        self.alone = False
        self.held: dict[int, Ticket] = {}

    def start(self) -> None:
        """Start a process, in place of one that ended."""
        if not self._stopping:
            self.process = ModelProcess(self._opening, self._hear, self._end)

    async def stop(self) -> None:
        """End the process when it has finished."""
        self._stopping = True
        if self.process is not None:
            if not self.ready:  # it loads its model, and would not listen until it has
                self.process.kill()
            await self.process.stop()

    def take(self, tickets: Sequence[Ticket], number: int, alone: bool = False) -> None:
        """Give a batch to the process; `alone` lets none other begin before it is over."""
        assert self.process is not None
        self.free, self.alone = False, alone
        self._running = _Running(number, tickets, asyncio.get_running_loop().time())
        for ticket in tickets:
            ticket.tries += 1
            self.held[ticket.task.number] = ticket
        batch = Batch(number, tuple(ticket.task for ticket in tickets))
        sending = asyncio.get_running_loop().create_task(self.process.send(batch))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    def drop_if_unwanted(self) -> None:
        """Let the process stop at its next step where nobody waits for any of what its model is at work on."""
        if self.process is not None and self._running is not None and all(ticket.over for ticket in self._running.tickets):
            self.process.cancel(self._running.number)

    def kill_if_holding(self, numbers: set[int]) -> None:
        """End a process that has not let go of all of these tasks."""
        if self.process is not None and not numbers.isdisjoint(self.held):
            log.warning("A process hung and is replaced.")
            self.process.kill()

    def _hear(self, message: Message) -> None:
        engine = self._engine
        match message:
            case Ready():
                engine.model = engine.model or message
                self.ready = self.free = True
                self._failures = 0
            case Broken(sentence):
                engine.give_up(sentence)
            case Free():
                self.free = True
                if self._running is not None:
                    engine.learn(asyncio.get_running_loop().time() - self._running.began, len(self._running.tickets))
                    self._running = None
            case Preview(task):
                if (ticket := self.held.get(task)) and not ticket.over:
                    ticket.events.put_nowait(message)
            case Done(task) | Failed(task):
                if ticket := self.held.pop(task, None):
                    engine.finish(ticket, message)
        self.alone = self.alone and bool(self.held)
        engine.dispatch()

    def _end(self) -> None:
        held, self.held = list(self.held.values()), {}
        self.process, self.ready, self.free, self.alone, self._running = None, False, False, False, None
        if self._stopping:
            return
        self._engine.suspect(held)
        self._engine.restarted()
        self._failures += 1
        pause = min(LONGEST_PAUSE, 2.0 ** (self._failures - 2)) if self._failures > 1 else 0.0
        log.warning("A model's process ended; it is started again%s.", f" in {pause:g} s" if pause else "")
        asyncio.get_running_loop().call_later(pause, self.start)
        self._engine.dispatch()
