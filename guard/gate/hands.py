"""The gate's hands: every call that changes XO, each with its intent in the ledger first and its result after.

Nothing here decides: guard/lifecycle/acting.py does. A method may die between any two of its lines; what it left is
read back from XO and from the ledger, and the same step, or the one that follows, is taken then. Raises XoError where XO
cannot be reached; the next look goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

from guard.errors import XoAnswerError, XoError, XoNotSentError
from guard.estate.xo_records import BackupLog, Schedule
from guard.gate.ports import GateXo
from guard.lifecycle.acting import Start
from guard.lifecycle.claiming import Postpone, Release, is_at_hand
from guard.lifecycle.due_run import ClaimState, DueRun
from guard.lifecycle.events import (
    Alarmed,
    AnyEvent,
    Claimed,
    Doubted,
    NotStarted,
    Released,
    ReleasedHow,
    Releasing,
    Standby,
    Started,
    Starter,
    Starting,
    SwitchingOff,
)
from guard.lifecycle.next_step import EARLY, chosen_of, starter
from guard.lifecycle.standby import may_enable
from guard.mechanics.fallback import Fallback, FallbackKind, Placed, at_minutes
from guard.outcomes.alarms import SCHEDULE_LEFT_OFF
from guard.outcomes.outcome import named_vms

STOOD_STILL = timedelta(seconds=20)  # between intent and call; beyond this the facts behind it are old
LOOK_BACK = timedelta(days=1)  # runs that began before this are known by their age
NEARLY = timedelta(minutes=1)  # so shortly before its minute a fallback may fire while it is being removed


class Append(Protocol):
    """Writes events behind a due run's story: the grown run, None when somebody else wrote meanwhile."""

    def __call__(self, run: DueRun, *events: AnyEvent) -> Awaitable[DueRun | None]: ...


@dataclass
class Shown:
    """What XO showed last of what guard itself changes: kept up to date by the hands.

    ``records``: schedules by id, None for one that is gone. ``running``: job id -> the id of its run.
    """

    xo_ahead: timedelta
    records: dict[str, Schedule | None]
    placed: tuple[Placed, ...]
    running: dict[str, str] = field(default_factory=dict)


class Hands:
    """``instance`` names this guard in XO; ``elsewhere`` gives the ids of runs that belong to other due times."""

    def __init__(
        self,
        xo: GateXo,
        append: Append,
        *,
        clock: Callable[[], datetime],
        instance: str,
        elsewhere: Callable[[DueRun], frozenset[str]],
    ) -> None:
        self._xo, self._append, self._clock, self._instance, self._elsewhere = xo, append, clock, instance, elsewhere

    # --- the claim

    async def place(self, run: DueRun, shown: Shown) -> DueRun | None:
        """Fallbacks, read back, the schedule off, read back: then it is claimed. What stands already is kept."""
        claim = run.claim
        if claim is None:
            raise ValueError("no claim is under way")
        fired_by = claim.intent.found.id
        start, release = claim.intent.start_at, claim.intent.release_at
        wanted = [self._fallback(run, fired_by, FallbackKind.START, (start,))]
        wanted.append(self._fallback(run, fired_by, FallbackKind.RELEASE, release))
        shown.placed = await self._xo.fallbacks()
        for one in wanted:
            if not _stands(one, shown.placed):
                await self._xo.put_fallback(one)
        shown.placed = await self._xo.fallbacks()
        if not all(_stands(one, shown.placed) for one in wanted):
            return None
        record = shown.records[fired_by] = await self._xo.schedule(fired_by)
        if record not in (claim.intent.found, claim.off) or (record == claim.off and not claim.asked):
            return run  # changed meanwhile: the next step sees it
        now = self._clock()
        if record != claim.off and is_at_hand(run, now, now - shown.xo_ahead):
            return run  # the calls before this one took long, and XO is about to fire: the next step takes it back
        if not claim.asked:
            grown = await self._append(run, SwitchingOff(at=self._clock()))
            if grown is None:
                return None
            run = grown
        if record != claim.off:
            await self._xo.set_enabled(fired_by, False)
            record = shown.records[fired_by] = await self._xo.schedule(fired_by)
        if record != claim.off or record is None:
            return run
        return await self._append(run, Claimed(at=self._clock(), held=record))

    async def release(self, run: DueRun, step: Release, shown: Shown) -> DueRun | None:
        """Enable the schedule where guard may, then remove the fallback that would, then note it."""
        claim = run.claim
        if claim is None:
            raise ValueError("no claim stands")
        fired_by = claim.intent.found.id
        grown: DueRun | None = run
        if claim.state is not ClaimState.RELEASING:
            grown = await self._append(run, Releasing(at=self._clock()))
        if grown is None:
            return None
        how, reason = step.how, ""
        record = shown.records[fired_by] = await self._xo.schedule(fired_by)
        if how in (ReleasedHow.ENABLED, ReleasedHow.NEVER) and record is not None and not record.enabled:
            how = ReleasedHow.ENABLED  # what XO was asked, and did not do at once, it may do late
            if record != claim.off:
                how = ReleasedHow.TOUCHED
            elif not may_enable(run.seen.cron, run.seen.zone, self._clock() - shown.xo_ahead):
                return None
            else:
                await self._xo.set_enabled(fired_by, True)
                record = shown.records[fired_by] = await self._xo.schedule(fired_by)
                if record is not None and not record.enabled:
                    return None
        if record is None:
            how = ReleasedHow.GONE
        await self._drop(run, fired_by, shown, (FallbackKind.RELEASE,))
        events: list[AnyEvent] = []
        if how is ReleasedHow.TOUCHED:
            reason = "It was changed in XO while guard held it, so it stays off."
            text = f"Schedule {run.seen.schedule_name} is off: {reason[0].lower()}{reason[1:]}"
            events.append(Alarmed(at=self._clock(), code=SCHEDULE_LEFT_OFF.id, text=text))
        return await self._append(grown, Released(at=self._clock(), how=how, reason=reason), *events)

    async def postpone(self, run: DueRun, step: Postpone, shown: Shown) -> DueRun:
        """The fallback that enables the schedule acts later, as long as guard lives."""
        cron = at_minutes(step.release_at)
        for one in shown.placed:
            if self._is_mine(one, run, run.key.schedule) and one.fallback.kind is FallbackKind.RELEASE:
                await self._xo.move_fallback(one.job_id, cron)
        shown.placed = await self._xo.fallbacks()
        return run

    # --- the fallback that starts

    async def sync(self, run: DueRun, start_at: datetime | None, shown: Shown) -> DueRun | None:
        """One that stands is moved in one call; where there is none, one is put and read back; what is too much goes."""
        wanted, schedule = None, run.key.schedule
        grown: DueRun | None = run
        shown.placed = await self._xo.fallbacks()
        if start_at is not None:
            wanted = self._fallback(run, schedule, FallbackKind.START, (start_at,))
            if start_at not in run.standbys:
                grown = await self._append(run, Standby(at=self._clock(), start_at=start_at))
                if grown is None:
                    return None
            if not _stands(wanted, shown.placed):
                there = [
                    one
                    for one in shown.placed
                    if self._is_mine(one, run, schedule) and one.fallback.kind is FallbackKind.START and one.armed
                ]
                if there:
                    await self._xo.move_fallback(there[0].job_id, wanted.cron)
                else:
                    await self._xo.put_fallback(wanted)
                shown.placed = await self._xo.fallbacks()
                if not _stands(wanted, shown.placed):
                    return None
        kinds = (FallbackKind.START,) if run.has_claim else (FallbackKind.START, FallbackKind.RELEASE)
        await self._drop(run, schedule, shown, kinds, keep=wanted)
        return grown

    async def _drop(
        self,
        run: DueRun,
        fired_by: str,
        shown: Shown,
        kinds: Iterable[FallbackKind],
        keep: Fallback | None = None,
    ) -> None:
        kept: list[Placed] = []
        for one in shown.placed:
            is_twin = one.fallback == keep and any(other.fallback == keep for other in kept)
            goes = one.fallback.kind in kinds and (one.fallback != keep or is_twin)
            if goes and self._is_mine(one, run, fired_by):
                await self._xo.drop_fallback(one.job_id)
            else:
                kept.append(one)
        shown.placed = tuple(kept)

    def _is_mine(self, one: Placed, run: DueRun, fired_by: str) -> bool:
        return one.is_of(self._instance, fired_by, run.key.due)

    def _fallback(self, run: DueRun, fired_by: str, kind: FallbackKind, minutes: tuple[datetime, ...]) -> Fallback:
        return Fallback(
            kind=kind,
            schedule=fired_by,
            due=run.key.due.astimezone(UTC),
            cron=at_minutes(minutes),
            instance=self._instance,
        )

    # --- starting

    async def start(self, run: DueRun, step: Start, job_type: str, shown: Shown) -> DueRun | None:
        """Intent with the runs known before, the fallback out of the way, the call, its result."""
        schedule, job = run.key.schedule, run.seen.job
        logs = await self._xo.runs_of(job, run.key.due - LOOK_BACK)
        mine = self._since_due(run, logs, step.standbys)
        if mine is not None:  # somebody was first: the fallback, XO, a person, or guard before its ledger was restored
            return await self._append(run, mine)
        if any(log.status == "pending" for log in logs):
            shown.running[job] = next(log.id for log in logs if log.status == "pending")
            return run
        known = tuple(dict.fromkeys(log.id for log in logs))
        number = len(run.intents) + 1
        starting = Starting(
            at=self._clock(),
            attempt=number,
            vms=step.vms,
            known=known,
            reason=step.reason,
            along=step.along,
            settings=step.settings,
        )
        grown = await self._append(run, starting)
        if grown is None:
            return None
        starters = dict.fromkeys((schedule, run.fired_by))  # of a member the sequence's, which starts all of it
        near = any(self._is_mine(one, run, each) for one in shown.placed for each in starters)
        for each in starters:
            await self._drop(run, each, shown, (FallbackKind.START,))
        if near and any(abs(self._clock() - at) <= NEARLY for at in step.standbys):
            fresh = [log for log in await self._xo.runs_of(job, run.key.due - LOOK_BACK) if log.id not in known]
            if fresh:
                return await self._append(grown, self._started(step.standbys, fresh[0], number))
        if step.rearm:
            await self._rearm(run, shown)
        if self._clock() - starting.at > STOOD_STILL:
            told = "guard stood still between the intent and the call."
            return await self._append(grown, NotStarted(at=self._clock(), attempt=number, error=told))
        return await self._call(grown, step, job_type, known, shown)

    async def _call(
        self, run: DueRun, step: Start, job_type: str, known: tuple[str, ...], shown: Shown
    ) -> DueRun | None:
        """The call of the open attempt, and what became of it."""
        schedule, job, number = run.key.schedule, run.seen.job, len(run.intents)
        try:
            if step.along:  # a member of these that runs already is no sign of this call
                going = (*known, *shown.running.values())
                identity = await self._xo.run_sequence((schedule, *step.along), going)
            else:
                identity = await self._xo.start(job, job_type, schedule, step.vms, known, settings=step.settings)
        except XoNotSentError as error:
            return await self._append(run, NotStarted(at=self._clock(), attempt=number, error=str(error)))
        except XoAnswerError as error:
            return await self._answered(run, step, known, str(error))
        except XoError as error:
            return await self._append(run, Doubted(at=self._clock(), attempt=number, error=str(error)))
        if not identity:
            return await self._answered(run, step, known, "XO answered and shows no run of it.")
        shown.running[job] = identity
        began = _began(identity) or self._clock()
        done = Started(at=self._clock(), run=identity, began=began, by=Starter.GUARD, attempt=number)
        return await self._append(run, done)

    async def _answered(self, run: DueRun, step: Start, known: tuple[str, ...], told: str) -> DueRun | None:
        """XO's answer came before its run id: the run was over at once, or there was none."""
        logs = await self._xo.runs_of(run.seen.job, run.key.due - LOOK_BACK)
        number = len(run.intents)
        fresh = [log for log in logs if log.id not in known and log.schedule_id == run.key.schedule]
        if fresh:
            return await self._append(run, self._started(step.standbys, fresh[0], number))
        return await self._append(run, NotStarted(at=self._clock(), attempt=number, error=told))

    async def new_runs(self, run: DueRun) -> tuple[tuple[str, datetime], ...]:
        """The runs of an open attempt, by XO's newest list: those it did not know before."""
        intent = run.open_intent
        if intent is None:
            return ()
        logs = await self._xo.runs_of(run.seen.job, run.key.due - LOOK_BACK)
        others = self._elsewhere(run)
        return tuple(
            (log.id, log.began)
            for log in sorted(logs, key=lambda one: one.start or 0)
            if log.began is not None
            and log.schedule_id == run.key.schedule
            and log.id not in intent.starting.known
            and log.id not in others
        )

    def _since_due(self, run: DueRun, logs: Iterable[BackupLog], standbys: Iterable[datetime]) -> Started | None:
        """A run of this schedule since the due time that is in no story: then nothing is started on top of it."""
        own = {one.started.run for one in run.attempts}
        others = self._elsewhere(run) | own
        for log in sorted(logs, key=lambda one: one.start or 0):
            if log.schedule_id != run.key.schedule or log.began is None or log.id in others:
                continue
            if log.began >= run.key.due - EARLY:
                started = self._started(standbys, log, 0)
                chosen = chosen_of(run, named_vms(log)) if started.by is Starter.XO else None
                return msgspec.structs.replace(started, vms=chosen)
        return None

    def _started(self, standbys: Iterable[datetime], log: BackupLog, attempt: int) -> Started:
        began = log.began or self._clock()
        by = starter(standbys, began, attempt)
        return Started(at=self._clock(), run=log.id, began=began, by=by, attempt=attempt)

    async def _rearm(self, run: DueRun, shown: Shown) -> None:
        """Have XO set the timer anew of the schedule that was enabled and did not fire."""
        schedule = run.fired_by
        record = shown.records[schedule] = await self._xo.schedule(schedule)
        if (
            record is not None
            and record.enabled
            and may_enable(run.seen.cron, run.seen.zone, self._clock() - shown.xo_ahead)
        ):
            await self._xo.set_enabled(schedule, True)


def _stands(wanted: Fallback, placed: Iterable[Placed]) -> bool:
    return any(one.fallback == wanted and one.armed for one in placed)


def _began(identity: str) -> datetime | None:
    """A run's id is its start in ms (xo-api.md 3.3), with ``:n`` behind it for twins."""
    digits = identity.partition(":")[0]
    return datetime.fromtimestamp(int(digits) / 1000, UTC) if digits.isdecimal() and len(digits) <= 14 else None
