"""How the tests open a ledger, and get at its file behind its back."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime

from guard.ledger.sqlite import open_ledger

XO = "https://xo.example"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
INSTANCE = bytes(range(8))


class Clock:
    """A clock that stands still until a test moves ``now``."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


def opened(path, **changes):
    return open_ledger(path, **{"xo": XO, "clock": Clock(), "instance": INSTANCE, "ballast_bytes": 65_536, **changes})


def hasty(ledger):
    """The ledger without its waits for the disk, for tests of many writes that are not about power loss."""
    ledger._store.connection.execute("PRAGMA synchronous = OFF")
    return ledger


@contextlib.contextmanager
def raw(path):
    """A plain connection to the file, in autocommit."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
