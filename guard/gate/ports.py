"""What the gate needs of the world, as Protocols; daemon/compose.py says who gives it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import AnyEvent
from guard.lifecycle.loop import SwitchedOff


class XoReads(Protocol):
    """Reading XO; nothing here writes. Raises XoError."""

    async def estate(self) -> Estate:
        """Everything a prediction rests on."""
        ...

    async def setup(self) -> Estate:
        """Schedules, jobs with their run ids, and call jobs only: cheap for XO, and never cached by it.

        Its ``taken_at`` is the time of XO's own clock.
        """
        ...

    async def logs(self, since: datetime, done: Collection[str]) -> tuple[BackupLog, ...]:
        """Every run that began at ``since`` or later, with its tasks; those in ``done`` without. Costs XO much."""
        ...


class Teller(Protocol):
    """Where news goes. Never fails, and never waits for the outside."""

    async def happened(self, run: DueRun, event: AnyEvent) -> None:
        """An event was recorded; ``run`` holds it already."""
        ...

    async def switched_off(self, off: SwitchedOff) -> None:
        """A schedule that was on is off or gone, and not by guard."""
        ...

    async def unread(self, error: str, *, since: datetime, at: datetime) -> None:
        """XO could not be read for a while."""
        ...

    async def clocks(self, ahead: timedelta, *, at: datetime) -> None:
        """How far guard's clock is ahead of XO's."""
        ...

    async def looked(self) -> None:
        """A look is over: what it told of together may be put together."""
        ...
