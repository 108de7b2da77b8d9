"""Calls to services that may be slow, busy, dear or unwilling: bounded rate, bounded retries, bounded cost.

A service's client turns what went wrong into one of two errors: `Refused`, which is this case's answer, and `Passing`, after which the
same call may work. Every other `Step1XError` concerns all cases, a wrong key for instance, and ends the run.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from step1x_edit.errors import Step1XError, UsageError

Answer = TypeVar("Answer")
Item = TypeVar("Item")

SPARE = 2
"""Items in hand for each worker, so that none waits for work and few are lost on Ctrl-C."""


@dataclass(frozen=True)
class Usage:
    """What a call used, as the service counts it."""

    input_tokens: int = 0
    output_tokens: int = 0
    pictures: int = 0


class Refused(Step1XError):
    """The service will not answer this case, however often it is asked.

    Attributes:
        usage: what the refusal has to be paid for.
    """

    def __init__(self, message: str, usage: Usage | None = None) -> None:
        super().__init__(message)
        self.usage = usage or Usage()


class Passing(Step1XError):
    """The service did not answer this time: busy, over its rate, out of reach, or too slow.

    Attributes:
        after: seconds that the service asks to wait, where it says so.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Stopped(Step1XError):
    """The run was stopped while this call waited."""


class BudgetReached(Step1XError):
    """The cost cap does not allow another call."""


@dataclass(frozen=True)
class Prices:
    """US dollars for a million tokens in, a million tokens out, and a picture.

    Choice: no prices are built in, since they change; a cost cap without prices is refused.
    """

    input: float = 0.0
    output: float = 0.0
    picture: float = 0.0

    def cost(self, usage: Usage) -> float:
        """Dollars of a call."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6 + usage.pictures * self.picture

    @property
    def known(self) -> bool:
        """Whether anything costs anything."""
        return bool(self.input or self.output or self.picture)


@dataclass(frozen=True)
class Limits:
    """How hard a service is asked.

    Attributes:
        concurrency: calls under way at once; None leaves it to the system.
        per_minute: calls begun in a minute; None for no bound.
        attempts: how often one call is made before it counts as failed.
        first_wait: seconds before the second attempt where the service names none; doubled each time.
        longest_wait: most seconds of any wait, those that the service asks for included.
        timeout: seconds without any of an answer after which an attempt is given up; a whole answer may take longer.
        budget: US dollars that the run may cost in all; None for no bound.
    """

    concurrency: int | None = None
    per_minute: float | None = None
    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 180.0
    budget: float | None = None

    def check(self, prices: Prices) -> None:
        """Refuse limits that cannot be kept."""
        if self.budget is not None and not prices.known:
            raise UsageError("A cost cap needs prices; give --price-in and --price-out, or --price-picture.")
        for name, value in (("concurrency", self.concurrency), ("rate", self.per_minute), ("attempts", self.attempts)):
            if value is not None and value <= 0:
                raise UsageError(f"The {name} must be above 0, not {value}.")


class Pace:
    """Spaces calls of several threads out, and makes all of them wait when the service asks for it."""

    def __init__(self, per_minute: float | None = None) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Wait for this call's turn.

        Raises:
            Stopped: the run was stopped meanwhile.
        """
        while True:
            with self._lock:
                now = time.monotonic()
                if now >= self._next:
                    self._next = now + self._gap
                    break
                pause = self._next - now
            if self._stopped.wait(pause):
                break
        if self._stopped.is_set():
            raise Stopped("The run was stopped.")

    def hold(self, seconds: float) -> None:
        """Let no call begin for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def rest(self, seconds: float) -> None:
        """Make this thread alone wait."""
        if self._stopped.wait(seconds):
            raise Stopped("The run was stopped.")

    def stop(self) -> None:
        """Wake every thread that waits; none begins a call any more."""
        self._stopped.set()


@dataclass
class Purse:
    """What a run has cost, and whether another call fits under its cap."""

    prices: Prices
    budget: float | None = None
    spent: float = 0.0
    dearest: float = 0.0
    under_way: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def begin(self) -> None:
        """Set aside what a call may cost: as much as the dearest so far. Until one has been paid, they go one after the other.

        Raises:
            BudgetReached: the cap does not allow it.
        """
        with self.lock:
            while self.budget is not None and not self.dearest and self.under_way:
                self.lock.wait()
            if self.budget is not None and (self.spent >= self.budget or self.spent + (self.under_way + 1) * self.dearest > self.budget):
                raise BudgetReached(self.describe_end())
            self.under_way += 1

    def describe_end(self) -> str:
        """Says that the cap is reached, and what is spent by now: more than when it was reached, if calls were under way."""
        return f"The cost cap of {self.budget:g} dollars is reached, {self.spent:.4f} are spent."

    def end(self, usage: Usage | None) -> float:
        """The call is over; returns its cost."""
        with self.lock:
            self.under_way -= 1
            self.lock.notify_all()
            cost = self.prices.cost(usage) if usage else 0.0
            self.spent += cost
            self.dearest = max(self.dearest, cost)
        return cost


def call(ask: Callable[[], Answer], limits: Limits, pace: Pace) -> tuple[Answer, int]:
    """Ask until there is an answer, at most `limits.attempts` times; returns it with the number of attempts.

    Raises:
        Refused: the service will not answer.
        Passing: it did not answer in any of the attempts.
        Stopped: the run was stopped.
    """
    for attempt in range(1, limits.attempts + 1):
        pace.wait()
        try:
            return ask(), attempt
        except Passing as error:
            if attempt == limits.attempts:
                raise Passing(f"no answer in {attempt} attempts: {error}") from error
            if error.after:
                pace.hold(min(error.after, limits.longest_wait))
            else:
                wait = min(limits.first_wait * 2 ** (attempt - 1), limits.longest_wait)
                pace.rest(wait * random.uniform(0.5, 1.0))
    raise AssertionError("attempts are at least 1")


def work_through(waiting: deque[Item], work: Callable[[Item], Answer], workers: int, pace: Pace) -> Generator[tuple[Item, Future[Answer]]]:
    """Do the work for all that is waiting, several at once, and give each item with its future as it is done.

    Who empties `waiting` meanwhile lets no more begin. At the end, and when it is closed, calls that wait for their turn are woken.
    """
    under_way: dict[Future[Answer], Item] = {}
    with ThreadPoolExecutor(workers) as pool:
        try:
            while waiting or under_way:
                while waiting and len(under_way) < workers * SPARE:
                    item = waiting.popleft()
                    under_way[pool.submit(work, item)] = item
                finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield under_way.pop(future), future
        finally:
            pace.stop()
            pool.shutdown(cancel_futures=True)


def hide_login(text: str) -> str:
    """A text without the user and the password that an address in it may hold: for all that is written or shown."""
    return re.sub(r"(?<=://)[^/?#\s]*@", "", text)


def dig(value: Any, *path: str | int) -> Any:
    """What lies so deep in the JSON that a service sent; None where there is no such way, since services send anything."""
    for step in path:
        try:
            value = value[step]
        except (TypeError, LookupError):
            return None
    return value


def read_count(value: Any) -> int:
    """A count as a service tells it; 0 where it tells none."""
    return value if isinstance(value, int) and value > 0 else 0


def leave_out(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a request without those that are None, which is how an option takes away what is sent otherwise."""
    return {name: value for name, value in values.items() if value is not None}
