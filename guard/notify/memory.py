"""An outbox that lives as long as the process: what the queue falls back to when the ledger cannot be written."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from guard.notify.ports import Queued

MOST = 1000  # messages; a ledger that is gone for good must not fill the memory


class MemoryOutbox:
    """An Outbox (ports.py). Beyond ``most`` rows the oldest are forgotten; ``forgotten`` counts them."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._last = 0
        self._rows: dict[int, tuple[datetime, Queued]] = {}
        self.forgotten = 0

    async def put(self, channel: str, message: bytes, at: datetime) -> None:
        self._last += 1
        self._rows[self._last] = at, Queued(id=self._last, channel=channel, message=message, tries=0, created=at)
        while len(self._rows) > self._most:
            del self._rows[min(self._rows)]
            self.forgotten += 1

    async def due(self, now: datetime, limit: int) -> tuple[Queued, ...]:
        ready = sorted((at, row.id) for at, row in self._rows.values() if at <= now)
        return tuple(self._rows[number][1] for _, number in ready[:limit])

    async def done(self, id: int) -> None:  # noqa: A002  the port's own word
        self._rows.pop(id, None)

    async def failed(self, id: int, next_try_at: datetime, error: str) -> None:  # noqa: A002
        del error
        if id in self._rows:
            row = self._rows[id][1]
            self._rows[id] = next_try_at, replace(row, tries=row.tries + 1)

    async def waiting(self) -> int:
        return len(self._rows)

    async def drop(self, id: int, error: str) -> None:  # noqa: A002
        del error
        self._rows.pop(id, None)
