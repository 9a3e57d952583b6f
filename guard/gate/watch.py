"""One look at XO and at every open due run: enter what comes due, predict, see runs begin and end, tell.

``Watch.tick`` may be called at any time and in any state; what it does follows from the ledger and from XO alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from guard.agenda import Agenda
from guard.assess import make_plan
from guard.errors import ConflictError, LedgerError, PolicyError, XoError
from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog, Schedule
from guard.gate.entries import by_hand_entries, come_due, due_entries, first_due, marks_after
from guard.gate.match import LONGEST_SEQUENCE, belongs, fires, log_seen, progress, sequence_runs, with_siblings
from guard.gate.ports import Teller, XoReads
from guard.lifecycle.due_run import DueRun, apply, fold
from guard.lifecycle.events import AnyEvent, AttemptEnded, Decided, RunKey, Seen
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.loop import STANDS, Loop, SwitchedOff
from guard.lifecycle.next_step import (
    ENOUGH_SAMPLES,
    SETTLED,
    Evaluate,
    Observed,
    Record,
    Step,
    Wait,
    next_step,
)
from guard.mechanics.history import quantiles, read_history
from guard.policy.schema import Policy

LEAD = timedelta(seconds=60)
LONGEST_LEAD = timedelta(minutes=10)
LOOK_EVERY = timedelta(seconds=30)  # no longer sleep: a clock that stepped, or a machine that slept, is seen this soon
LOOK_BACK = timedelta(minutes=5)
LOGS_EVERY = timedelta(minutes=5)
TOLD_WITHIN = timedelta(days=3)  # a run that lasts longer has told more than its end
CACHED = timedelta(seconds=10)  # so old may XO's list of logs be
NOISE = timedelta(seconds=5)  # clocks that differ by less are the same, as far as an answer's way can tell
LOOP, LOOKED_LIKE = "loop", "looked_like"  # what is remembered in the ledger


@dataclass(frozen=True)
class _Look:
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


class _LookedLike(msgspec.Struct, frozen=True, kw_only=True):
    """The schedules at the last look."""

    schedules: tuple[Schedule, ...] = ()


class Watch:
    """The observing half of the gate. ``policy_of`` gives the policy in force, which a reload may replace."""

    def __init__(
        self,
        ledger: Ledger,
        xo: XoReads,
        teller: Teller,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
    ) -> None:
        self._ledger, self._xo, self._teller = ledger, xo, teller
        self._clock, self._policy_of = clock, policy_of
        self._usual: Mapping[str, tuple[float, ...]] | None = None
        self._running: frozenset[str] = frozenset()  # run ids at the last look
        self._logs_at: datetime | None = None
        self._done: set[str] = set()  # runs whose end is recorded
        self._is_new = True
        self._lead = LEAD
        self._is_admin = True  # by the last whole reading
        self._unpredicted = ""  # why the last prediction could not be made

    async def tick(self) -> Loop:
        """Look once, and bring every open due run as far as it goes. Raises LedgerError only."""
        try:
            return await self._tick()
        finally:
            await self._teller.looked()

    async def _tick(self) -> Loop:
        before = await self._last_loop()
        if self._is_new:
            await self._tell_again(before)
            self._is_new = False
        open_runs = await self._open_runs()
        look, error = await self._look(open_runs, before)
        agenda, off = None, () if before is None else before.switched_off
        looked_like = await self._looked_like()
        if look is not None:
            agenda = await self._enter_due_times(look.setup, looked_like)
            await self._enter_runs_by_hand(look, agenda, before)
            off = await self._tell_switched_off(look.setup.schedules, looked_like, before)
            open_runs = await self._open_runs()
        steps = [(run, await self._advance(run, near, look)) for run, near in with_siblings(open_runs)]
        to_predict = [run for run, step in steps if isinstance(step, Evaluate) and look is not None]
        if to_predict:
            await self._predict(to_predict)
        wakes = [step.until for _, step in steps if isinstance(step, Wait)]
        loop = msgspec.structs.replace(await self._summary(look, agenda, error, before, wakes), switched_off=off)
        # told before it is remembered as told: a guard that dies in between tells it again
        await self._teller.looked()
        if look is not None and look.setup.schedules != tuple(looked_like.values()):
            await self._ledger.remember(LOOKED_LIKE, msgspec.json.encode(_LookedLike(schedules=look.setup.schedules)))
        await self._ledger.remember(LOOP, msgspec.json.encode(loop))
        if look is not None and look.logs is not None:  # only now: a tick that died reads them again
            self._running, self._logs_at = look.running, look.logs_at
            self._done &= {log.id for log in look.logs}
        return loop

    # --- looking

    async def _look(self, runs: Sequence[DueRun], before: Loop | None) -> tuple[_Look | None, str]:
        """XO now; None and why where it cannot be read."""
        try:
            if self._usual is None:
                await self._read_whole()
            setup = await self._xo.setup()
            run_ids = [job.run_id for job in setup.jobs] + [call.run_id for call in setup.call_jobs]
            running = frozenset(one for one in run_ids if one)
            now = self._clock()
            ahead = now - setup.taken_at if abs(now - setup.taken_at) > NOISE else timedelta()
            await self._teller.clocks(ahead, at=now)
            if not self._logs_are_worth_it(runs, running, now):
                return _Look(setup, running, ahead=ahead), ""
            seen_until = self._logs_at or (now if before is None else before.unread_since or before.at)
            since = min([run.key.due for run in runs] + [seen_until]) - LOOK_BACK
            logs = await self._xo.logs(since, self._done)
        except (XoError, PolicyError) as error:  # the latter: the token's file, read anew for each look
            return None, str(error)
        return _Look(setup, running, logs, since, now, seen_until, ahead), ""

    def _logs_are_worth_it(self, runs: Iterable[DueRun], running: frozenset[str], now: datetime) -> bool:
        """Reading logs costs XO much: only when a run is awaited, one began or ended, or they were not read lately."""
        awaited = any(not run.attempts and run.key.due <= now for run in runs)
        stale = self._logs_at is None or abs(now - self._logs_at) >= LOGS_EVERY  # the clock may have been set back
        return awaited or stale or running != self._running

    async def _read_whole(self) -> Estate:
        """Everything; from how long that took follows how long before a due time the next reading must begin."""
        began = self._clock()
        estate = await self._xo.estate()
        self._usual = (await asyncio.to_thread(read_history, estate.logs)).seconds
        self._is_admin = estate.xo.admin
        took = max(timedelta(), self._clock() - began)
        self._lead = min(LONGEST_LEAD, max(LEAD, 2 * took + LOOK_EVERY))
        return estate

    async def _last_loop(self) -> Loop | None:
        told = await self._ledger.recall(LOOP)
        return msgspec.json.decode(told, type=Loop) if told else None

    async def _open_runs(self) -> list[DueRun]:
        return [await self._load(key) for key in await self._ledger.open_runs()]

    async def _load(self, key: RunKey) -> DueRun:
        run = fold(key, await self._ledger.load(key))
        if run is None:
            raise LedgerError(f"The ledger lists {key.schedule}, due {key.due}, as open and holds no event of it")
        return run

    # --- what comes due

    def _usual_seconds(self, schedule: str) -> float | None:
        return quantiles((self._usual or {}).get(schedule, ())).p50

    async def _enter_due_times(self, estate: Estate, before: Mapping[str, Schedule]) -> Agenda:
        """Every due time gets its story, once; then the marks move on, exactly as far as was looked."""
        now = self._clock()
        until = now + self._lead + LOOK_EVERY
        agenda = come_due(
            estate,
            marks=await self._ledger.processed_through(),
            before=before,
            now=now,
            until=until,
            local_zone=self._policy_of().xo.zone,
            seconds_of=self._usual_seconds,
        )
        for key, seen in due_entries(estate, agenda, now, self._usual_seconds):
            await self._enter(key, seen)
        await self._ledger.mark(marks_after(estate, agenda, now, until))
        return agenda

    async def _enter(self, key: RunKey, seen: Seen) -> None:
        with suppress(ConflictError):  # a tick that died before the mark was moved entered it already
            await self._ledger.append(key, 0, seen)

    async def _enter_runs_by_hand(self, look: _Look, agenda: Agenda, before: Loop | None) -> None:
        """Runs that no due time explains are stories of their own, and those that came when its story had ended.

        Left alone: what was told, and what a due time explains that was never entered before the last reading, or that by
        a clock that is behind is still to come.
        """
        if before is None or look.logs is None:
            return
        runs, now = await self._open_runs(), self._clock()
        known = self._done | {one.started.run for run in runs for one in run.attempts}
        entries = by_hand_entries(look.setup, agenda, look.logs, known, now)
        open_of = {run.key.schedule: siblings for run, siblings in with_siblings(runs)}
        found = [
            one
            for one in entries
            if not any(belongs(run, one.log, open_of[one.key.schedule]) for run in open_of.get(one.key.schedule, ()))
        ]
        if not found:
            return
        first, last = min(one.key.due for one in found), max(one.key.due for one in found)
        near = await self._ledger.between(first - LONGEST_SEQUENCE, last + SETTLED)
        stories = [run for key, events in near.items() if (run := fold(key, events)) is not None]
        told = {one.started.run for run in stories for one in run.attempts}
        self._done |= {one.started.run for run in stories for one in run.attempts if one.ended is not None}
        for one in found:
            is_old = look.seen_until is not None and one.key.due <= look.seen_until - CACHED
            not_entered = one.explained and not any(belongs(run, one.log, ()) for run in stories)
            if one.log.id not in told and not (not_entered and (is_old or one.key.due > now + self._lead)):
                await self._enter(one.key, one.seen)

    async def _looked_like(self) -> Mapping[str, Schedule]:
        """The schedules at the last look."""
        told = await self._ledger.recall(LOOKED_LIKE)
        return {one.id: one for one in msgspec.json.decode(told, type=_LookedLike).schedules} if told else {}

    async def _tell_switched_off(
        self, schedules: Sequence[Schedule], before: Mapping[str, Schedule], loop: Loop | None
    ) -> tuple[SwitchedOff, ...]:
        """A schedule that was on at the last look and is off or gone now: guard switches none off itself.

        Returns those that are still off, and those that went within a day.
        """
        now, current = self._clock(), {one.id: one for one in schedules}
        kept = {
            one.schedule: one
            for one in (loop.switched_off if loop is not None else ())
            if (not current[one.schedule].enabled if one.schedule in current else now - one.at < STANDS)
        }
        for was in before.values():
            found = current.get(was.id)
            if was.enabled and (found is None or not found.enabled):
                kept[was.id] = SwitchedOff(schedule=was.id, name=(found or was).name, at=now, deleted=found is None)
                await self._teller.switched_off(kept[was.id])
        return tuple(kept.values())

    # --- one due run

    async def _advance(self, run: DueRun, open_runs: Sequence[DueRun], look: _Look | None) -> Step | None:
        """Record all there is to record; the step that remains, None when the story has ended or somebody else wrote."""
        seen = self._observe(run, open_runs, look)
        while isinstance(step := next_step(run, seen, lead=self._lead, look_every=LOOK_EVERY), Record):
            advanced = await self._append(run, *step.events)
            if advanced is None or advanced.ended is not None:
                return None
            run = advanced
        return step

    async def _append(self, run: DueRun, *events: AnyEvent) -> DueRun | None:
        """The run with its new events; None when somebody else wrote meanwhile, and the next tick looks anew."""
        try:
            await self._ledger.append(run.key, run.seq, *events)
        except ConflictError:
            return None
        for event in events:
            run = apply(run.key, run, event)
            if isinstance(event, AttemptEnded):
                self._done.add(event.run)
            await self._teller.happened(run, event)
        return run

    def _observe(self, run: DueRun, open_runs: Sequence[DueRun], look: _Look | None) -> Observed:
        now = self._clock()
        if look is None:
            return Observed(now=now, logs_at=None, fires=None)
        samples = sorted((self._usual or {}).get(run.key.schedule, ()))
        usual = samples[-(-len(samples) * 95 // 100) - 1] if len(samples) >= ENOUGH_SAMPLES else None
        return Observed(
            now=now,
            logs_at=self._known_until(look, run.key),
            logs=tuple(log_seen(log) for log in look.logs_of.get(run.key.schedule, ()) if belongs(run, log, open_runs)),
            fires=fires(run, look.setup),
            sequence_runs=sequence_runs(run, look.setup),
            usual_s=usual,
        )

    @staticmethod
    def _known_until(look: _Look, key: RunKey) -> datetime | None:
        """Up to when the logs tell of a due time, by XO's clock where guard's is ahead; None where they do not.

        Logs that do not reach back to it say nothing of it; the next look asks further.
        """
        if look.logs_at is None or look.logs_since is None or look.logs_since >= key.due:
            return None
        return look.logs_at - max(look.ahead, timedelta())

    async def _predict(self, runs: Sequence[DueRun]) -> None:
        """One reading of XO and one plan for all that is due soon. What cannot be read is tried again at the next tick."""
        try:
            estate = await self._read_whole()
        except (XoError, PolicyError) as error:
            self._unpredicted = str(error)
            return
        self._unpredicted = ""
        now = self._clock()
        start = min(run.key.due for run in runs) - timedelta(minutes=1)
        until = max(run.seen.expected_at for run in runs) + timedelta(minutes=1)
        plan = await asyncio.to_thread(make_plan, estate, self._policy_of(), now=now, start=start, within=until - start)
        planned = {
            (one.run.schedule.id, one.run.due.sequence_at or one.run.due.at, one.run.due.via): one for one in plan.runs
        }
        for run in runs:
            found = planned.get((run.key.schedule, run.key.due, run.key.via))
            if found is not None and self._clock() < run.key.due:
                decided = Decided(
                    at=self._clock(), facts_at=estate.taken_at, vms=found.run.selection.ids, verdict=found.verdict
                )
                await self._append(run, decided)

    async def _tell_again(self, before: Loop | None) -> None:
        """What an earlier process recorded in a look that it did not finish: it may have died before it was told.

        Told twice, it has the same key.
        """
        now = self._clock()
        since = before.at if before is not None else now - LONGEST_SEQUENCE
        unread = since if before is None or before.unread_since is None else min(since, before.unread_since)
        near = await self._ledger.between(unread - TOLD_WITHIN, now + LONGEST_LEAD + LOOK_EVERY)
        keys = {*near, *await self._ledger.open_runs()}
        for key in sorted(keys):
            run = None
            for event in near.get(key) or await self._ledger.load(key):
                run = apply(key, run, event)
                if event.at > since and not isinstance(event, Seen):
                    await self._teller.happened(run, event)

    # --- what is left for guard status

    async def _summary(
        self, look: _Look | None, agenda: Agenda | None, error: str, before: Loop | None, wakes: Sequence[datetime]
    ) -> Loop:
        now = self._clock()
        known = before or Loop(at=now)
        if look is None or agenda is None:
            since = known.unread_since or now
            await self._teller.unread(error, since=since, at=now)
            return msgspec.structs.replace(known, at=now, xo_error=error, unread_since=since, wake=now + LOOK_EVERY)
        running = known.running
        if look.logs is not None:
            running = tuple(progress(log) for log in look.logs if log.status == "pending")
        next_due = first_due(agenda, now)
        seen = {one.run for one in running}
        ahead = [] if next_due is None else [max(now, next_due - self._lead - LOOK_EVERY)]
        wake = min((one for one in (*wakes, *ahead) if one > now), default=now + LOGS_EVERY)
        return Loop(
            at=now,
            next_due=next_due,
            running=running,
            more_running=len(look.running - seen),
            unwatched=(
                *(note.text for note in agenda.notes if note.unknown),
                *(() if self._is_admin else ("what XO hides from the token's user, who is no administrator",)),
                *((f"no prediction could be made: {self._unpredicted}",) if self._unpredicted else ()),
            ),
            wake=wake,
        )
