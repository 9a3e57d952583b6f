"""Driven time: an asyncio loop that moves its clock to the next timer instead of waiting for it.

Sockets mean nothing here: use ``httpx.ASGITransport`` and queues. ``asyncio.get_running_loop().now`` is the wall clock
of the loop; a simulated world is made with it: ``World(asyncio.get_running_loop().now)``.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 11, 24, 20, tzinfo=UTC)


class _Leaping(selectors.SelectSelector):
    """A selector that lets the loop's time leap over every wait."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen: every task waits for something that has no timer")
        self.seconds += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """``start``: what ``now`` says at first (aware). Work for an executor is done at once, in the loop's thread."""

    def __init__(self, start: datetime = START) -> None:
        self._leaping = _Leaping()
        self._start = start
        super().__init__(self._leaping)
        self._clock_resolution = 1e-6  # a float's last bit must not keep a timer from being due

    def time(self) -> float:
        return self._leaping.seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._leaping.seconds)

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody has to be woken."""

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - an executor hands on whatever was raised
            done.set_exception(error)
        return done


def run(coroutine: Coroutine[Any, Any, T], start: datetime = START) -> T:
    """Run to the end in virtual time that begins at ``start``."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(coroutine)
