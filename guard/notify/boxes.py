"""The outbox, and what happens when it fails: memory takes its place, and no row is sent twice for want of a mark."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import msgspec

from guard.errors import LedgerError
from guard.notify.memory import MemoryOutbox
from guard.notify.message import Message, from_bytes
from guard.notify.ports import Outbox, Queued

MOST_ROWS = 16384  # rows looked at in one go, however many of one channel stand in front of the others
BATCH = 256  # rows asked for at first
_END_OF_TIME = datetime(9000, 1, 1, tzinfo=UTC)
_FAR = timedelta(days=10)  # no row waits so long: retries and digests are hours away


class Row(msgspec.Struct, frozen=True):
    """A row, which of the two outboxes it is in, and its message (None: it cannot be read back)."""

    box: int
    queued: Queued
    message: Message | None

    @property
    def channel(self) -> str:
        return self.queued.channel


class Boxes:
    """A durable outbox with a spare one in memory. ``trouble``: why the durable one failed last, '' once it writes."""

    def __init__(self, outbox: Outbox) -> None:
        self._spare = MemoryOutbox()
        self._boxes: tuple[Outbox, ...] = (outbox, self._spare)
        self._owed: dict[tuple[int, int], Callable[[], Awaitable[None]]] = {}
        self.trouble = ""

    async def put(self, channel: str, data: bytes, at: datetime) -> None:
        """Durable when it returns, unless the ledger fails: then it is kept in memory. Raises nothing."""
        try:
            await self._boxes[0].put(channel, data, at)
        except LedgerError as error:
            self.trouble = str(error)
            await self._spare.put(channel, data, at)
        else:
            self.trouble = ""

    async def due(self, now: datetime) -> list[Row]:
        """The due rows, the longest due first; without those whose last mark still could not be written."""
        found = []
        for row in await self._rows(now):
            mark = self._owed.get((row.box, row.queued.id))
            if mark is None:
                found.append(row)
            else:
                await self._write(row, mark)
        return found

    async def every(self) -> list[Row]:
        """All rows, due or not, up to MOST_ROWS."""
        return await self._rows(_END_OF_TIME)

    async def unsaved(self) -> int:
        """How many messages only the memory holds."""
        return await self._spare.waiting()

    async def bring_forward(self, now: datetime) -> None:
        """Make due what was put by a clock that was far ahead; else it would wait until that time comes."""
        for row in await self.every():
            if row.queued.created > now + _FAR:
                await self.failed(row, now, "the clock was set back")

    async def done(self, row: Row) -> None:
        await self._write(row, lambda: self._boxes[row.box].done(row.queued.id))

    async def failed(self, row: Row, again: datetime, error: str) -> None:
        await self._write(row, lambda: self._boxes[row.box].failed(row.queued.id, again, error))

    async def drop(self, row: Row, error: str) -> None:
        await self._write(row, lambda: self._boxes[row.box].drop(row.queued.id, error))

    async def _rows(self, until: datetime) -> list[Row]:
        found = []
        for number, box in enumerate(self._boxes):
            try:
                limit = BATCH
                rows = await box.due(until, limit)
                while len(rows) == limit and limit < MOST_ROWS:
                    limit *= 4
                    rows = await box.due(until, limit)
            except LedgerError as error:
                self.trouble = str(error)
            else:
                found += [Row(number, row, _read(row.message)) for row in rows]
        return found

    async def _write(self, row: Row, mark: Callable[[], Awaitable[None]]) -> None:
        """A mark that cannot be written is owed: its row is left alone until it could be. Raises nothing."""
        try:
            await mark()
        except LedgerError as error:
            self.trouble = str(error)
            self._owed[row.box, row.queued.id] = mark
        else:
            self._owed.pop((row.box, row.queued.id), None)
            self.trouble = "" if row.box == 0 else self.trouble


def _read(data: bytes) -> Message | None:
    try:
        return from_bytes(data)
    except ValueError:
        return None
