"""The one function that plan and gate both call: due run -> checks -> decision, to the fixpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import cast

from guard.agenda import Agenda, Note, make_agenda
from guard.checks import ALL
from guard.checks.check import Effect, Options
from guard.checks.clock_change import storm_sentence
from guard.checks.options import ClockChangeOptions
from guard.checks.run import run_checks
from guard.checks.view import View
from guard.decision.decide import decide, new_holds
from guard.decision.verdict import Action, Verdict
from guard.estate.estate import Estate
from guard.estate.xo_records import Job, Schedule
from guard.finding import Finding, Level
from guard.mechanics.due import next_storm
from guard.mechanics.history import quantiles
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids, target_sr_ids
from guard.mechanics.selection import named_tags
from guard.mechanics.zones import zone_or_utc
from guard.policy.resolve import Effective, effective
from guard.policy.schema import Policy

_STILL_GOING_ON = timedelta(days=1)


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


def assess(outlook: Outlook, run: ExpectedRun, policy: Effective, zone: tzinfo) -> Verdict:
    """Hold, re-check the rest, repeat. The held set only grows, so it ends.

    Findings that held something are kept; all others are those of the last round, over the VMs that remain.
    """
    options: Mapping[str, Options] = policy.checks
    held: dict[str, tuple[Finding, ...]] = {}
    kept: list[Finding] = []
    while True:
        rest = tuple(vm for vm in run.selection.ids if vm not in held)
        findings = run_checks(ALL, View(outlook, run, rest), options)
        holding = new_holds(findings, held, policy.on_unknown)
        if not holding:
            break
        for one in holding:
            kept.append(one)
            for vm in one.holds:
                held[vm] = (*held.get(vm, ()), one)
    # what a finding that holds says of a thing is not said once more, milder, of what remains
    told = {(one.code, one.scope) for one in kept}
    last = [
        one for one in findings if one not in kept and ((one.code, one.scope) not in told or one.level is Level.BLOCK)
    ]
    estate = outlook.estate
    vms = tuple(dict.fromkeys((*run.selection.ids, *run.selection.unknown)))
    return decide(
        vms=vms,
        names={vm: estate.vm_by_id[vm].name for vm in vms if vm in estate.vm_by_id},
        findings=[*kept, *last],
        held=held,
        due=run.due.at,
        max_defer=policy.max_defer,
        on_unknown=policy.on_unknown,
        overlap=policy.overlap,
        zone=zone,
    )


def make_plan(
    estate: Estate,
    policy: Policy,
    *,
    now: datetime,
    start: datetime,
    within: timedelta,
    only: str | None = None,
) -> Plan:
    """Plan every due run of every enabled schedule in (start, start + within]. ``only``: a schedule's id or name.

    Runs due in the day before are looked at too, for what of them still goes on, and those after it that begin while
    its last ones still may: where the plan ends must not change what it says.
    """
    until = start + within
    outlook = Outlook(estate, now)
    longest = max((max(seconds) for seconds in outlook.history.seconds.values() if seconds), default=0.0)
    agenda = make_agenda(
        estate,
        after=min(start, max(now, start - _STILL_GOING_ON)),
        until=until + min(_STILL_GOING_ON, timedelta(seconds=longest)),
        local_zone=policy.xo.zone,
        seconds_of=lambda schedule: quantiles(outlook.history.seconds.get(schedule, ())).p50,
    )
    expected = [run for run in map(outlook.expect, agenda.dues) if run is not None]
    outlook.runs = expected
    runs = tuple(
        _planned(outlook, run, _rules(policy, estate, run.schedule))
        for run in outlook.runs
        if start < run.due.at <= until and (only is None or only in _names(estate, run))
    )
    notes = (*agenda.notes, *_storms_ahead(agenda, policy, estate, start, until))
    if only is not None:
        mine = {"", *(one.id for one in estate.schedules if only in (one.id, one.name))}
        mine |= {one.schedule.id for one in agenda.firings if mine.intersection(one.members)}
        notes = tuple(note for note in notes if note.schedule in mine)
    return Plan(estate=estate, now=now, start=start, until=until, runs=runs, notes=notes)


def _names(estate: Estate, run: ExpectedRun) -> tuple[str, ...]:
    """What a run may be asked for by: its schedule, or the sequence it belongs to."""
    sequence = estate.schedule_by_id.get(run.due.via)
    return (run.schedule.id, run.schedule.name, *((sequence.id, sequence.name) if sequence else ()))


def _rules(policy: Policy, estate: Estate, schedule: Schedule) -> Effective:
    job = estate.job_by_id.get(schedule.job_id or "") or estate.call_job_by_id.get(schedule.job_id or "")
    return effective(
        policy,
        schedule_id=schedule.id,
        schedule_name=schedule.name,
        job_name=job.name if job is not None else "",
        tags=named_tags(job.vms) if isinstance(job, Job) else frozenset(),
    )


def _storms_ahead(agenda: Agenda, policy: Policy, estate: Estate, start: datetime, until: datetime) -> Iterator[Note]:
    """Start storms of schedules that are not due in the plan; those that are due carry them as findings."""
    for firing in agenda.firings:
        options = _rules(policy, estate, firing.schedule).checks["clock_change"]
        if any(start < due.at <= until for due in firing.dues) or options.effect is Effect.OFF:
            continue
        ahead = start + timedelta(days=cast(ClockChangeOptions, options).look_ahead_days)
        storm = next_storm(firing.schedule.cron, firing.zone, start, ahead)
        if storm is not None:
            told = storm_sentence(firing.schedule.cron, firing.zone, storm, start)
            yield Note(f"Schedule {firing.schedule.name}: {told}", unknown=False, schedule=firing.schedule.id)


def _planned(outlook: Outlook, run: ExpectedRun, rules: Effective) -> PlannedRun:
    zone = zone_or_utc(run.due.zone)
    verdict = assess(outlook, run, rules, zone)
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
