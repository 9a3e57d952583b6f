"""The one function that plan and gate both call: due run -> checks -> decision, to the fixpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo

from guard.checks import ALL
from guard.checks.check import Options
from guard.checks.run import run_checks
from guard.checks.view import View
from guard.decision.decide import decide, new_holds
from guard.decision.verdict import Verdict
from guard.estate.estate import Estate
from guard.estate.xo_records import Schedule
from guard.finding import Finding
from guard.mechanics.cron import CronError
from guard.mechanics.due import DueTime, due_times, sequence_members
from guard.mechanics.history import quantiles
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids, target_sr_ids
from guard.mechanics.selection import named_tags
from guard.mechanics.zones import resolve
from guard.policy.resolve import Effective, effective
from guard.policy.schema import Policy


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
    """Every due run in (start, until], and what kept a schedule from being planned at all."""

    estate: Estate
    now: datetime
    start: datetime
    until: datetime
    runs: tuple[PlannedRun, ...]
    warnings: tuple[str, ...]


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
        whole = any(not one.holds for one in holding)
        if not holding or whole:
            break
        for one in holding:
            kept.append(one)
            for vm in one.holds:
                held[vm] = (*held.get(vm, ()), one)
    last = [one for one in findings if one not in kept]
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
    """Plan every due run of every enabled schedule. ``only``: a schedule's id or name."""
    until = start + within
    outlook = Outlook(estate, now)
    warnings: list[str] = []
    dues = _all_due_times(outlook, policy, start, until, warnings)
    expected = [run for run in map(outlook.expect, dues) if run is not None]
    outlook.runs = tuple(sorted(expected, key=lambda run: (run.due.at, run.schedule.name, run.schedule.id)))
    rules = {run.schedule.id: _rules(policy, run) for run in outlook.runs}
    runs = tuple(
        _planned(outlook, run, rules[run.schedule.id], policy)
        for run in outlook.runs
        if only is None or only in (run.schedule.id, run.schedule.name)
    )
    return Plan(estate=estate, now=now, start=start, until=until, runs=runs, warnings=tuple(warnings))


def _rules(policy: Policy, run: ExpectedRun) -> Effective:
    return effective(
        policy,
        schedule_id=run.schedule.id,
        schedule_name=run.schedule.name,
        job_name=run.job.name,
        tags=named_tags(run.job.vms),
    )


def _all_due_times(
    outlook: Outlook, policy: Policy, start: datetime, until: datetime, warnings: list[str]
) -> list[DueTime]:
    estate = outlook.estate
    dues: list[DueTime] = []
    for schedule in estate.schedules:
        if not schedule.enabled:
            continue
        call = estate.call_job_by_id.get(schedule.job_id or "")
        members = sequence_members(call) if call is not None else ()
        if call is not None and not members:
            continue
        own = _own_due_times(schedule, policy, start, until, warnings)
        if call is None:
            if own and (schedule.job_id or "") not in estate.job_by_id:
                warnings.append(
                    f"Schedule {schedule.name}: its job {schedule.job_id or '(none)'} is not in XO's lists."
                )
            dues += own
        else:
            dues += [member for due in own for member in _through(outlook, due, members)]
    return dues


def _own_due_times(
    schedule: Schedule, policy: Policy, start: datetime, until: datetime, warnings: list[str]
) -> tuple[DueTime, ...]:
    zone = schedule.zone
    if zone == "local":
        if policy.xo.zone is None:
            warnings.append(
                f"Schedule {schedule.name}: its zone is XO's own (local), which no API shows; set [xo] zone in the policy."
            )
            return ()
        zone = policy.xo.zone
    elif resolve(zone) is None:
        warnings.append(f"Schedule {schedule.name}: XO does not know the zone {zone!r} and uses UTC.")
    try:
        return due_times(schedule, zone=zone, after=start, until=until)
    except CronError as error:
        warnings.append(f"Schedule {schedule.name}: XO itself would choke on its cron {schedule.cron!r}: {error}.")
        return ()


def _through(outlook: Outlook, due: DueTime, members: tuple[str, ...]) -> list[DueTime]:
    """The members of a sequence, one after another by their median durations (0 where none is known)."""
    at, found = due.at, []
    for member in members:
        schedule = outlook.estate.schedule_by_id.get(member)
        if schedule is None:
            continue
        found.append(
            replace(due, schedule_id=member, job_id=schedule.job_id or "", at=at, starts=(at,), via=due.schedule_id)
        )
        at += timedelta(seconds=quantiles(outlook.history.seconds.get(member, ())).p50 or 0)
    return found


def _planned(outlook: Outlook, run: ExpectedRun, rules: Effective, policy: Policy) -> PlannedRun:
    name = (policy.xo.zone or "utc") if run.schedule.zone == "local" else run.schedule.zone
    zone = resolve(name) or UTC
    verdict = assess(outlook, run, rules, zone)
    targets = (*repository_ids(run.job), *target_sr_ids(run.job))
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
