"""The ledger on the standard library's SQLite: one file, one XO, every call durable when it returns."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from guard.errors import ConflictError, LedgerError
from guard.ledger import files, remedies
from guard.ledger.ballast import Ballast, beside
from guard.ledger.faults import PERHAPS_FULL, SQLITE_ERRORS, code_of, explained, readable
from guard.ledger.migrations import MIGRATIONS, migrate, version
from guard.ledger.outbox import Q, SqliteOutbox
from guard.ledger.store import Store
from guard.ledger.times import from_ms, key_ms, to_ms
from guard.lifecycle.events import AnyEvent, Ended, RunKey
from guard.lifecycle.remedy import Remedy

BALLAST_BYTES = 4 * 1024 * 1024
_PAGE_RUNS = 50  # due runs deleted in one transaction
_PAGE_FREE = 128  # pages given back to the disk in one go: 1 MiB
_ENCODE = msgspec.json.Encoder().encode
_EVENTS: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def open_ledger(
    path: Path, *, xo: str, clock: Callable[[], datetime], instance: bytes, ballast_bytes: int = BALLAST_BYTES
) -> SqliteLedger:
    """The ledger of the XO at URL ``xo``, checked whole and brought up to date; made (mode 600) where there is none.

    ``clock`` gives now, aware. ``instance``: random bytes that name this guard in XO, used when the ledger is made.
    The ballast lies beside it. Raises LedgerError: no folder, no permission, damaged, of another XO or a newer guard.
    """
    xo = xo.rstrip("/")
    if files.missing(path):
        identity = {"xo": xo, "instance": instance.hex(), "created_at": clock().isoformat()}
        files.create(path, identity, instance.hex())
    files.make_private(path)

    def prepare(connection: sqlite3.Connection) -> None:
        files.check(path, connection)
        migrate(connection)

    ballast = Ballast(beside(path), ballast_bytes)
    ballast.adopt()
    ledger = _opened(path, xo, clock, prepare, ballast)
    ballast.restore()
    return ledger


def read_ledger(path: Path, *, xo: str | None, clock: Callable[[], datetime]) -> SqliteLedger:
    """The same to look at only, beside a running daemon: nothing is made, checked as a whole or changed.

    ``xo`` None: of whichever XO it is.
    """

    def prepare(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = ON")
        _up_to_date(path, connection)

    return _opened(path, xo.rstrip("/") if xo is not None else None, clock, prepare, None)


def open_beside(path: Path, *, xo: str, clock: Callable[[], datetime]) -> SqliteLedger:
    """The same to write a little into beside a running daemon: nothing is made or checked as a whole, no lease is taken.

    It has no ballast: on a full disk its writes fail. Raises LedgerError.
    """
    return _opened(path, xo.rstrip("/"), clock, lambda connection: _up_to_date(path, connection), None)


class SqliteLedger:
    """guard.lifecycle.ledger.Ledger, the lease, the retention, and the outbox in the same file.

    Times without a zone, and due times below a millisecond, are ValueErrors.
    """

    def __init__(self, store: Store, identity: Mapping[str, str], clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self.instance = identity["instance"]
        self.xo = identity["xo"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the lease stays, see ``release``."""
        self._store.connection.close()

    @property
    def ballast_held(self) -> bool:
        """False: the disk is full or nearly so, and guard writes into its last room. A person should know."""
        return self._store.ballast is not None and self._store.ballast.held

    async def append(self, key: RunKey, after_seq: int, *events: AnyEvent) -> int:
        """See Ledger. Without events nothing is written and ``after_seq`` returned."""
        if not events:
            return after_seq
        due, last = key_ms(key.due), after_seq + len(events)
        ended = any(isinstance(event, Ended) for event in events)
        rows = [
            (key.schedule, due, key.via, seq, _ENCODE(event).decode())
            for seq, event in enumerate(events, after_seq + 1)
        ]

        def work(connection: sqlite3.Connection) -> None:
            if after_seq == 0:
                run = (due, key.schedule, key.via, last, ended)
                moved = connection.execute("INSERT INTO due_run VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", run)
            else:
                moved = connection.execute(
                    "UPDATE due_run SET seq = ?, ended = max(ended, ?)"
                    " WHERE due = ? AND schedule = ? AND via = ? AND seq = ?",
                    (last, ended, due, key.schedule, key.via, after_seq),
                )
            if moved.rowcount != 1:
                raise _conflict(key, after_seq)
            try:
                connection.executemany("INSERT INTO event VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError as error:
                raise _conflict(key, after_seq) from error

        self._store.write(work)
        return last

    async def load(self, key: RunKey) -> tuple[AnyEvent, ...]:
        """See Ledger."""
        rows = self._store.rows(
            "SELECT CAST(body AS BLOB) FROM event WHERE schedule = ? AND due = ? AND via = ? ORDER BY seq",
            key.schedule,
            key_ms(key.due),
            key.via,
        )
        return tuple(self._event(key, body) for (body,) in rows)

    async def open_runs(self) -> tuple[RunKey, ...]:
        """See Ledger."""
        return _keys(
            self._store.rows("SELECT due, schedule, via FROM due_run WHERE ended = 0 ORDER BY due, schedule, via")
        )

    async def between(self, first: datetime, last: datetime) -> Mapping[RunKey, tuple[AnyEvent, ...]]:
        """See Ledger. The event loop gets its turn after each due run, so that months do not hold it up."""
        keys = _keys(
            self._store.rows(
                "SELECT due, schedule, via FROM due_run WHERE due >= ? AND due < ? ORDER BY due, schedule, via",
                to_ms(first),
                to_ms(last),
            )
        )
        found: dict[RunKey, tuple[AnyEvent, ...]] = {}
        for key in keys:
            found[key] = await self.load(key)
            await asyncio.sleep(0)
        return {key: events for key, events in found.items() if events}  # one may have been pruned meanwhile

    async def processed_through(self) -> Mapping[str, datetime]:
        """See Ledger."""
        return {schedule: from_ms(ms) for schedule, ms in self._store.rows("SELECT schedule, through FROM mark")}

    async def mark(self, marks: Mapping[str, datetime]) -> None:
        """See Ledger."""
        rows = [(schedule, to_ms(at)) for schedule, at in marks.items()]
        sql = "INSERT INTO mark VALUES (?, ?) ON CONFLICT DO UPDATE SET through = max(through, excluded.through)"
        self._store.write(lambda connection: connection.executemany(sql, rows))

    async def remember(self, name: str, value: bytes) -> None:
        """See Ledger. The retention takes no documents: there is one per name."""
        row = (name, value, to_ms(self._clock()))
        self._store.write(
            lambda connection: connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", row)
        )

    async def change(self, name: str, work: Callable[[bytes | None], bytes]) -> None:
        """``remember`` what ``work`` makes of the document as it is (None: there is none), in one transaction.

        No other process writes in between. ``work`` may be called twice; nothing is written when it raises.
        """
        at = to_ms(self._clock())

        def replace(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT value FROM document WHERE name = ?", (name,)).fetchone()
            value = work(row[0] if row is not None else None)
            connection.execute("INSERT OR REPLACE INTO document VALUES (?, ?, ?)", (name, value, at))

        self._store.write(replace)

    async def recall(self, name: str) -> bytes | None:
        """See Ledger."""
        rows = self._store.rows("SELECT value FROM document WHERE name = ?", name)
        return rows[0][0] if rows else None

    async def put_remedy(self, remedy: Remedy) -> None:
        """See Ledger."""
        remedies.put(self._store, remedy)

    async def remedies(self, first: datetime) -> tuple[Remedy, ...]:
        """See Ledger."""
        return remedies.since(self._store, first)

    async def lease(self, holder: str, until: datetime) -> None:
        """Take or renew the right to write here; from then on a write fails once another holder took it.

        ``holder`` names host, process and user for a person. Raises LedgerError naming the other holder.
        """
        self._store.lease(holder, until, self._clock())

    async def release(self) -> None:
        """Give the lease back, if this one still holds it."""
        self._store.release()

    async def prune(self, before: datetime) -> int:
        """Delete due runs that ended and were due before ``before``, never open ones; and what is as old of remedies and of
        messages given up.

        Returns how many due runs. In small transactions, the event loop's turn in between; the room goes back to the
        disk. Broken off at any point, it is just not done yet.
        """
        limit, count = to_ms(before), 0
        while True:
            keys = self._store.write(lambda connection: _delete_page(connection, limit))
            count += keys
            await asyncio.sleep(0)
            if keys < _PAGE_RUNS:
                break
        self._store.write(lambda connection: _delete_rest(connection, limit))
        more = True
        while more:
            more = self._store.write(_give_back)
            await asyncio.sleep(0)
        return count

    def outbox(self, queued: Callable[..., Q]) -> SqliteOutbox[Q]:
        """The queue of messages. ``queued(id=, channel=, message=, tries=, created=)`` makes what ``due`` gives."""
        return SqliteOutbox(self._store, queued)

    def _event(self, key: RunKey, body: bytes) -> AnyEvent:
        try:
            return _EVENTS.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LedgerError(
                f"the ledger {self._store.path} holds an event of {_named(key)} that this guard cannot read ({readable(error)}):"
                " a newer guard wrote it, or the disk damaged it; install that guard again, or put a copy in its place"
            ) from error


def _opened(
    path: Path,
    xo: str | None,
    clock: Callable[[], datetime],
    prepare: Callable[[sqlite3.Connection], None],
    ballast: Ballast | None,
) -> SqliteLedger:
    try:
        try:
            connection, identity = _connected(path, xo, prepare)
        except SQLITE_ERRORS as error:
            if code_of(error) not in PERHAPS_FULL or ballast is None or not ballast.free():
                raise
            connection, identity = _connected(path, xo, prepare)  # on a full disk SQLite cannot even open
    except SQLITE_ERRORS as error:
        raise explained(path, error) from error
    return SqliteLedger(Store(path, connection, ballast), identity, clock)


def _up_to_date(path: Path, connection: sqlite3.Connection) -> None:
    if version(connection) < len(MIGRATIONS):
        raise LedgerError(f"the ledger {path} is of an older guard: restart the daemon, it brings it up to date")


def _connected(
    path: Path, xo: str | None, prepare: Callable[[sqlite3.Connection], None]
) -> tuple[sqlite3.Connection, Mapping[str, str]]:
    with contextlib.ExitStack() as undo:
        connection = files.connect(path)
        undo.callback(connection.close)
        identity = files.identify(path, connection, xo)
        prepare(connection)
        undo.pop_all()
    return connection, identity


def _keys(rows: Iterable[Any]) -> tuple[RunKey, ...]:
    return tuple(RunKey(schedule, from_ms(due), via) for due, schedule, via in rows)


def _delete_page(connection: sqlite3.Connection, limit: int) -> int:
    keys = connection.execute(
        "SELECT schedule, due, via FROM due_run WHERE due < ? AND ended = 1 ORDER BY due LIMIT ?", (limit, _PAGE_RUNS)
    ).fetchall()
    connection.executemany("DELETE FROM event WHERE schedule = ? AND due = ? AND via = ?", keys)
    connection.executemany("DELETE FROM due_run WHERE schedule = ? AND due = ? AND via = ?", keys)
    return len(keys)


def _delete_rest(connection: sqlite3.Connection, limit: int) -> None:
    connection.execute("DELETE FROM outbox WHERE dropped = 1 AND created < ?", (limit,))
    connection.execute("DELETE FROM remedy WHERE at < ?", (limit,))


def _give_back(connection: sqlite3.Connection) -> bool:
    """Some free pages to the disk; whether there are more. A file that cannot shrink (made anew by hand) stays."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    connection.execute(f"PRAGMA incremental_vacuum({_PAGE_FREE})").fetchall()  # fetched, or it stops at the first
    left: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return 0 < left < free


def _conflict(key: RunKey, after_seq: int) -> ConflictError:
    return ConflictError(f"{_named(key)}: its event {after_seq} is not the last one; another guard wrote here too")


def _named(key: RunKey) -> str:
    through = f" through {key.via}" if key.via else ""
    return f"the due run {key.schedule} {from_ms(key_ms(key.due)):%Y-%m-%dT%H:%M:%SZ}{through}"
