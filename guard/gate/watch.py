"""One look at XO and at every open due run: enter what comes due, predict, see runs begin and end, tell.

``Watch.tick`` may be called at any time and in any state; what it does follows from the ledger and from XO alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec

from guard.agenda import Agenda
from guard.assess import rules_of
from guard.decision.brakes import Brake, read_brakes
from guard.errors import ConflictError, LedgerError
from guard.estate.estate import Estate
from guard.estate.observations import Observations, read_observations
from guard.estate.xo_records import Schedule
from guard.gate.actor import Actor, Stage, as_without_guard
from guard.gate.advance import Advance
from guard.gate.aside import firing_of
from guard.gate.entries import by_hand_entries, come_due, due_entries, first_due, marks_after, told_of
from guard.gate.idle import IdleEntries
from guard.gate.in_sequence import OpenSequences
from guard.gate.look import LOGS_EVERY, LONGEST_LEAD, LOOK_EVERY, Look, Looker
from guard.gate.match import LONGEST_SEQUENCE, belongs, progress, with_siblings
from guard.gate.notes import NOT_READ, not_watched, why_none
from guard.gate.ports import Teller, WatchedXo
from guard.gate.predict import Predictor, rules_for
from guard.gate.retell import tell_again, tell_over
from guard.lifecycle.due_run import DueRun, apply, fold
from guard.lifecycle.events import BY_HAND, AnyEvent, AttemptEnded, RunKey, Seen, Started, Starter
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.loop import Loop, SwitchedOff, gone_off, still_off
from guard.lifecycle.next_step import SETTLED
from guard.policy.schema import Policy
from guard.remedies.doing import Doer
from guard.remedies.ports import TimeoutFile
from guard.remedies.round import Ahead, Rounds

ON_TIME = timedelta(seconds=60)
CACHED = timedelta(seconds=10)  # so old may XO's list of logs be
# what is remembered in the ledger
LOOP, LOOKED_LIKE, CONFIRMED, BRAKES, OBSERVED = "loop", "looked_like", "confirmed", "brakes", "observed"


class _LookedLike(msgspec.Struct, frozen=True, kw_only=True):
    """The schedules at the last look."""

    schedules: tuple[Schedule, ...] = ()


class Watch:
    """The gate: it watches every due run, and acts on those whose policy says enforce.

    ``policy_of`` gives the policy in force, which a reload may replace. ``instance`` names this guard in XO. ``timeout_file``:
    guard's file in XO's configuration, None where the policy names no folder.
    """

    def __init__(
        self,
        ledger: Ledger,
        xo: WatchedXo,
        teller: Teller,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
        instance: str = "",
        timeout_file: Callable[[], TimeoutFile | None] = lambda: None,
    ) -> None:
        self._ledger, self._xo, self._teller = ledger, xo, teller
        self._clock, self._policy_of = clock, policy_of
        self._looker = Looker(xo, teller, clock)
        self._sequences = OpenSequences()
        self._actor = Actor(
            xo,
            self._append,
            clock=clock,
            instance=instance,
            rules_of=lambda run, setup: rules_for(policy_of(), setup, run),
            elsewhere=lambda run: frozenset(one for key, ids in self._runs_of.items() if key != run.key for one in ids),
            sequence_of=self._sequences.of,
        )
        self._predictor = Predictor(self._looker, self._actor, self._append, clock=clock, policy_of=policy_of)
        self._advance = Advance(
            self._looker,
            self._predictor,
            self._actor,
            self._sequences,
            self._append,
            self._load,
            self._staged,
            clock=clock,
            policy_of=policy_of,
            done=lambda: self._done,
        )
        doer = Doer(xo, ledger, teller, clock=clock, timeout_file=timeout_file)
        self._rounds = Rounds(ledger, teller, doer, clock=clock, policy_of=policy_of)
        self._observed: Observations | None = None
        self._runs_of: dict[RunKey, frozenset[str]] = {}  # the open stories' own runs, those by hand left out
        self._stood_aside, self._idle = "", IdleEntries()
        self.lets_go = False
        """Nothing new is claimed, and every claim is given back: what is due is started first (guard release)."""
        self._done: set[str] = set()  # runs whose end is recorded
        self._is_new = True

    async def tick(self) -> Loop:
        """Look once, and bring every open due run as far as it goes. Raises LedgerError only."""
        try:
            return await self._tick()
        finally:
            await self._teller.looked()

    async def _tick(self) -> Loop:
        before = await self._last_loop()
        if self._is_new:
            await tell_again(self._ledger, self._teller, before, self._clock(), LONGEST_LEAD + LOOK_EVERY)
            self._is_new = False
            await self._adopt()
        open_runs = await self._open_runs()
        look, error = None, ""
        if self._looker.usual is None:
            error = await self._advance.first_reading(open_runs)
            open_runs = await self._open_runs()
        if not error:
            look, error = await self._looker.look(open_runs, before, self._done)
        agenda, stage, off = None, None, () if before is None else before.switched_off
        looked_like = await self._looked_like()
        seen_setup: Estate | None = None
        if look is not None:
            seen_setup = as_without_guard(look.setup, open_runs)
            agenda = await self._enter_due_times(seen_setup, looked_like)
            await self._enter_runs_by_hand(look, seen_setup, agenda, before)
            off = await self._tell_switched_off(seen_setup.schedules, looked_like, before)
            open_runs = await self._open_runs()
            await self._sequences.load(open_runs, self._ledger)
            stage = await self._staged(look, agenda, open_runs)
        self._runs_of = {
            run.key: frozenset(one.started.run for one in run.attempts) for run in open_runs if run.key.via != BY_HAND
        }
        wakes = await self._advance.all(open_runs, look, seen_setup, stage, agenda)
        await self._learn()
        wakes += self._look_ahead(stage, seen_setup, await self._open_runs())
        loop = msgspec.structs.replace(await self._summary(look, agenda, error, before, wakes), switched_off=off)
        # told before it is remembered as told: a guard that dies in between tells it again
        await self._teller.looked()
        if seen_setup is not None and seen_setup.schedules != tuple(looked_like.values()):
            await self._ledger.remember(LOOKED_LIKE, msgspec.json.encode(_LookedLike(schedules=seen_setup.schedules)))
        await self._ledger.remember(LOOP, msgspec.json.encode(loop))
        if look is not None and look.logs is not None:  # only now: a tick that died reads them again
            self._looker.remember(look)
            self._done &= {log.id for log in look.logs}
        return loop

    # --- remedies

    @property
    def latest(self) -> Estate | None:
        """The last whole reading of XO; None before it."""
        return self._looker.latest

    @property
    def is_busy(self) -> bool:
        """Whether something goes on beside the looks."""
        return self._rounds.is_busy

    async def wait(self, seconds: float) -> None:
        """For what goes on beside the looks, so long at most."""
        await self._rounds.wait(seconds)

    async def end(self) -> None:
        """Break off what goes on beside the looks."""
        await self._rounds.end()

    def _look_ahead(self, stage: Stage | None, setup: Estate | None, runs: Sequence[DueRun]) -> list[datetime]:
        """What the hours ahead need, beside the looks; when it wants the next look."""
        if stage is None or setup is None or self.lets_go:
            return []
        ahead = Ahead(
            setup=setup,
            runs=runs,
            brakes=stage.brakes,
            untrusted=stage.standing.untrusted or stage.standing.apart,
            latest=self._looker.latest,
            lead=self._looker.lead,
            as_found=lambda estate: as_without_guard(estate, runs),
        )
        wake = self._rounds.look(ahead, self._looker.read_whole)
        return [] if wake is None else [wake]

    async def _adopt(self) -> None:
        """What an earlier guard has seen of coalesces is gone on from."""
        told = read_observations(await self._ledger.recall(OBSERVED))
        if told is not None and self._xo.observed is None:
            self._xo.adopt(told)
        self._observed = self._xo.observed

    async def _learn(self) -> None:
        """What guard has seen of coalesces outlives it."""
        observed = self._xo.observed
        if observed is not None and observed is not self._observed:
            await self._ledger.remember(OBSERVED, msgspec.json.encode(observed))
            self._observed = observed

    # --- what is in the ledger

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

    async def _enter_due_times(self, estate: Estate, before: Mapping[str, Schedule]) -> Agenda:
        """Every due time gets its story, once; then the marks move on, exactly as far as was looked."""
        now = self._clock()
        until = now + self._looker.lead + LOOK_EVERY
        agenda = come_due(
            estate,
            marks=await self._ledger.processed_through(),
            before=before,
            now=now,
            until=until,
            local_zone=self._policy_of().xo.zone,
            seconds_of=self._looker.usual_seconds,
        )
        for key, seen in due_entries(estate, agenda, now, self._looker.usual_seconds, partial(self._enforced, estate)):
            await self._enter(key, seen)
        await self._ledger.mark(marks_after(estate, agenda, now, until))
        return agenda

    def _enforced(self, estate: Estate, schedule: Schedule) -> bool:
        return rules_of(self._policy_of(), estate, schedule).gate == "enforce"

    async def _enter(self, key: RunKey, seen: Seen) -> None:
        with suppress(ConflictError):  # a tick that died before the mark was moved entered it already
            await self._ledger.append(key, 0, seen)

    async def _enter_runs_by_hand(self, look: Look, setup: Estate, agenda: Agenda, before: Loop | None) -> None:
        """Runs that no due time explains are stories of their own, and those that came when its story had ended.

        Left alone: what was told, and what a due time explains that was never entered before the last reading, or that by
        a clock that is behind is still to come.
        """
        if before is None or look.logs is None:
            return
        runs, now = await self._open_runs(), self._clock()
        known = self._done | {one.started.run for run in runs for one in run.attempts}
        entries = by_hand_entries(setup, agenda, look.logs, known, now)
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
            if one.log.id not in told and not (not_entered and (is_old or one.key.due > now + self._looker.lead)):
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
        now, told = self._clock(), loop.switched_off if loop is not None else ()
        fresh = gone_off(schedules, before.values(), now)
        for one in fresh:
            await self._teller.switched_off(one)
        kept = {one.schedule: one for one in (*still_off(told, schedules, now), *fresh)}
        return tuple(kept.values())

    # --- one due run

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
            if isinstance(event, Started):
                await self._confirm(run, event)
            await self._teller.happened(run, event)
        self._sequences.grown(run)
        if run.key.via != BY_HAND:
            self._runs_of[run.key] = frozenset(one.started.run for one in run.attempts)
        return run

    async def _confirm(self, run: DueRun, event: Started) -> None:
        """A start of XO's own at the predicted time: guard and XO agree on when this schedule fires."""
        on_time = any(abs(event.began - start) <= ON_TIME for start in run.seen.starts)
        is_later = (
            run.key.via != "" and run.seen.expected_at != run.key.due
        )  # of a sequence's members only the first tells
        if event.by is not Starter.XO or event.attempt or run.key.via == BY_HAND or is_later or not on_time:
            return
        confirmed, fired_by = await self._confirmed(), run.key.via or run.key.schedule
        if confirmed.get(fired_by) != firing_of(run):
            confirmed[fired_by] = firing_of(run)
            await self._ledger.remember(CONFIRMED, msgspec.json.encode(confirmed))

    async def _confirmed(self) -> dict[str, str]:
        """Schedule id -> the firing that a real start agreed with."""
        told = await self._ledger.recall(CONFIRMED)
        return msgspec.json.decode(told, type=dict[str, str]) if told else {}

    async def _staged(self, look: Look, agenda: Agenda, runs: Sequence[DueRun]) -> Stage | None:
        """What the actor sees; None where nothing is to be acted on, or XO went away meanwhile."""
        if (self.lets_go or not self._policy_of().may_act) and not any(
            run.claim is not None or (run.intents and run.key.via != BY_HAND) for run in runs
        ):
            return None
        untrusted = why_none(self._looker, self._policy_of().xo.accept_versions)
        brakes = read_brakes(await self._ledger.recall(BRAKES))
        if self.lets_go:
            brakes = (
                *brakes,
                Brake(kind="bypass", scope="all", until=None, reason="guard stops", since=self._clock(), by="guard"),
            )
        stage = self._actor.stage(
            look, agenda, runs, untrusted=untrusted, confirmed=await self._confirmed(), brakes=brakes
        )
        if stage.standing.untrusted not in (self._stood_aside, NOT_READ):
            self._stood_aside = stage.standing.untrusted
            if self._stood_aside:
                await self._teller.stands_aside(self._stood_aside, at=self._clock())
        return stage

    # --- what is left for guard status

    async def _summary(
        self, look: Look | None, agenda: Agenda | None, error: str, before: Loop | None, wakes: Sequence[datetime]
    ) -> Loop:
        now = self._clock()
        known = before or Loop(at=now)
        if look is None or agenda is None:
            since = known.unread_since or now
            await self._teller.unread(error, since=since, at=now)
            return msgspec.structs.replace(known, at=now, xo_error=error, unread_since=since, wake=now + LOOK_EVERY)
        acts = self._policy_of().may_act and not self.lets_go and not self._stood_aside
        await tell_over(self._ledger, self._teller, before, now, acts=acts)
        running = known.running
        if look.logs is not None:
            running = tuple(progress(log) for log in look.logs if log.status == "pending")
        next_due, fired = first_due(agenda, now)
        ahead = [] if next_due is None else [max(now, next_due - self._looker.lead - LOOK_EVERY)]
        wake = min((one for one in (*wakes, *ahead) if one > now), default=now + LOGS_EVERY)
        return Loop(
            at=now,
            next_due=next_due,
            next_due_of=told_of(fired, look.setup),
            running=running,
            more_running=len(look.running - {one.run for one in running}),
            unwatched=not_watched(agenda, self._looker, self._predictor.trouble, self._rounds.trouble),
            idle_entries=self._idle.told(self._policy_of(), look.setup, self._looker.latest),
            wake=wake,
            stands_aside=self._stood_aside if self._policy_of().may_act else "",
            clock_ahead_s=look.ahead.total_seconds(),
        )
