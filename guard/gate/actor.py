"""The acting half of the gate: for a schedule with gate = enforce, one due run as far as it goes at this look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import msgspec

from guard.agenda import Agenda
from guard.decision.brakes import Brake, bypassed
from guard.decision.verdict import Action
from guard.errors import XoError
from guard.estate.estate import Estate
from guard.estate.xo_records import Job
from guard.finding import Level
from guard.gate.aside import Standing, other_guard, why_aside, why_untrusted
from guard.gate.chances import chances_of, is_question
from guard.gate.hands import Append, Hands, Shown
from guard.gate.look import LOOK_EVERY, Look
from guard.gate.ports import GateXo
from guard.lifecycle.acting import Act, Reconcile, Start, next_act
from guard.lifecycle.claiming import PlaceClaim, Postpone, Release, Rules, Scene, Sync, wants_claim
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import RunKey
from guard.lifecycle.follow_up import NONE, Chances
from guard.lifecycle.next_step import Evaluate, Observed, Record, Wait
from guard.lifecycle.resolution import is_ours, resolve
from guard.lifecycle.sequence import next_of_sequence
from guard.lifecycle.turn import DueSequence, turn_of
from guard.mechanics.fallback import is_fallback, placed_in
from guard.policy.resolve import Effective

MOST_STEPS = 40  # of one due run at one look: a story that does not settle waits for the next look


WAIT_FOR_RUNS = frozenset({"JOB_RUNNING", "JOB_STUCK", "RUN_OVERLAP", "NO_SLOT"})
WAIT_FOR_POOLS = frozenset({"POOL_DISCONNECTED", "VM_UNKNOWN", "SR_DETACHED", "SR_UNKNOWN"})


@dataclass(frozen=True)
class Pulse:
    """What a narrow look shows that a waiting run may wait for: runs, connections to pools, its job's record, brakes."""

    running: frozenset[str]
    servers: tuple[tuple[str, str], ...]
    job: Job | None
    brakes: tuple[Brake, ...]


@dataclass
class Stage:
    """What one look shows the actor. ``setup``: as XO has it, guard's own doings included; ``agenda``: as if without them.

    ``began``: schedule id -> its latest due time that has come. ``rolling``: the question whether a rolling pool update
    goes on, None as long as nobody had to ask. ``views``: what each run's own steps showed since; apart,
    because a reading made for one run may be older than what another has just changed.
    """

    setup: Estate
    agenda: Agenda
    shown: Shown
    standing: Standing
    brakes: tuple[Brake, ...]
    running: frozenset[str]
    began: Mapping[str, datetime]
    rolling: asyncio.Future[bool] | None = None
    views: dict[RunKey, Shown] = field(default_factory=dict)

    def view_of(self, run: DueRun) -> Shown:
        """What XO showed last, as far as this run's own steps know."""
        if run.key not in self.views:
            seen = self.shown
            self.views[run.key] = replace(seen, records=dict(seen.records), running=dict(seen.running))
        return self.views[run.key]


class Actor:
    """``rules_of`` gives the policy's word on a run's schedule; ``elsewhere`` the runs that belong to other due times;
    ``sequence_of`` the sequence of a member's story, or of its own, as it stands now; None for other runs.
    """

    def __init__(
        self,
        xo: GateXo,
        append: Append,
        *,
        clock: Callable[[], datetime],
        instance: str,
        rules_of: Callable[[DueRun, Estate], Effective],
        elsewhere: Callable[[DueRun], frozenset[str]],
        sequence_of: Callable[[DueRun], DueSequence | None],
    ) -> None:
        self._xo, self._append, self._clock, self._instance = xo, append, clock, instance
        self._rules_of, self._sequence_of = rules_of, sequence_of
        self._hands = Hands(xo, append, clock=clock, instance=instance, elsewhere=elsewhere)
        self._pulses: dict[RunKey, Pulse] = {}

    def enforces(self, run: DueRun, setup: Estate) -> bool:
        """Whether guard acts on a due run: by policy, of a sequence by that of its own schedule, or because it began to."""
        if run.claim is not None or run.intents:
            return True
        if not run.key.via:
            return self._rules_of(run, setup).gate == "enforce"
        sequence = self._sequence_of(run)
        return sequence is not None and self.enforces(sequence.own, setup)

    def stage(
        self,
        look: Look,
        agenda: Agenda,
        runs: Sequence[DueRun],
        *,
        untrusted: str,
        confirmed: Mapping[str, str],
        brakes: tuple[Brake, ...],
    ) -> Stage:
        """What the look shows."""
        now = self._clock()
        setup = look.setup
        placed = placed_in(setup.call_jobs, setup.schedules)
        other = other_guard(placed, self._instance, now)
        told = untrusted or (f"another guard ({other}) acts on this XO" if other else "")
        shown = Shown(
            look.ahead,
            {one.id: one for one in setup.schedules},
            placed,
            {job.id: job.run_id for job in setup.jobs if job.run_id},
        )
        began: dict[str, datetime] = {}
        for run in runs:
            if not run.key.via and run.key.due <= now and not _is_covered(run):
                began[run.key.schedule] = max(run.key.due, began.get(run.key.schedule, run.key.due))
        return Stage(
            setup, agenda, shown, Standing(told, look.ahead, confirmed), brakes, frozenset(look.running), began
        )

    async def aside(self, run: DueRun, stage: Stage) -> str:
        """Why guard does not claim this run's schedule; '' when it may. Raises XoError."""
        why = self._why_aside(run, stage)
        if not why and await self._is_rolling(stage):
            return "a rolling pool update goes on"
        return why

    def _why_aside(self, run: DueRun, stage: Stage) -> str:
        return why_aside(run, stage.standing, stage.setup, stage.agenda, self._clock())

    async def _is_rolling(self, stage: Stage) -> bool:
        """Asked once a look, and only where something is claimed or shall be: it costs XO much."""
        if stage.rolling is None:
            stage.rolling = asyncio.ensure_future(self._xo.rolling_updates())
        return await stage.rolling

    def decided(self, run: DueRun, stage: Stage) -> None:
        """A run was evaluated on what the stage shows: it is looked at again when that changes."""
        self._pulses[run.key] = self._pulse(run, stage)

    async def act(
        self, run: DueRun, seen: Observed, stage: Stage, lead: timedelta
    ) -> tuple[DueRun, Wait | Evaluate | None]:
        """Everything there is to do for this run now. None: its story has ended, or somebody else wrote."""
        rules = self._rules_of(run, stage.setup)
        own = Rules(
            claim_always=rules.claim == "always",
            on_uncertain=rules.on_uncertain,
            recheck_every=rules.recheck_every,
        )
        new_runs: tuple[tuple[str, datetime], ...] | None = None
        for _ in range(MOST_STEPS):
            try:
                scene = replace(await self._scene(run, stage, own), new_runs=new_runs)
            except XoError:
                return run, self._soon()
            step = self._next(run, seen, scene, own, stage, lead, rules)
            if isinstance(step, Wait | Evaluate):
                return run, step
            if isinstance(step, Reconcile):
                try:
                    new_runs = await self._hands.new_runs(run)
                except XoError:
                    return run, self._soon()
                continue
            new_runs = None
            try:
                grown, went_on = await self._take(run, step, stage)
            except XoError:
                return run, self._soon()
            if grown is None:
                return run, None
            if not went_on:
                return run, self._soon()
            run = grown
            if run.ended is not None:
                self._pulses.pop(run.key, None)
                return run, None
        return run, self._soon()

    def _soon(self) -> Wait:
        """From now on: the step before may have taken long."""
        return Wait(self._clock() + LOOK_EVERY)

    def _next(
        self,
        run: DueRun,
        seen: Observed,
        scene: Scene,
        rules: Rules,
        stage: Stage,
        lead: timedelta,
        policy: Effective,
    ) -> Act:
        sequence = self._in_xo(run, stage)
        if sequence is not None and run.is_sequence:
            placed = stage.view_of(run).placed
            return next_of_sequence(sequence, scene, rules, placed, lead=lead, look_every=LOOK_EVERY)
        now = replace(seen, now=scene.now)
        if scene.turn is not None:  # a run that XO may still come to is not missed
            waits = seen.sequence_runs or not scene.turn.has_come
            now = replace(now, sequence_runs=waits, through=scene.turn.through, standbys=scene.turn.standbys)
        chances = self._chances(run, sequence, stage, policy, seen, scene.now) if is_question(run) else NONE
        return next_act(run, now, scene, rules, lead=lead, look_every=LOOK_EVERY, chances=chances)

    def _chances(
        self,
        run: DueRun,
        sequence: DueSequence | None,
        stage: Stage,
        policy: Effective,
        seen: Observed,
        now: datetime,
    ) -> Chances:
        """Of a follow-up."""
        gate = policy.gate if sequence is None else self._rules_of(sequence.own, stage.setup).gate
        return chances_of(
            run,
            stage.setup,
            stage.agenda,
            policy.remedies,
            sequence,
            seen.usual_s,
            now,
            enforced=gate == "enforce",
            aside=why_untrusted(run, stage.standing, stage.setup, stage.agenda),
        )

    async def _take(self, run: DueRun, step: Act, stage: Stage) -> tuple[DueRun | None, bool]:
        """The run after a step, None when somebody else wrote; whether anything was done, or learned, by it."""
        shown = stage.view_of(run)
        placed, running = shown.placed, dict(shown.running)
        match step:
            case Record(events=events):
                grown = await self._append(run, *events)
            case PlaceClaim():
                grown = await self._hands.place(run, shown)
            case Release():
                grown = await self._hands.release(run, step, shown)
            case Postpone():
                return await self._hands.postpone(run, step, shown), shown.placed != placed
            case Sync(start_at=start_at):
                grown = await self._hands.sync(run, start_at, shown)
                return grown, grown is not run or shown.placed != placed
            case Start():
                job = stage.setup.job_by_id.get(run.seen.job)
                grown = await self._hands.start(run, step, job.type if job is not None else "backup", shown)
                return grown, grown is not run or shown.running != running
            case _:
                raise TypeError(f"no step of the gate: {step}")
        return grown, grown is not run

    def _in_xo(self, run: DueRun, stage: Stage) -> DueSequence | None:
        sequence = self._sequence_of(run)
        if sequence is None:
            return None
        found = stage.view_of(run).records.get(sequence.own.key.schedule)
        call = stage.setup.call_job_by_id.get((found.job_id or "") if found is not None else "")
        is_off = found is not None and not found.enabled
        return replace(sequence, is_off=is_off, goes_on=call is not None and bool(call.run_id))

    def _pulse(self, run: DueRun, stage: Stage) -> Pulse:
        job = stage.setup.job_by_id.get(run.seen.job)
        return Pulse(
            running=stage.running,
            servers=tuple((one.id, one.status) for one in stage.setup.servers),
            job=None if job is None else msgspec.structs.replace(job, run_id=msgspec.UNSET),
            brakes=stage.brakes,
        )

    def _changed(self, run: DueRun, stage: Stage) -> bool:
        """Whether something changed that this run may wait for; after a restart of guard nobody can tell."""
        before, now = self._pulses.get(run.key), self._pulse(run, stage)
        if before is None or run.decided is None:
            return False
        codes = {one.code for one in run.decided.verdict.findings if one.level in (Level.BLOCK, Level.UNKNOWN)}
        return (
            before.job != now.job
            or before.brakes != now.brakes
            or (before.running != now.running and not codes.isdisjoint(WAIT_FOR_RUNS))
            or (before.servers != now.servers and not codes.isdisjoint(WAIT_FOR_POOLS))
        )

    async def _scene(self, run: DueRun, stage: Stage, rules: Rules) -> Scene:
        """Raises XoError."""
        sequence = self._in_xo(run, stage)
        shown, due = stage.view_of(run), run.key.due
        reached = max(self._clock(), self._clock() - shown.xo_ahead)
        if reached >= due:  # it is started, or given back
            ours = is_ours(run) or (sequence is not None and sequence.is_ours(reached))
            asks = run.has_claim or (ours and resolve(run, reached).start is not None)
        else:
            asks = run.claim is None and _wants(run, sequence, rules)
        rolling = asks and await self._is_rolling(stage)
        now = self._clock()
        latest = stage.began.get(run.key.via or run.key.schedule)
        own = [
            one for one in shown.placed if (one.fallback.instance, one.fallback.due) == (self._instance, run.key.due)
        ]
        job = stage.setup.job_by_id.get(run.seen.job)
        job_name = job.name if job is not None else run.seen.job_name
        found = stage.setup.schedule_by_id.get(run.key.schedule)
        bypass = found is not None and bypassed(stage.brakes, now, schedule=found, job_name=job_name) is not None
        return Scene(
            now=now,
            is_read=True,
            xo_now=now - shown.xo_ahead,
            record=shown.records.get(run.fired_by),
            running=shown.running.get(run.seen.job, ""),
            fallbacks=tuple(one for one in own if one.fallback.schedule == run.key.schedule),
            aside=self._why_aside(run, stage) if run.claim is None else "",
            bypass=bypass,
            rolling=rolling,
            changed=self._changed(run, stage),
            next_began=latest is not None and latest > run.key.due,
            turn=turn_of(run, sequence, now, now - shown.xo_ahead)
            if sequence is not None and not run.is_sequence
            else None,
            above=tuple(one for one in own if one.fallback.schedule == run.key.via),
        )


def _is_covered(run: DueRun) -> bool:
    """Whether another run stands for this one: then it stands for none itself."""
    return run.decided is not None and run.decided.verdict.action is Action.SKIP and not run.attempts


def _wants(run: DueRun, sequence: DueSequence | None, rules: Rules) -> bool:
    """Whether it may have to be claimed."""
    if sequence is not None and run.is_sequence:
        return any(wants_claim(one, always=rules.claim_always) for one in sequence.members)
    return not run.key.via and wants_claim(run, always=rules.claim_always)


def as_without_guard(setup: Estate, runs: Sequence[DueRun]) -> Estate:
    """The setup as a person made it: fallbacks left out, and a schedule that guard holds shown as it was found."""
    hidden = {job.id for job in setup.call_jobs if is_fallback(job)}
    held = {run.claim.intent.found.id: run.claim for run in runs if run.claim is not None and run.claim.stands}
    if not hidden and not held:
        return setup
    schedules = tuple(
        held[one.id].intent.found if one.id in held and one == held[one.id].off else one
        for one in setup.schedules
        if (one.job_id or "") not in hidden
    )
    calls = tuple(job for job in setup.call_jobs if job.id not in hidden)
    return replace(setup, schedules=schedules, call_jobs=calls)
