"""The durable queue: what is told becomes rows of an outbox, and rows are sent until they arrive or grow too old.

Promised is *at least once*: a row is marked as sent after the channel took it, so that a crash in between, or a lost
answer, sends it again. ``message.key`` and the mail's Message-ID stay the same, so that a receiver can tell.

No channel delays another: each is served by a task of its own, one message at a time, each within a time limit, and
``pump`` may be called again while a slow one is still at work. A ledger that cannot be written costs the durability,
not the message: such rows live in memory until they are sent. The clock is passed in; only time limits are real.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from guard.errors import NotifyError, PartlyToldError
from guard.notify import trouble
from guard.notify.boxes import Boxes, Row
from guard.notify.digest import collected, next_digest
from guard.notify.message import Event, Message, Tier, named, one_line, to_bytes
from guard.notify.ports import Channel, Outbox
from guard.notify.route import DIGEST, ChannelStatus, Limits, Route

MOST_FAILURES = 3  # in a row, within one pump; then the channel's other messages wait without a try
BUDGET_S = 60.0  # seconds one pump goes on sending to one channel; the rest stays due
FAILING_TOLD = timedelta(hours=1)  # a channel that takes nothing for so long is told through the others
PERISHES = timedelta(minutes=15)  # a start ping or a sign of life that comes later says something untrue
ERROR_CHARS = 500
_PROBE = Message(tier=Tier.DIGEST, event=Event.DIGEST, title="", text="", at=datetime(2000, 1, 1, tzinfo=UTC))


class Queue:
    """``tell`` from anywhere, ``pump`` every few seconds. ``known``: the status of an earlier process, to go on from.

    Raises ValueError when two channels share a name, or one has the name ``digest``.
    """

    def __init__(
        self,
        outbox: Outbox,
        routes: Sequence[Route],
        limits: Limits,
        *,
        clock: Callable[[], datetime],
        known: Iterable[ChannelStatus] = (),
    ) -> None:
        self._boxes = Boxes(outbox)
        self._clock = clock
        self._status = {status.name: status for status in known}
        self.use(routes, limits)
        self._busy: set[str] = set()
        self._picking = asyncio.Lock()
        self._pumped_at: datetime | None = None

    def use(self, routes: Sequence[Route], limits: Limits) -> None:
        """From now on these channels and limits; what is being sent right now still goes the old way. Raises ValueError."""
        by_name = {route.channel.name: route for route in routes}
        if len(by_name) != len(routes) or DIGEST in by_name:
            raise ValueError(f"channels need names of their own, and none may be called {DIGEST}")
        self._routes, self._limits = by_name, limits
        for name in by_name:
            self._status.setdefault(name, ChannelStatus(name=name))

    @property
    def ledger_trouble(self) -> str:
        """Why the ledger's outbox could not be used the last time; '' when it could."""
        return self._boxes.trouble

    async def unsaved(self) -> int:
        """How many messages are held by the memory alone, because the ledger could not be written."""
        return await self._boxes.unsaved()

    async def tell(self, message: Message, *, but_not: str = "") -> None:
        """One row per channel that wants it. Durable when it returns, unless the ledger fails. Raises nothing.

        A *page* is due at once, a *digest* at the next digest. ``but_not``: the name of a channel to leave out.
        """
        now, message = self._clock(), named(message)
        data = to_bytes(message)
        for_digest = message.tier is Tier.DIGEST and message.event is not Event.DIGEST
        if for_digest and any(route.wants(_PROBE) for route in self._routes.values()):
            await self._boxes.put(DIGEST, data, next_digest(now, self._limits.digest_at, self._limits.zone))
        for name, route in self._routes.items():
            if name != but_not and route.wants(message):
                await self._boxes.put(name, data, now)

    async def pump(self, now: datetime) -> None:
        """Send what is due. Returns when every channel it served is done, within time limits. Raises nothing."""
        async with self._picking:
            if self._pumped_at is None or now < self._pumped_at:
                await self._boxes.bring_forward(now)
            self._pumped_at = now
            rows = await self._boxes.due(now)
            waiting = [row for row in rows if row.channel == DIGEST]
            if waiting:
                await self._collect(waiting)
                rows = await self._boxes.due(now)
            tasks = [self._served(name, some, now) for name, some in self._free(rows).items()]
        await asyncio.gather(*tasks)

    async def status(self) -> tuple[ChannelStatus, ...]:
        """Every channel, and under the name ``digest`` what waits for the next digest."""
        waiting: dict[str, int] = {}
        for row in await self._boxes.every():
            waiting[row.channel] = waiting.get(row.channel, 0) + 1
        known = [*(self._status[name] for name in self._routes), ChannelStatus(name=DIGEST)]
        return tuple(replace(status, waiting=waiting.get(status.name, 0)) for status in known)

    async def _collect(self, rows: Sequence[Row]) -> None:
        """Everything that waits for a digest whose time has come becomes one message, however many nights it is.

        Its rows are marked after it was put: a crash in between tells the digest twice, under the same key.
        """
        found = [row.message for row in rows if row.message is not None]
        at = max(row.queued.created for row in rows)
        await self.tell(collected(found, at, self._limits.zone, unreadable=len(rows) - len(found)))
        for row in rows:
            await self._boxes.done(row)

    def _free(self, rows: Sequence[Row]) -> dict[str, list[Row]]:
        """Rows by channel, without the channels that an earlier pump is still serving."""
        found: dict[str, list[Row]] = {}
        for row in rows:
            if row.channel not in self._busy and row.channel != DIGEST:
                found.setdefault(row.channel, []).append(row)
        return found

    def _served(self, name: str, rows: list[Row], now: datetime) -> asyncio.Task[None]:
        def free(_: object) -> None:
            self._busy.discard(name)

        self._busy.add(name)
        route = self._routes.get(name)
        task = asyncio.create_task(self._forget(rows) if route is None else self._serve(route.channel, rows, now))
        task.add_done_callback(free)
        return task

    async def _forget(self, rows: Sequence[Row]) -> None:
        """Who took a channel away may not know that a page still waited for it: the other channels tell."""
        why = "this channel is not in the policy any more"
        for row in rows:
            await self._boxes.drop(row, why)
        pages = [row.message for row in rows if row.message is not None and row.message.tier is Tier.PAGE]
        told = trouble.dropped(rows[0].channel, pages, why, self._clock())
        if told is not None:
            await self.tell(told)

    async def _serve(self, channel: Channel, rows: list[Row], now: datetime) -> None:
        """One channel's due rows: new ones first, so that what cannot be delivered does not stand in their way."""
        name = channel.name
        dropped: list[Message | None] = []
        loop = asyncio.get_running_loop()
        begun, failures, error, why = loop.time(), 0, "", ""
        for row in sorted(rows, key=lambda one: (one.queued.tries > 0, one.queued.created, one.queued.id)):
            age = now - row.queued.created
            if row.message is None:
                why = "it could not be read back; another version of guard wrote it"
                await self._drop(row, why, dropped)
            elif _perishable(row.message) and age >= PERISHES:
                await self._drop(row, "too late to mean anything", [])
            elif failures >= MOST_FAILURES:  # its trouble is the channel's, and is known
                await self._boxes.failed(row, self._limits.again(now, row.queued.created, row.queued.tries), error)
            elif loop.time() - begun < BUDGET_S:
                since = loop.time()
                error = await self._try(channel, row.message)
                if not error:
                    failures = 0
                    await self._boxes.done(row)
                    continue
                hung = loop.time() - since > self._limits.time_limit_s / 2
                failures = MOST_FAILURES if hung else failures + 1
                if age >= self._limits.give_up_after:
                    why = error
                    await self._drop(row, why, dropped)
                else:
                    again = self._limits.again(now, row.queued.created, row.queued.tries)
                    await self._boxes.failed(row, again, error)
        await self._tell_trouble(name, dropped, why, now)

    async def _try(self, channel: Channel, message: Message) -> str:
        """Send one message. Returns what went wrong, '' for nothing."""
        name, warning = channel.name, ""
        try:
            async with asyncio.timeout(self._limits.time_limit_s):
                await channel.send(message)
        except PartlyToldError as error:
            warning = one_line(str(error), ERROR_CHARS)
        except NotifyError as error:
            return self._failed(name, one_line(str(error), ERROR_CHARS))
        except TimeoutError:
            return self._failed(name, f"did not finish within {self._limits.time_limit_s:g} s")
        except Exception as error:  # noqa: BLE001  a crash in one channel must not stop the others; its text may hold anything
            return self._failed(name, f"a bug of guard's in this channel: {type(error).__name__}")
        now, status = self._clock(), self._status[name]
        if warning:
            status = replace(status, last_error=warning, last_error_at=now)
        self._status[name] = replace(status, sent=status.sent + 1, last_sent_at=now, failing_since=None, told=False)
        return ""

    def _failed(self, name: str, error: str) -> str:
        now, status = self._clock(), self._status[name]
        self._status[name] = replace(
            status,
            failed=status.failed + 1,
            last_error=error,
            last_error_at=now,
            failing_since=status.failing_since or now,
        )
        return error

    async def _drop(self, row: Row, error: str, dropped: list[Message | None]) -> None:
        status = self._status[row.channel]
        self._status[row.channel] = replace(status, dropped=status.dropped + 1)
        dropped.append(row.message)
        await self._boxes.drop(row, error)

    async def _tell_trouble(self, name: str, dropped: Sequence[Message | None], why: str, now: datetime) -> None:
        """Through the other channels: what was dropped, and once that nothing gets through."""
        told = trouble.dropped(name, dropped, why, now)
        if told is not None:
            await self.tell(told, but_not=name)
        status, limits = self._status[name], self._limits
        since = status.failing_since
        if since is not None and now - since >= FAILING_TOLD and not status.told:
            self._status[name] = replace(status, told=True)
            text = trouble.failing(name, since, status.last_error, limits.give_up_after, now, limits.zone)
            await self.tell(text, but_not=name)


def _perishable(message: Message) -> bool:
    """A start that is told after the run, a sign of life of guard itself: true for minutes only, and not for people."""
    alive = message.event is Event.SUCCESS and message.schedule is None
    return message.tier is not Tier.PAGE and (message.event is Event.START or alive)
