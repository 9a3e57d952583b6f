"""Making and opening the ledger's file: who may read it, whose it is, and whether it is whole. Nothing is deleted."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from guard.durable import sync_folder
from guard.errors import LedgerError
from guard.ledger.faults import SQLITE_ERRORS, damaged, explained, readable
from guard.ledger.migrations import APPLICATION_ID, MIGRATIONS, migrate, version

BUSY_S = 2.0  # as long as a write may wait for another process
PAGE_BYTES = 8192  # a row above a quarter of it takes whole pages more: with 4096 the common events did, twice the size
WAL_BYTES = 4 * 1024 * 1024  # from where on the write-ahead log goes into the file, and is cut to after it grew
_OLDEST_SQLITE = (3, 37)  # STRICT tables
_SIDE_FILES = ("-wal", "-shm")

_EVENTS = "SELECT schedule, due, via, max(seq) FROM event GROUP BY schedule, due, via"
_RUNS = "SELECT schedule, due, via, seq FROM due_run"
_AT_ODDS = f"SELECT * FROM ({_EVENTS} EXCEPT {_RUNS}) UNION ALL SELECT * FROM ({_RUNS} EXCEPT {_EVENTS}) LIMIT 1"  # noqa: S608


def create(path: Path, identity: Mapping[str, str], unique: str) -> None:
    """Make a new ledger, whole or not at all: under another name first, which ``unique`` is part of.

    Does nothing where one exists meanwhile. Raises LedgerError.
    """
    left = path.with_name(f"{path.name}-wal")
    if left.exists():
        raise LedgerError(
            f"the ledger {path} is missing but {left} is still there: put back the ledger that it belongs to,"
            " or move that file away too to start anew"
        )
    fresh = path.with_name(f"{path.name}.new-{unique}")
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _fill(fresh, identity)
        with contextlib.suppress(FileExistsError):  # another guard was first: the file is then opened like any other
            path.hardlink_to(fresh)
        sync_folder(path.parent)
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be made ({error}): its folder must exist, belong to guard's user and have room"
        ) from error
    except SQLITE_ERRORS as error:
        raise explained(path, error) from error
    finally:
        for suffix in ("", *_SIDE_FILES):
            with contextlib.suppress(OSError):
                Path(f"{fresh}{suffix}").unlink()


def make_private(path: Path) -> None:
    """The ledger for its user alone, whatever mode it was put back with; SQLite gives the files beside it the same mode.

    Raises nothing: where it is not this user's, opening it tells.
    """
    for suffix in ("", *_SIDE_FILES):
        file = Path(f"{path}{suffix}")
        with contextlib.suppress(OSError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def folder_troubles(folder: Path, user: int | None = None) -> tuple[str, ...]:
    """What is wrong with who may get at the state folder, a sentence each. ``user``: the id it should belong to.

    guard goes on: its files are for its own user alone whatever the folder's mode is, and no backup waits for that. But
    who may write there can put another ledger into the place of guard's.
    """
    try:
        found = folder.stat()
    except OSError:
        return ()  # opening the ledger tells
    mode, told = found.st_mode & 0o777, []
    if mode & 0o022:
        told.append(
            f"others may write to {folder} (mode {mode:o}), and could put another ledger into the place of guard's: run chmod"
            f" 700 {folder}"
        )
    elif mode & 0o077:
        told.append(f"others may look into {folder} (mode {mode:o}): run chmod 700 {folder}")
    if user is not None and found.st_uid != user:
        told.append(
            f"{folder} belongs to user {found.st_uid} and guard runs as user {user}: give it to that user, or run guard as the"
            " other one"
        )
    return tuple(told)


def missing(path: Path) -> bool:
    """Whether there is no ledger yet. Raises LedgerError where guard may not even look."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be read ({error}): run guard as the user it belongs to") from error
    return False


def identity_of(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file that lies there, None where there is none. Raises OSError where that cannot be seen."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file, durable at every commit. Raises LedgerError and SQLITE_ERRORS."""
    if missing(path):
        raise LedgerError(f"there is no ledger {path} yet: the daemon makes it, start that first")
    if path.stat().st_size == 0:
        raise damaged(path, "it is empty")
    return _connect(path)


def identify(path: Path, connection: sqlite3.Connection, xo: str | None) -> dict[str, str]:
    """What the ledger says about itself. Raises LedgerError where it is none, of a newer guard, or of another XO than ``xo``."""
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise LedgerError(f"{path} is a SQLite file, but no ledger of guard's: give guard a file of its own")
    found = version(connection)
    if found < 1:
        raise damaged(path, f"its format is {found}")
    if found > len(MIGRATIONS):
        raise LedgerError(
            f"the ledger {path} was written by a newer guard (its format is {found}, this guard knows {len(MIGRATIONS)}"
            " at most): install that guard again, or move the file away to start anew"
        )
    identity = dict(connection.execute("SELECT name, value FROM identity"))
    if not {"xo", "instance"} <= identity.keys():
        raise damaged(path, "whose it is is missing")
    if xo is not None and identity["xo"] != xo:
        raise LedgerError(
            f"the ledger {path} belongs to the XO at {identity['xo']}, not to the one at {xo}: give each XO a ledger of its own"
        )
    return identity


def check(path: Path, connection: sqlite3.Connection) -> None:
    """SQLite's own check of the whole file, and whether its two tables of due runs agree. Raises LedgerError."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise damaged(path, readable(found))
    if connection.execute(_AT_ODDS).fetchone() is not None:
        raise damaged(path, "events are missing")


def _fill(fresh: Path, identity: Mapping[str, str]) -> None:
    with contextlib.closing(_connect(fresh)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # this and the next: before the first table, or never
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        migrate(connection)
        connection.executemany("INSERT INTO identity VALUES (?, ?)", identity.items())


def _connect(path: Path) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise LedgerError(
            f"the SQLite library of this Python is {sqlite3.sqlite_version}, the ledger {path} needs 3.37 or later:"
            " run guard with a Python that has one"
        )
    uri = f"{path.absolute().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA secure_delete = OFF")  # else what the retention deletes is all written once more
    except BaseException:
        connection.close()
        raise
    return connection
