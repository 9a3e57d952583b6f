"""Instants as the ledger's columns hold them: whole milliseconds since 1970 in UTC, so that equal times are equal keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970, rounded down: a mark never claims more than was done. ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError(f"{at} has no zone")
    return (at - _EPOCH) // _MS


def key_ms(due: datetime) -> int:
    """A due time as part of a key. ValueError below a millisecond: rounded, it would come back as another key."""
    if due.microsecond % 1000:
        raise ValueError(f"{due} is no whole millisecond")
    return to_ms(due)


def from_ms(ms: int) -> datetime:
    """The instant, aware, in UTC."""
    return _EPOCH + ms * _MS
