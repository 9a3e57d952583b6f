"""What the lifecycle asks of a ledger. All async, so that another store than SQLite stays possible.

One contract test suite holds every implementation to this (tests/contract/ledger_suite.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from guard.lifecycle.events import AnyEvent, RunKey
from guard.lifecycle.remedy import Remedy


class Ledger(Protocol):
    """An append-only store of events by due run. Every call is durable when it returns. Raises LedgerError."""

    async def append(self, key: RunKey, after_seq: int, *events: AnyEvent) -> int:
        """Append all or none behind sequence number ``after_seq`` (0: the first); returns the last one's number.

        Raises ConflictError when somebody else appended meanwhile.
        """
        ...

    async def load(self, key: RunKey) -> tuple[AnyEvent, ...]:
        """The events of one due run in order; () for an unknown one."""
        ...

    async def open_runs(self) -> tuple[RunKey, ...]:
        """The due runs without an ``Ended``, by due time."""
        ...

    async def between(self, first: datetime, last: datetime) -> Mapping[RunKey, tuple[AnyEvent, ...]]:
        """The due runs with first <= due < last, by due time, each with its events."""
        ...

    async def processed_through(self) -> Mapping[str, datetime]:
        """Schedule id -> the time up to which its due times were entered."""
        ...

    async def mark(self, marks: Mapping[str, datetime]) -> None:
        """Move high-water marks; one never moves back."""
        ...

    async def remember(self, name: str, value: bytes) -> None:
        """Keep one small document by name (the last loop, the running runs' progress, what schedules looked like)."""
        ...

    async def recall(self, name: str) -> bytes | None:
        """What was remembered, None for nothing."""
        ...

    async def put_remedy(self, remedy: Remedy) -> None:
        """Write a remedy, in place of what was written of the same one (``Remedy.key``) before.

        ``at`` is a whole millisecond.
        """
        ...

    async def remedies(self, first: datetime) -> tuple[Remedy, ...]:
        """Those begun at ``first`` or later, oldest first."""
        ...
