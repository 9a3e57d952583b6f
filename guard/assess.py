"""The one function that plan and gate both call: due run -> policy and checks -> decision, to the fixpoint."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import cast

import msgspec

from guard.agenda import Agenda, Note, make_agenda
from guard.checks import ALL
from guard.checks.check import Effect, Options
from guard.checks.clock_change import storm_sentence
from guard.checks.options import ClockChangeOptions
from guard.checks.run import run_checks
from guard.checks.view import View
from guard.decision.accept import ended, with_accepted
from guard.decision.brakes import Brake, holding, on_hold
from guard.decision.concurrency import fewer_at_once
from guard.decision.deadline import interval_after, run_deadline, vm_deadlines
from guard.decision.decide import decide, holding_whole, new_holds
from guard.decision.idle import idle_limits, idle_schedules
from guard.decision.limits import goes_on, no_slots
from guard.decision.named import names_nothing
from guard.decision.verdict import Action, Verdict
from guard.decision.windows import outside_window
from guard.estate.estate import Estate
from guard.estate.xo_records import Job, Schedule
from guard.finding import Finding, Level
from guard.mechanics.due import DueTime, next_storm
from guard.mechanics.fewer_at_once import past_runs
from guard.mechanics.history import quantiles
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids, target_sr_ids
from guard.mechanics.selection import named_tags
from guard.mechanics.zones import zone_or_utc
from guard.outcomes.past import past_failures
from guard.policy.resolve import Effective, effective
from guard.policy.schema import Policy
from guard.units import some_of

_STILL_GOING_ON = timedelta(days=1)


@dataclass(frozen=True)
class Situation:
    """What neither XO nor the policy tells. ``brakes``: a person's; ``busy``: runs that take slots beside those XO shows.

    ``overridden``: codes that a person said shall hold nothing (guard start --override).
    """

    brakes: tuple[Brake, ...] = ()
    busy: tuple[ExpectedRun, ...] = ()
    overridden: frozenset[str] = frozenset()


NOTHING_MORE = Situation()


@dataclass(frozen=True)
class PlannedRun:
    """One due run and what would become of it. Bytes are summed over its VMs and targets; None without figures."""

    run: ExpectedRun
    verdict: Verdict
    zone: tzinfo
    bytes_p50: float | None
    bytes_p90: float | None
    bytes_samples: int


@dataclass(frozen=True)
class Plan:
    """Every due run in (start, until], and what there is to say beside them."""

    estate: Estate
    now: datetime
    start: datetime
    until: datetime
    runs: tuple[PlannedRun, ...]
    notes: tuple[Note, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every run would start whole and nothing is unknown."""
        whole = all(one.verdict.action is Action.START and not one.verdict.unknown for one in self.runs)
        return whole and not any(note.unknown for note in self.notes)


def assess(
    outlook: Outlook,
    run: ExpectedRun,
    policy: Effective,
    zone: tzinfo,
    situation: Situation = NOTHING_MORE,
    *,
    due: DueTime | None = None,
) -> Verdict:
    """Hold, re-check the rest, repeat. The held set only grows, so it ends.

    First comes what a person and the policy say: VMs on hold are held whatever the checks would find. Findings that held
    something are kept; all others are those of the last round, over the VMs that remain. ``due``: the due time that
    deadlines count from, where the run is looked at later than that.
    """
    since = due or run.due
    options: Mapping[str, Options] = policy.checks
    said = _lifted(_said(outlook, run, policy, situation), situation.overridden)
    kept = [one for one in said if one.holds]
    held: dict[str, tuple[Finding, ...]] = {}
    for one in kept:
        for vm in one.holds:
            held[vm] = (*held.get(vm, ()), one)
    said_of_all = [one for one in said if not one.holds]
    while True:
        rest = tuple(vm for vm in run.selection.ids if vm not in held)
        checked = run_checks(ALL, View(outlook, run, rest), options)
        checked = _lifted(checked, situation.overridden)
        fewer = None
        if policy.remedies.lower_concurrency:
            checked, fewer = fewer_at_once(
                checked,
                run,
                past=lambda: past_runs(outlook.history, run.job.id).values(),
                of_job=outlook.of_job(run.job.id),
                windows=policy.windows,
            )
        findings = [*said_of_all, *checked]
        holding = new_holds(findings, held, policy.on_unknown)
        if not holding:
            break
        for one in holding:
            kept.append(one)
            for vm in one.holds:
                held[vm] = (*held.get(vm, ()), one)
    # what a finding that holds says of a thing is not said once more, milder, of what remains
    told = {(one.code, one.scope) for one in kept}
    why_fewer = fewer.said if fewer is not None else ()
    last = [
        one
        for one in findings
        if one not in kept and ((one.code, one.scope) not in told or one.level is Level.BLOCK or one in why_fewer)
    ]
    estate = outlook.estate
    vms = tuple(dict.fromkeys((*run.selection.ids, *run.selection.unknown)))
    findings = [*kept, *last]
    whole = holding_whole(findings, policy.on_unknown)
    deadline = run_deadline(replace(run, due=since), policy, interval_after(since, run.schedule))
    waiting = {vm: (*held.get(vm, ()), *whole) for vm in (vms if whole else held)}
    verdict = decide(
        vms=vms,
        names={vm: estate.vm_by_id[vm].name for vm in vms if vm in estate.vm_by_id},
        findings=findings,
        held=held,
        deadlines=vm_deadlines(
            waiting,
            due=since.storm.last if since.storm is not None else since.at,
            deadline=deadline,
            backups=outlook.good_backups if waiting else {},
            max_backup_age=policy.max_backup_age,
        ),
        deadline=deadline,
        on_unknown=policy.on_unknown,
        overlap=policy.overlap,
        zone=zone,
        fewer=fewer,
    )
    return with_accepted(verdict, policy.accepts, max(outlook.now, run.due.at), run, estate)


def _lifted(findings: Iterable[Finding], overridden: Collection[str]) -> list[Finding]:
    """The findings, with those of an overridden code told as a warning that holds nothing."""
    return [
        msgspec.structs.replace(one, level=Level.WARN, holds=())
        if one.code in overridden and one.level in (Level.BLOCK, Level.UNKNOWN)
        else one
        for one in findings
    ]


def _said(outlook: Outlook, run: ExpectedRun, policy: Effective, situation: Situation) -> list[Finding]:
    """The findings of brakes, windows and limits, at the due time, or now where that is past."""
    at = max(outlook.now, run.due.at)
    found: list[Finding] = []
    held: set[str] = set()
    for brake, vms in holding(situation.brakes, at, run, outlook.estate) if situation.brakes else ():
        found.append(on_hold(brake, vms, run))
        held.update(vms)
    outside = outside_window(policy.windows, run, at)
    if outside is not None:
        found.append(outside)
    if policy.limits:
        rest = tuple(vm for vm in run.selection.ids if vm not in held)
        found += no_slots(policy.limits, View(outlook, run, rest), situation.busy, at)
    return found


def make_plan(
    estate: Estate,
    policy: Policy,
    *,
    now: datetime,
    start: datetime,
    within: timedelta,
    only: str | None = None,
    situation: Situation = NOTHING_MORE,
) -> Plan:
    """Plan every due run of every enabled schedule in (start, start + within]. ``only``: a schedule's id or name.

    Where the policy has limits, the runs that start take their slots from later ones as long as they go on by their past,
    and of those due in the same minute the one whose VMs wait longest for a good backup comes first.

    Runs due in the day before are looked at too, for what of them still goes on, and those after it that begin while
    its last ones still may: where the plan ends must not change what it says.
    """
    until = start + within
    outlook = Outlook(estate, now, lambda: past_failures(estate.logs))
    longest = max((max(seconds) for seconds in outlook.history.seconds.values() if seconds), default=0.0)
    may_last = min(_STILL_GOING_ON, timedelta(seconds=longest))
    if policy.remedies.lower_concurrency:  # a run may last several times as long
        may_last = _STILL_GOING_ON
    agenda = make_agenda(
        estate,
        after=min(start, max(now, start - _STILL_GOING_ON)),
        until=until + may_last,
        local_zone=policy.xo.zone,
        seconds_of=lambda schedule: quantiles(outlook.history.seconds.get(schedule, ())).p50,
    )
    expected = [run for run in map(outlook.expect, agenda.dues) if run is not None]
    outlook.runs = expected
    asked = [
        run for run in outlook.runs if start < run.due.at <= until and (only is None or only in _names(estate, run))
    ]
    if policy.limits:
        runs = _with_slots(outlook, policy, situation, asked, until)
    else:
        runs = tuple(_planned(outlook, run, rules_of(policy, estate, run.schedule), situation) for run in asked)
    notes = (
        *agenda.notes,
        *_silent_pools(estate),
        *(Note(one, unknown=False) for one in (*idle_schedules(policy, estate), *idle_limits(policy, estate))),
        *_idle_accepts(policy, estate, now),
        *_storms_ahead(agenda, policy, estate, start, until),
    )
    if only is not None:
        mine = {"", *(one.id for one in estate.schedules if only in (one.id, one.name))}
        mine |= {one.schedule.id for one in agenda.firings if mine.intersection(one.members)}
        notes = tuple(note for note in notes if note.schedule in mine)
    return Plan(estate=estate, now=now, start=start, until=until, runs=runs, notes=notes)


def look_again(
    estate: Estate,
    policy: Policy,
    asked: Sequence[tuple[DueTime, frozenset[str]]],
    *,
    now: datetime,
    situation: Situation = NOTHING_MORE,
) -> tuple[tuple[tuple[str, ...], Verdict] | None, ...]:
    """What would become of due runs if they were started now: for each the VMs in question and the verdict.

    ``asked``: due times that have passed, each with the ids of the VMs that are out of it already. Deadlines count from
    the due time. Whoever starts takes a slot, the one whose VMs wait longest for a good backup first. None where the
    schedule or its job is gone.
    """
    outlook = Outlook(estate, now, lambda: past_failures(estate.logs))
    ahead = make_agenda(
        estate,
        after=now,
        until=now + _STILL_GOING_ON,
        local_zone=policy.xo.zone,
        seconds_of=lambda schedule: quantiles(outlook.history.seconds.get(schedule, ())).p50,
    )
    runs = [outlook.expect(_as_of(due, now)) for due, _ in asked]
    coming = [run for run in map(outlook.expect, ahead.dues) if run is not None]
    outlook.runs = [*coming, *(run for run in runs if run is not None)]
    told = {id(run): one for run, one in zip(runs, asked, strict=True) if run is not None}
    found: dict[int, tuple[tuple[str, ...], Verdict]] = {}
    going: list[ExpectedRun] = []
    for run in _longest_waiting_first(outlook, (run for run in runs if run is not None)):
        due, out = told[id(run)]
        rest = tuple(vm for vm in run.selection.ids if vm not in out)
        unknown = tuple(vm for vm in run.selection.unknown if vm not in out)
        left = replace(run, selection=msgspec.structs.replace(run.selection, ids=rest, unknown=unknown), done=out)
        busy = replace(situation, busy=(*situation.busy, *going))
        rules = rules_of(policy, estate, run.schedule)
        verdict = assess(outlook, left, rules, zone_or_utc(due.zone), busy, due=due)
        if verdict.action in (Action.START, Action.START_SOME):
            going.append(left)
        found[id(run)] = rest, verdict
    return tuple(None if run is None else found[id(run)] for run in runs)


def _as_of(due: DueTime, now: datetime) -> DueTime:
    """A due time that has passed, as if it were now; a storm that is over is none."""
    storm = due.storm if due.storm is not None and now <= due.storm.last else None
    return replace(due, at=now, starts=(now,), storm=storm)


def _with_slots(
    outlook: Outlook, policy: Policy, situation: Situation, asked: Sequence[ExpectedRun], until: datetime
) -> tuple[PlannedRun, ...]:
    """The runs asked for, judged beside all others up to ``until``: whoever starts takes a slot."""
    wanted = set(map(id, asked))
    planned: dict[int, PlannedRun] = {}
    going: list[ExpectedRun] = []
    due_by_then = (run for run in outlook.runs if run.due.at <= until)
    for minute, together in groupby(due_by_then, key=lambda run: run.due.at.replace(second=0, microsecond=0)):
        going = [one for one in going if goes_on(one, minute)]
        for run in _longest_waiting_first(outlook, together):
            now = replace(situation, busy=(*situation.busy, *going))
            one = _planned(outlook, run, rules_of(policy, outlook.estate, run.schedule), now)
            if one.verdict.action in (Action.START, Action.START_SOME):
                going.append(run)
            if id(run) in wanted:
                planned[id(run)] = one
    return tuple(planned[id(run)] for run in asked)


def _longest_waiting_first(outlook: Outlook, runs: Iterable[ExpectedRun]) -> list[ExpectedRun]:
    """By the last good backup of the VM that has waited longest; a VM without one comes first, a run without VMs last."""
    backups = outlook.good_backups

    def last(run: ExpectedRun) -> float:
        return min((backups.get(vm, (0,))[-1] for vm in run.selection.ids), default=float("inf"))

    return sorted(runs, key=last)


def _names(estate: Estate, run: ExpectedRun) -> tuple[str, ...]:
    """What a run may be asked for by: its schedule, or the sequence it belongs to."""
    sequence = estate.schedule_by_id.get(run.due.via)
    return (run.schedule.id, run.schedule.name, *((sequence.id, sequence.name) if sequence else ()))


def rules_of(policy: Policy, estate: Estate, schedule: Schedule) -> Effective:
    """What the policy says of one schedule of an estate."""
    job = estate.job_by_id.get(schedule.job_id or "") or estate.call_job_by_id.get(schedule.job_id or "")
    return effective(
        policy,
        schedule_id=schedule.id,
        schedule_name=schedule.name,
        job_name=job.name if job is not None else "",
        tags=named_tags(job.vms) if isinstance(job, Job) else frozenset(),
    )


def _silent_pools(estate: Estate) -> Iterator[Note]:
    """Pools of the policy that told guard nothing, or not all: what only they tell is unknown, and XO tells the rest."""
    for told in estate.pool_facts:
        if not told.answered:
            yield Note(f"What pool {told.label} tells itself is not known: {told.error}", unknown=False)
        elif told.gaps:
            yield Note(f"Pool {told.label} did not tell all that guard asked: {some_of(told.gaps, 1)}", unknown=False)


def _idle_accepts(policy: Policy, estate: Estate, now: datetime) -> Iterator[Note]:
    """[[accept]] entries that do nothing: those that ended, and those whose scope names nothing."""
    over = ended(policy.accepts, now)
    for number, entry in enumerate(policy.accepts, start=1):
        told = f"accept[{number}] of the policy ({entry.code} for {entry.scope})"
        if entry in over:
            yield Note(f"{told} ended on {entry.until} and does nothing any more.", unknown=False)
        elif names_nothing(entry.scope, estate):
            yield Note(f"{told}: XO shows no {entry.scope.partition(':')[0]} of that name or id.", unknown=False)


def _storms_ahead(agenda: Agenda, policy: Policy, estate: Estate, start: datetime, until: datetime) -> Iterator[Note]:
    """Start storms of schedules that are not due in the plan; those that are due carry them as findings."""
    for firing in agenda.firings:
        options = rules_of(policy, estate, firing.schedule).checks["clock_change"]
        if any(start < due.at <= until for due in firing.dues) or options.effect is Effect.OFF:
            continue
        ahead = start + timedelta(days=cast(ClockChangeOptions, options).look_ahead_days)
        storm = next_storm(firing.schedule.cron, firing.zone, start, ahead)
        if storm is not None:
            told = storm_sentence(firing.schedule.cron, firing.zone, storm, start)
            yield Note(f"Schedule {firing.schedule.name}: {told}", unknown=False, schedule=firing.schedule.id)


def _planned(outlook: Outlook, run: ExpectedRun, rules: Effective, situation: Situation) -> PlannedRun:
    zone = zone_or_utc(run.due.zone)
    verdict = assess(outlook, run, rules, zone, situation)
    repositories = repository_ids(run.job)
    if run.settings.distribute_backups:
        repositories = repositories[:1]  # each VM goes to one of them, and the past is the same under any
    targets = (*repositories, *target_sr_ids(run.job))
    known = [outlook.bytes_of(run, vm, target) for vm in run.selection.ids for target in targets]
    told = bool(known) and all(one.expected is not None for one in known)
    return PlannedRun(
        run=run,
        verdict=verdict,
        zone=zone,
        bytes_p50=sum(one.expected or 0 for one in known) if told else None,
        bytes_p90=sum(one.high or 0 for one in known) if told else None,
        bytes_samples=min((one.samples for one in known), default=0),
    )
