"""The ledger's tables. ``MIGRATIONS[n]`` brings version n to n + 1; what was released is never changed, only added to.

``event``: what happened; its primary key is the compare-and-swap, ``via`` is '' where the schedule fires by itself
(a NULL would let the same key in twice). ``due_run``: one row per due run, derived from its events in the same
transaction, so that open runs, a span of days and what is old enough to go are found without reading every event.
``remedy``: what guard did beside due runs; ``body`` is replaced as more is known of it.
``outbox`` numbers its rows with AUTOINCREMENT, the one table with a rowid: an id used twice could mark the wrong
message as sent. Times are integers of milliseconds since 1970.
"""

from __future__ import annotations

import contextlib
import sqlite3

APPLICATION_ID = 0x67756172  # "guar": this SQLite file is a ledger of guard's

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE identity (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        """CREATE TABLE event (
             schedule TEXT NOT NULL, due INTEGER NOT NULL, via TEXT NOT NULL, seq INTEGER NOT NULL CHECK (seq > 0),
             body TEXT NOT NULL,
             PRIMARY KEY (schedule, due, via, seq)
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE due_run (
             due INTEGER NOT NULL, schedule TEXT NOT NULL, via TEXT NOT NULL,
             seq INTEGER NOT NULL, ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
             PRIMARY KEY (due, schedule, via)
           ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX open_run ON due_run (due, schedule, via) WHERE ended = 0",
        "CREATE TABLE mark (schedule TEXT NOT NULL PRIMARY KEY, through INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        """CREATE TABLE document (
             name TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, at INTEGER NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE lease (
             one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
             holder TEXT NOT NULL, taken INTEGER NOT NULL, until INTEGER NOT NULL
           ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE outbox (
             id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, message BLOB NOT NULL,
             created INTEGER NOT NULL, next_try_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
             last_error TEXT NOT NULL DEFAULT '', dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1))
           ) STRICT""",
        "CREATE INDEX outbox_waiting ON outbox (next_try_at, id) WHERE dropped = 0",
    ),
    (
        """CREATE TABLE remedy (
             at INTEGER NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (at, kind, target)
           ) STRICT, WITHOUT ROWID""",
    ),
)


def version(connection: sqlite3.Connection) -> int:
    """The version of the tables in this file; 0 for none."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step whole or not at all. Raises sqlite3.Error."""
    while version(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            at = version(connection)  # again, now that no other process can be half-way through it
            for statement in MIGRATIONS[at] if at < len(MIGRATIONS) else ():
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {min(at + 1, len(MIGRATIONS))}")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # SQLite may have undone it already
                connection.execute("ROLLBACK")
            raise
