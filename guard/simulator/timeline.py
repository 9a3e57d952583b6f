"""Driven time: what happens when, in order. Nothing here waits; ``advance`` moves the clock from event to event."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Steps = Generator[Any, None, None]
"""What a process does: yields seconds to wait (a number), something with ``on_end`` to wait for, or ``FOREVER``."""

FOREVER = None
"""Yielded by a process that hangs."""


@dataclass(eq=False)
class Life:
    """What an event or process belongs to: when it ends, all of that is gone (a killed xo-server)."""

    alive: bool = True


@dataclass(order=True)
class Event:
    """One thing that will happen, unless it is cancelled first."""

    when: datetime
    number: int
    action: Callable[[], None] = field(compare=False)
    life: Life = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


class Process:
    """A generator that runs along the timeline. ``ended`` once it is through; never, when its life ended first."""

    def __init__(self, timeline: Timeline, steps: Steps, life: Life) -> None:
        self._timeline = timeline
        self._steps = steps
        self._life = life
        self._waiters: list[Callable[[], None]] = []
        self.ended = False

    def on_end(self, action: Callable[[], None]) -> None:
        """Do something when it ends; at once when it has."""
        if self.ended:
            action()
        else:
            self._waiters.append(action)

    def stop(self) -> None:
        """End it where it stands; whoever waits for it is told when its next step would have been."""
        self._steps.close()

    def resume(self) -> None:
        if not self._life.alive:
            return
        try:
            wanted = next(self._steps)
        except StopIteration:
            self.ended = True
            waiters, self._waiters = self._waiters, []
            for action in waiters:
                action()
            return
        if isinstance(wanted, int | float):
            self._timeline.after(wanted, self.resume, self._life)
        elif wanted is FOREVER:
            self._timeline.hung.append(self)
        else:
            wanted.on_end(self.resume)


class Timeline:
    """The queue of events and the clock over it.

    ``outer``: a clock that may run on its own (a virtual event loop's); ``catch_up`` lets everything happen that is due
    by it. One that stands still leaves all moving to ``advance``. Every look and every move is made under ``lock``.
    """

    def __init__(self, outer: Callable[[], datetime]) -> None:
        self._outer = outer
        self._moment = outer().astimezone(UTC)
        self._events: list[Event] = []
        self._number = 0
        self._busy = False
        self.lock = threading.RLock()
        self.hung: list[Process] = []
        """Kept, or Python would clear them away, and what they hold with them."""
        self.on_earlier: Callable[[], None] = lambda: None
        """Told whenever the next event is a new one; whoever sleeps until the next event sets it."""

    def now(self) -> datetime:
        return self._moment if self._busy else max(self._moment, self._outer().astimezone(UTC))

    @property
    def next_at(self) -> datetime | None:
        """When the next thing happens."""
        while self._events and (self._events[0].cancelled or not self._events[0].life.alive):
            heapq.heappop(self._events)
        return self._events[0].when if self._events else None

    def at(self, when: datetime, action: Callable[[], None], life: Life) -> Event:
        """Plan something; what lies in the past happens next."""
        self._number += 1
        event = Event(max(when.astimezone(UTC), self.now()), self._number, action, life)
        heapq.heappush(self._events, event)
        if self._events[0] is event:
            self.on_earlier()
        return event

    def after(self, seconds: float, action: Callable[[], None], life: Life) -> Event:
        return self.at(self.now() + timedelta(seconds=seconds), action, life)

    def spawn(self, steps: Steps, life: Life) -> Process:
        """Start a process: its first step happens now."""
        process = Process(self, steps, life)
        process.resume()
        return process

    def advance(self, to: datetime) -> None:
        """Let everything happen that is due up to ``to`` (aware), in order. Raises ValueError for the past."""
        if to < self._moment:
            raise ValueError(f"time does not run backwards: it is {self._moment:%F %T}, asked for {to:%F %T}")
        to = to.astimezone(UTC)
        while True:
            with self.lock:
                upcoming = self.next_at
                if upcoming is None or upcoming > to:
                    self._moment = max(self._moment, to)
                    return
                event = heapq.heappop(self._events)
                self._moment = max(self._moment, event.when)
                self._happen(event)

    def _happen(self, event: Event) -> None:
        self._busy = True
        try:
            event.action()
        finally:
            self._busy = False

    def catch_up(self) -> None:
        """Let everything happen that the outer clock has passed; nothing while something is happening."""
        with self.lock:
            if not self._busy and (outer := self._outer()) > self._moment:
                self.advance(outer)
