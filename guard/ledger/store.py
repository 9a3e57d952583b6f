"""One connection to the ledger's file: whole transactions, the lease, room when the disk is full, errors explained.

It runs straight on the event loop: a durable step is a barrier, nothing may go on before it is on the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from guard.errors import LedgerError
from guard.ledger.ballast import Ballast
from guard.ledger.faults import PERHAPS_FULL, SQLITE_ERRORS, code_of, explained, gone
from guard.ledger.files import identity_of
from guard.ledger.times import from_ms, to_ms

T = TypeVar("T")


class Store:
    """What the ledger and the outbox share. ``ballast`` is None for a reader, which never writes."""

    def __init__(self, path: Path, connection: sqlite3.Connection, ballast: Ballast | None) -> None:
        self.path = path
        self.connection = connection
        self.ballast = ballast
        self._holder: str | None = None
        self._file = identity_of(path)

    def rows(self, sql: str, *values: object) -> list[Any]:
        """All rows of one query. Raises LedgerError."""
        try:
            return self.connection.execute(sql, values).fetchall()
        except SQLITE_ERRORS as error:
            raise explained(self.path, error) from error

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What ``work`` gives, in one transaction: on the disk when this returns, or undone when it raises.

        Raises LedgerError: the disk is full with the ballast freed too, the lease went to somebody else, the file is no
        longer the one at its path, or SQLite failed. ``work`` may run twice.
        """
        self._still_there()
        try:
            result = self._transaction(work)
        except SQLITE_ERRORS as error:
            if code_of(error) not in PERHAPS_FULL or self.ballast is None:
                raise explained(self.path, error) from error
            self.ballast.free()
            result = self._again(work)
        if self.ballast is not None and not self.ballast.held:
            self.ballast.restore()
        return result

    def lease(self, holder: str, until: datetime, now: datetime) -> None:
        """Take or renew the lease. Raises LedgerError naming the other who holds it.

        One that was taken further ahead of now than it is long stems from a clock that was wrong then: it is over.
        """
        start, end = to_ms(now), to_ms(until)

        def take(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT holder, taken, until FROM lease").fetchone()
            if row is not None and row[0] != holder and row[1] - (row[2] - row[1]) <= start < row[2]:
                raise LedgerError(
                    f"the ledger {self.path} is held by {row[0]} until {from_ms(row[2]):%Y-%m-%d %H:%M:%S} UTC: two"
                    " guards must not share a ledger; stop that one, or wait until then if it is dead"
                )
            connection.execute("INSERT OR REPLACE INTO lease VALUES (1, ?, ?, ?)", (holder, start, end))

        before, self._holder = self._holder, None
        try:
            self.write(take)
            before = holder
        finally:
            self._holder = before

    def release(self) -> None:
        """Give the lease back; nothing where none is held, or it went to somebody else."""
        holder, self._holder = self._holder, None
        if holder is not None:
            self.write(lambda connection: connection.execute("DELETE FROM lease WHERE holder = ?", (holder,)))

    def _again(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with contextlib.suppress(*SQLITE_ERRORS):  # what the write-ahead log holds may fit into the file: room to go on
            self.connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        try:
            return self._transaction(work)
        except SQLITE_ERRORS as error:
            raise explained(self.path, error) from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self._still_ours()
            result = work(self.connection)
            self.connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(*SQLITE_ERRORS):  # SQLite may have undone it already
                self.connection.execute("ROLLBACK")
            raise
        return result

    def _still_there(self) -> None:
        """What is written into a file without a name is lost when guard ends; it can still be read until then."""
        with contextlib.suppress(OSError):  # it cannot be seen: SQLite's own errors tell
            if identity_of(self.path) != self._file:
                raise gone(self.path)

    def _still_ours(self) -> None:
        """A guard that was frozen while its lease ran out and was taken writes nothing more."""
        if self._holder is None:
            return
        row = self.connection.execute("SELECT holder FROM lease").fetchone()
        if row is None or row[0] != self._holder:
            other = "nobody" if row is None else row[0]
            raise LedgerError(
                f"the ledger {self.path} was taken over by {other} while this guard ({self._holder}) stood still:"
                " nothing of this was written; restart this guard, or stop one of the two"
            )
