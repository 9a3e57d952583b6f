"""The figures of ledger and estate, made beside the loop from what its looks read and recorded. Nothing of XO is read for them.

What takes long goes on in a thread, or in small pieces; what is dear is kept until there is something new to make it from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from guard.daemon.standing import open_due_runs, read_doings
from guard.errors import LedgerError
from guard.estate.estate import Estate
from guard.estate.xo_records import Schedule
from guard.gate.watch import LOOKED_LIKE
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.accepted import alarm_is_accepted, loop_without_accepted
from guard.lifecycle.channels import ChannelStatus
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import RunKey
from guard.lifecycle.loop import Loop
from guard.lifecycle.token import TOKEN, read_token_state
from guard.policy.schema import Policy
from guard.threads import DaemonThreads
from guard.views import figures
from guard.views.figures import WINDOW, Coverage, RunFacts
from guard.views.metrics import Figures, Sample

COVERAGE_EVERY = timedelta(minutes=10)
"""Going through all logs takes seconds on a large XO, and a whole reading may come every minute at night."""
MARGIN = timedelta(hours=1)
"""A run by hand is entered when it is seen, minutes after it began."""
_A_DAY = timedelta(days=1)
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Sources:
    """What the figures are made from. ``latest``: the last whole reading of XO. ``trouble``: why the ledger takes no
    writes, '' while it does.
    """

    ledger: SqliteLedger
    file: Path
    latest: Callable[[], Estate | None]
    trouble: Callable[[], str]
    channels: Callable[[], Awaitable[Sequence[ChannelStatus]]]
    policy: Callable[[], Policy]


class Gatherer:
    """The figures of ledger and estate. What is dear is kept until there is something new to make it from."""

    def __init__(self, sources: Sources, clock: Callable[[], datetime]) -> None:
        self._sources, self._clock = sources, clock
        self._stories: dict[RunKey, RunFacts] = {}
        self._open: frozenset[RunKey] = frozenset()
        self._read_to: datetime | None = None
        self._looked_at: datetime | None = None  # the last look that read XO and whose stories are known here
        self._estate: Estate | None = None
        self._estate_told: Figures = {}
        self._logged: dict[str, datetime] = {}
        self._coverage: Coverage | None = None
        self._covered_at: datetime | None = None
        self._covered: Estate | None = None
        self._saved: dict[str, datetime] = {}

    async def gather(self, loop: Loop | None) -> tuple[Figures, str]:
        """The figures, and why some are not among them: what goes wrong in one part costs that part alone."""
        now, found, trouble = self._clock(), dict[str, Sequence[Sample]](), ""
        for part in (self._of_channels, self._of_token, self._of_runs, self._of_estate, self._of_schedules):
            try:
                found |= await part(loop, now)
            except LedgerError as error:
                trouble = str(error)
            except Exception as error:  # noqa: BLE001  a bug in a figure must not cost the others, nor the daemon
                trouble = f"a bug of guard's: {type(error).__name__}: {error}"
        return found, trouble

    async def _of_channels(self, _loop: Loop | None, _now: datetime) -> Figures:
        return figures.channel_figures(await self._sources.channels())

    async def _of_token(self, _loop: Loop | None, _now: datetime) -> Figures:
        expires = read_token_state(await self._sources.ledger.recall(TOKEN)).expires_at
        return {} if expires is None else {"guard_xo_token_expiry_timestamp_seconds": [((), expires.timestamp())]}

    async def _of_runs(self, loop: Loop | None, now: datetime) -> Figures:
        ledger = self._sources.ledger
        runs = await open_due_runs(ledger)
        await self._follow(runs, loop, now)
        return figures.held_figures(runs, await read_doings(ledger, runs, self._sources.policy(), now))

    async def _of_estate(self, _loop: Loop | None, now: datetime) -> Figures:
        estate, policy = self._sources.latest(), self._sources.policy()
        if estate is None:
            return {}
        if estate is not self._estate:
            self._estate_told = await apart(figures.estate_figures, estate, policy.xo.accept_versions)
            self._logged = await apart(figures.last_good, estate)
            self._estate = estate
        is_due = self._covered_at is None or not timedelta() <= now - self._covered_at < COVERAGE_EVERY
        if estate is not self._covered and is_due:
            self._covered, self._covered_at = estate, now  # first: one that fails is not tried at every look
            self._coverage = await apart(figures.coverage_of, estate, policy, now)
        if self._coverage is None:
            return self._estate_told
        told = await apart(figures.coverage_figures, self._coverage, dict(self._saved), now)
        return {**self._estate_told, **told}

    async def _of_schedules(self, loop: Loop | None, now: datetime) -> Figures:
        estate, stories, names = self._sources.latest(), tuple(self._stories.values()), dict[str, str]()
        found: dict[str, Sequence[Sample]] = {}
        if estate is not None:
            shown = await self._as_looked_like(estate)
            names = figures.names_of(shown)
            dues = await apart(figures.next_dues, shown, now, self._sources.policy().xo.zone)
            found |= figures.schedule_figures(shown.schedules, names, dues, stories, self._logged)
        if loop is not None:
            loop = loop_without_accepted(loop, self._sources.policy().accepts, now)
        return {**found, **await apart(figures.story_figures, stories, loop, names, now)}

    async def _as_looked_like(self, estate: Estate) -> Estate:
        """With the schedules as the last look saw them, those that guard has claimed as if it had not."""
        told = await self._sources.ledger.recall(LOOKED_LIKE)
        if told is None:
            return estate
        schedules = msgspec.json.decode(told, type=dict[str, tuple[Schedule, ...]]).get("schedules", ())
        return replace(estate, schedules=schedules)

    async def _follow(self, open_runs: Sequence[DueRun], loop: Loop | None, now: datetime) -> None:
        """Keep the stories of the window: all of it at first, a day at a time, then what has changed since.

        What came due while guard was away, or could not read XO, is entered and ended in the first look that reads it: so
        that one is followed by reading back to the one before.
        """
        for run in open_runs:
            self._keep(run, now)
        still = frozenset(run.key for run in open_runs)
        ledger = self._sources.ledger
        for key in self._open - still:
            self._keep(fold(key, await ledger.load(key)), now)
        self._open = still
        since = now - WINDOW if self._read_to is None else min(self._read_to, now) - MARGIN
        has_read = loop is not None and not loop.xo_error
        if has_read:
            since = min(since, now - WINDOW if self._looked_at is None else self._looked_at - MARGIN)
        while since < now + MARGIN:
            until = min(since + _A_DAY, now + MARGIN)
            for key, events in (await ledger.between(since, until)).items():
                if key not in still:
                    self._keep(fold(key, events), now)
                await asyncio.sleep(0)
            since = until
            self._read_to = until + MARGIN  # a day that cannot be read is tried again, those before it are not
        self._read_to = now
        if loop is not None and has_read:
            self._looked_at = loop.at
        self._saved = {vm: at for vm, at in self._saved.items() if at >= now - WINDOW}
        self._stories = {key: one for key, one in self._stories.items() if key.due >= now - WINDOW or key in still}

    def _keep(self, run: DueRun | None, now: datetime) -> None:
        if run is None:
            return
        facts, accepts = figures.facts_of(run), self._sources.policy().accepts
        if accepts and run.alarms:
            loud = tuple(one for one in run.alarms if not alarm_is_accepted(run, one, accepts, now))
            facts = replace(facts, run=replace(facts.run, alarms=loud))
        for vm, at in facts.saved.items():
            self._saved[vm] = max(at, self._saved.get(vm, at))
        self._stories[run.key] = replace(facts, saved={})


async def apart(work: Callable[_P, _T], *args: _P.args, **more: _P.kwargs) -> _T:
    """In a thread that nobody waits for when guard stops."""
    return await asyncio.get_running_loop().run_in_executor(DaemonThreads("metrics"), partial(work, *args, **more))
