"""Messages, channels and a driven clock for the tests of the queue."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from guard.errors import LedgerError, NotifyError
from guard.notify.memory import MemoryOutbox
from guard.notify.message import Event, Message, Tier
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route, for_people

NOW = datetime(2027, 3, 26, 22, 0, tzinfo=UTC)


def message(tier="page", event="alarm", title="Nightly is held", text="SR full", at=NOW, **more):
    return Message(tier=Tier(tier), event=Event(event), title=title, text=text, at=at, **more)


class Recorder:
    """A channel that keeps what it is sent. ``errors``: raised in turn, the last one for good; None: taken."""

    def __init__(self, name, *errors):
        self.name, self.errors, self.sent, self.tries = name, list(errors), [], 0

    async def send(self, message):
        self.tries += 1
        error = None
        if self.errors:
            error = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if error == "hang":
            await asyncio.Event().wait()
        if error is not None:
            raise error
        self.sent.append(message)

    @property
    def titles(self):
        return [message.title for message in self.sent]


def down(text="refused"):
    return NotifyError(text)


class House:
    """A queue with a clock that is moved by hand. ``outbox`` survives ``restart``, as the ledger does."""

    def __init__(self, *channels, outbox=None, limits=None, **wants):
        self.now = NOW
        self.channels = channels
        self.outbox = outbox or MemoryOutbox()
        self.limits = limits or Limits(time_limit_s=0.05)
        self.wants = wants
        self.restart()

    def restart(self, known=()):
        routes = [Route(one, self.wants.get(one.name, for_people())) for one in self.channels]
        self.queue = Queue(self.outbox, routes, self.limits, clock=lambda: self.now, known=known)

    async def later(self, **ahead):
        """Move the clock in one step, then pump once."""
        self.now += timedelta(**ahead)
        await self.queue.pump(self.now)

    async def live(self, step=timedelta(minutes=1), **ahead):
        """Pump every ``step`` for so long."""
        until = self.now + timedelta(**ahead)
        while self.now < until:
            self.now += step
            await self.queue.pump(self.now)

    async def status(self, name):
        return next(one for one in await self.queue.status() if one.name == name)


class FailingOutbox(MemoryOutbox):
    """A ledger whose disk is full while ``writes`` is False, and which cannot be read while ``reads`` is."""

    reads = writes = True

    async def put(self, channel, message, at):
        self._check()
        await super().put(channel, message, at)

    async def due(self, now, limit):
        if not self.reads:
            raise LedgerError("the ledger is damaged")
        return await super().due(now, limit)

    async def done(self, id):  # noqa: A002  the port's own word
        self._check()
        await super().done(id)

    async def failed(self, id, next_try_at, error):  # noqa: A002
        self._check()
        await super().failed(id, next_try_at, error)

    def _check(self):
        if not self.writes:
            raise LedgerError("the disk is full")
