"""SQLite's errors as one sentence for an administrator: what happened, whose fault it is, what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from guard.errors import LedgerError, LedgerUnwritableError

# Some file systems say that they are full only when asked to write through, or as an error like any other.
PERHAPS_FULL = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    }
)
# Of a damaged file SQLite may say something that is no text: Python then fails to read its error, or its answer.
SqliteError = sqlite3.Error | UnicodeDecodeError
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
_MAX_SAID = 200  # characters
_PRIMARY = 0xFF  # an extended result code carries its primary code in the lowest byte
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_FORBIDDEN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def code_of(error: SqliteError) -> int:
    """The extended result code, 0 where Python's own module raised the error."""
    return getattr(error, "sqlite_errorcode", 0)


def damaged(path: Path, detail: str) -> LedgerError:
    """The refusal of a damaged ledger. ``detail``: what is wrong with it."""
    return LedgerError(
        f"the ledger {path} is damaged ({detail}), the disk or a copy made while guard ran is at fault: move it away"
        f" together with {path.name}-wal and {path.name}-shm, then put a copy in its place, or none: guard starts anew"
    )


def gone(path: Path) -> LedgerUnwritableError:
    """The refusal to write into a file that nobody finds any more."""
    return LedgerUnwritableError(
        f"the ledger {path} was removed, moved or replaced while guard had it open: what guard wrote since would be lost."
        " Put that same file back, or restart guard: it goes on with the file that lies there, or makes a new one"
    )


def readable(said: object) -> str:
    """What SQLite says on one line, for a terminal: of a damaged file it may quote megabytes of anything."""
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(said)[:_MAX_SAID].split()))
    return text if len(text) < _MAX_SAID else f"{text}…"


def _no_text(error: SqliteError) -> bool:
    """A text of the file is no UTF-8: Python's module finds that out, so there is no code of SQLite's."""
    return isinstance(error, UnicodeDecodeError) or (
        isinstance(error, sqlite3.OperationalError) and code_of(error) == 0
    )


def explained(path: Path, error: SqliteError) -> LedgerError:
    """What to tell for an error of SQLite's about the ledger at ``path``."""
    code = code_of(error) & _PRIMARY
    said = readable(error)
    if code == sqlite3.SQLITE_FULL:
        return LedgerUnwritableError(
            f"the disk under the ledger {path} is full, and the reserve that guard kept there is used up: nothing of"
            " this was written; make room on that disk, guard goes on by itself"
        )
    if code in _DAMAGED or _no_text(error):
        return damaged(path, said)
    if code in _BUSY:
        return LedgerUnwritableError(
            f"another process keeps the ledger {path} locked ({said}): end that one, then try again"
        )
    if code in _FORBIDDEN:
        return LedgerUnwritableError(
            f"the ledger {path} cannot be opened or written ({said}): its folder or file belongs to another user,"
            " or the file system is read-only"
        )
    if code_of(error) in PERHAPS_FULL:
        return LedgerUnwritableError(
            f"the ledger {path} cannot be written ({said}): its disk is full, over a quota, or failing; make room on it,"
            " or look for its errors in the system's log"
        )
    return LedgerUnwritableError(f"the ledger {path} failed ({said}): look for errors of its disk in the system's log")
