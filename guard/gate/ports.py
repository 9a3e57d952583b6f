"""What the gate needs of the world, as Protocols; daemon/compose.py says who gives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from guard.estate.estate import Estate
from guard.estate.observations import Observations
from guard.estate.workaround import State
from guard.estate.xo_records import BackupLog, Schedule
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import AnyEvent
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Remedy
from guard.mechanics.fallback import Fallback, Placed
from guard.remedies.ports import RemedyXo


class XoReads(Protocol):
    """Reading XO; nothing here writes. Raises XoError."""

    async def estate(self) -> Estate:
        """Everything a prediction rests on."""
        ...

    async def setup(self) -> Estate:
        """Schedules, jobs with their run ids, servers, and call jobs only: cheap for XO, and never cached by it.

        Its ``taken_at`` is the time of XO's own clock.
        """
        ...

    async def logs(self, since: datetime, done: Collection[str]) -> tuple[BackupLog, ...]:
        """Every run that began at ``since`` or later, with its tasks; those in ``done`` without. Costs XO much."""
        ...

    async def rolling_updates(self) -> bool:
        """Whether a rolling pool update or reboot goes on. Costs XO much."""
        ...


class GateXo(XoReads, Protocol):
    """Everything the gate asks of XO, writes included.

    Every write raises XoNotSentError when it surely did not reach XO (no connection, no sign-in), XoAnswerError when XO
    refused it, and any other XoError when nobody can tell whether XO took it.
    """

    async def schedule(self, identity: str) -> Schedule | None:
        """One schedule's record as it is now, None for one that is gone."""
        ...

    async def set_enabled(self, identity: str, enabled: bool) -> None:
        """``schedule.set {id, enabled}``: XO sets the schedule's timer anew."""
        ...

    async def put_fallback(self, fallback: Fallback) -> None:
        """An XO job of type call, and its schedule (``job.create``, ``schedule.create``). A job whose schedule cannot
        be made is deleted again.
        """
        ...

    async def fallbacks(self) -> tuple[Placed, ...]:
        """Every fallback there is in XO, of any guard."""
        ...

    async def move_fallback(self, job_id: str, cron: str) -> None:
        """Another minute for a fallback that is there, in one call (``schedule.set`` of its own schedule): at no moment
        are there two, or none.
        """
        ...

    async def drop_fallback(self, job_id: str) -> None:
        """``job.delete``, which takes its schedules too; nothing for one that is gone."""
        ...

    async def runs_of(self, job_id: str, since: datetime) -> tuple[BackupLog, ...]:
        """The runs of a job that began at ``since`` or later, by XO's newest list (``backupNg.getLogs`` refreshed)."""
        ...

    async def start(
        self,
        job_id: str,
        job_type: str,
        schedule_id: str,
        vms: Sequence[str] | None,
        known: Collection[str],
        *,
        settings: Mapping[str, Mapping[str, int | bool]] | None = None,
    ) -> str:
        """Have XO run a job (``backupNg.runJob``, ``mirrorBackup.runJob``); returns the run's id, '' where only the
        logs will tell it. ``vms`` None: all the job takes; never empty. ``settings``: laid over the job's own for this run
        alone, of type ``backup`` only. Returns as soon as a run id shows that is not among ``known``; the socket is closed
        then, which does not stop the run (xo-api.md 5.1).
        """
        ...

    async def run_sequence(self, schedule_ids: Sequence[str], known: Collection[str]) -> str:
        """Have XO run schedules one after another (``schedule.runSequence``); returns the first member's run id as
        ``start`` does.
        """
        ...


class WatchedXo(GateXo, RemedyXo, Protocol):
    """XO with all that guard does there, and what it has seen there of coalesces."""

    @property
    def observed(self) -> Observations | None:
        """What guard has seen of coalesces up to the last whole reading; None before it."""
        ...

    def adopt(self, observed: Observations) -> None:
        """Go on from what an earlier guard has seen; before the first reading."""
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

    async def read_again(self, *, since: datetime, last: datetime, at: datetime, due: Sequence[DueRun]) -> None:
        """XO can be read after it could not from ``since`` to ``last``, the last try. ``due``: what was due meanwhile."""
        ...

    async def clocks(self, ahead: timedelta, *, at: datetime) -> None:
        """How far guard's clock is ahead of XO's."""
        ...

    async def stands_aside(self, reason: str, *, at: datetime) -> None:
        """The policy says enforce, and guard acts on nothing; told once per reason."""
        ...

    async def acts_again(self, reason: str, *, at: datetime) -> None:
        """``reason``, for which guard acted on nothing, is so no longer."""
        ...

    async def remedied(self, remedy: Remedy) -> None:
        """A remedy is over, or its effect was seen."""
        ...

    async def stands(self, state: State, *, at: datetime) -> None:
        """guard's file in XO's configuration had to be put back, and still stands."""
        ...

    async def looked(self) -> None:
        """A look is over: what it told of together may be put together."""
        ...
