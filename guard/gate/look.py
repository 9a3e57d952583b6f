"""Looking at XO: what one look reads, and how rarely the dear things are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from guard.errors import PolicyError, XoError
from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog
from guard.gate.ports import Teller, XoReads
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import RunKey
from guard.lifecycle.loop import Loop
from guard.mechanics.history import quantiles, read_history

LEAD = timedelta(seconds=60)
LONGEST_LEAD = timedelta(minutes=10)
LOOK_EVERY = timedelta(seconds=30)  # no longer sleep: a clock that stepped, or a machine that slept, is seen this soon
LOOK_BACK = timedelta(minutes=5)
LOGS_EVERY = timedelta(minutes=5)
NOISE = timedelta(seconds=5)  # clocks that differ by less are the same, as far as an answer's way can tell


@dataclass(frozen=True)
class Look:
    """What was read of XO: ``setup`` with schedules and jobs; ``logs`` None where they were not asked for.

    ``logs_since``: from when on they are known; ``seen_until``: up to when an earlier reading knew them. ``running``: the
    ids of the runs that go on. ``ahead``: how far guard's clock is ahead of XO's.
    """

    setup: Estate
    running: frozenset[str]
    logs: tuple[BackupLog, ...] | None = None
    logs_since: datetime | None = None
    logs_at: datetime | None = None
    seen_until: datetime | None = None
    ahead: timedelta = timedelta()

    @cached_property
    def logs_of(self) -> Mapping[str, Sequence[BackupLog]]:
        """By schedule: after days without guard there are many of both."""
        found: dict[str, list[BackupLog]] = {}
        for log in self.logs or ():
            found.setdefault(log.schedule_id or "", []).append(log)
        return found

    def known_until(self, key: RunKey) -> datetime | None:
        """Up to when the logs tell of a due time, by XO's clock where guard's is ahead; None where they do not.

        Logs that do not reach back to it say nothing of it; the next look asks further.
        """
        if self.logs_at is None or self.logs_since is None or self.logs_since >= key.due:
            return None
        return self.logs_at - max(self.ahead, timedelta())


class Looker:
    """``usual``: durations in seconds by schedule, of the last whole reading; ``lead``: how long before a due time the
    next one must begin; ``is_admin``, ``version``: by the last whole reading, ``latest``. ``outage``: the last time that XO
    could not be read, and until when.
    """

    def __init__(self, xo: XoReads, teller: Teller, clock: Callable[[], datetime]) -> None:
        self._xo, self._teller, self._clock = xo, teller, clock
        self.usual: Mapping[str, tuple[float, ...]] | None = None
        self._running: frozenset[str] = frozenset()  # run ids at the last look
        self._logs_at: datetime | None = None
        self.lead = LEAD
        self.is_admin = True
        self.version = ""
        self.latest: Estate | None = None
        self.outage: tuple[datetime, datetime] | None = None

    async def look(self, runs: Sequence[DueRun], before: Loop | None, done: Collection[str]) -> tuple[Look | None, str]:
        """XO now; None and why where it cannot be read."""
        try:
            setup = await self._xo.setup()
            run_ids = [job.run_id for job in setup.jobs] + [call.run_id for call in setup.call_jobs]
            running = frozenset(one for one in run_ids if one)
            now = self._clock()
            ahead = now - setup.taken_at if abs(now - setup.taken_at) > NOISE else timedelta()
            await self._teller.clocks(ahead, at=now)
            if before is not None and before.unread_since is not None:
                self.outage = before.unread_since, now
            if not self._logs_are_worth_it(runs, running, now):
                return Look(setup, running, ahead=ahead), ""
            seen_until = self._logs_at or (now if before is None else before.unread_since or before.at)
            since = min([run.key.due for run in runs] + [seen_until]) - LOOK_BACK
            logs = await self._xo.logs(since, done)
        except (XoError, PolicyError) as error:  # the latter: the token's file, read anew for each look
            return None, str(error)
        return Look(setup, running, logs, since, now, seen_until, ahead), ""

    def _logs_are_worth_it(self, runs: Iterable[DueRun], running: frozenset[str], now: datetime) -> bool:
        """Reading logs costs XO much: only when a run is awaited, one began or ended, or they were not read lately."""
        awaited = any(not run.attempts and not run.is_sequence and run.key.due <= now for run in runs)
        stale = self._logs_at is None or abs(now - self._logs_at) >= LOGS_EVERY  # the clock may have been set back
        return awaited or stale or running != self._running

    async def read_whole(self) -> Estate:
        """Everything; from how long that took follows how long before a due time the next reading must begin."""
        began = self._clock()
        estate = await self._xo.estate()
        self.usual = (await asyncio.to_thread(read_history, estate.logs)).seconds
        self.is_admin, self.version, self.latest = estate.xo.admin, estate.xo.version, estate
        took = max(timedelta(), self._clock() - began)
        self.lead = min(LONGEST_LEAD, max(LEAD, 2 * took + LOOK_EVERY))
        return estate

    def remember(self, look: Look) -> None:
        """A look was told whole: from now on only what is newer is read. One that died is read again."""
        self._running, self._logs_at = look.running, look.logs_at

    def usual_seconds(self, schedule: str) -> float | None:
        """How long a run of a schedule usually takes."""
        return quantiles((self.usual or {}).get(schedule, ())).p50
