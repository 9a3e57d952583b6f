"""Messages on their way to people, in the same file as the ledger: what guard means to tell survives it.

Rows are made by a function of the caller's (``queued``), so that this knows nothing of guard.notify.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from guard.ledger.store import Store
from guard.ledger.times import from_ms, to_ms

Q = TypeVar("Q")


class SqliteOutbox(Generic[Q]):
    """At least once: a message stays until ``done`` or ``drop``. Durable when a call returns. Raises LedgerError."""

    def __init__(self, store: Store, queued: Callable[..., Q]) -> None:
        self._store = store
        self._queued = queued

    async def put(self, channel: str, message: bytes, at: datetime) -> None:
        """Queue a message; it is due at once. ``at``: now."""
        row = (channel, message, to_ms(at), to_ms(at))
        self._do("INSERT INTO outbox (channel, message, created, next_try_at) VALUES (?, ?, ?, ?)", *row)

    async def due(self, now: datetime, limit: int) -> tuple[Q, ...]:
        """At most ``limit`` messages to try now, the one waiting longest first."""
        rows = self._store.rows(
            "SELECT id, channel, message, tries, created FROM outbox"
            " WHERE dropped = 0 AND next_try_at <= ? ORDER BY next_try_at, id LIMIT ?",
            to_ms(now),
            limit,
        )
        return tuple(
            self._queued(id=number, channel=channel, message=message, tries=tries, created=from_ms(created))
            for number, channel, message, tries, created in rows
        )

    async def done(self, id: int) -> None:  # noqa: A002  the name notify gives it
        """It was delivered: forget it."""
        self._do("DELETE FROM outbox WHERE id = ?", id)

    async def failed(self, id: int, next_try_at: datetime, error: str) -> None:  # noqa: A002
        """A try failed: not again before ``next_try_at``."""
        self._do(
            "UPDATE outbox SET tries = tries + 1, next_try_at = ?, last_error = ? WHERE id = ?",
            to_ms(next_try_at),
            _text(error),
            id,
        )

    async def waiting(self) -> int:
        """How many are neither delivered nor dropped."""
        count: int = self._store.rows("SELECT count(*) FROM outbox WHERE dropped = 0")[0][0]
        return count

    async def drop(self, id: int, error: str) -> None:  # noqa: A002
        """Give a message up. It is kept for a person to find until the ledger's retention takes it."""
        self._do("UPDATE outbox SET dropped = 1, last_error = ? WHERE id = ?", _text(error), id)

    def _do(self, sql: str, *values: object) -> None:
        self._store.write(lambda connection: connection.execute(sql, values))


def _text(error: str) -> str:
    """What the system says may hold bytes that are no UTF-8, which SQLite refuses."""
    return error.encode(errors="replace").decode()
