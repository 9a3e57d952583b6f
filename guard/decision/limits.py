"""The policy's limits: how many jobs may work on one thing at once, and whether a run finds a slot.

A run takes a slot on each of its target backup repositories, on each SR that holds disks of its VMs or gets replicas, on
each pool of its VMs, and in XO. XO runs a job once at a time, so slots are counted in jobs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Job
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids, target_sr_ids
from guard.mechanics.zones import zone_or_utc
from guard.policy.codes import NO_SLOT
from guard.policy.schema import LimitRule
from guard.units import format_time, plural, some_of

_SOON = timedelta(hours=1)
"""A run whose end cannot be told takes its slot from what starts this soon."""


def no_slots(limits: Sequence[LimitRule], view: View, busy: Sequence[ExpectedRun], at: datetime) -> list[Finding]:
    """One finding for each thing on which a run would find no slot at an instant. ``view.vms``: those in question.

    Slots are taken by the jobs that run now, as far as they still go on then, and by the runs of ``busy``.
    """
    if not limits:
        return []
    takers = [*_running(view, at), *_started(view.run, busy, at)]
    found = []
    for limit in limits:
        for thing, name in _things(limit, view.outlook, view.run.job, view.vms).items():
            there = {
                job.id: (job, ends) for job, vms, ends in takers if thing in _things(limit, view.outlook, job, vms)
            }
            if len(there) >= limit.slots:
                found.append(_finding(limit, view, thing, name, list(there.values())))
    return found


def goes_on(run: ExpectedRun, at: datetime) -> bool:
    """Whether a run that was started at its due time still goes on, by the P90 of its past; without one, for an hour."""
    begun = run.due.at
    return at < begun + timedelta(minutes=1) or at < (run.ends if run.ends is not None else begun + _SOON)


def _running(view: View, at: datetime) -> Iterator[tuple[Job, tuple[str, ...], datetime | None]]:
    """(job, its VMs, expected end) of the jobs that run now and still will; an end that cannot be told is soon enough."""
    outlook, run = view.outlook, view.run
    for job_id, now in outlook.running.items():
        job = outlook.estate.job_by_id[job_id]
        goes = at < now.ends if now.ends is not None else at - outlook.now <= _SOON
        if job_id != run.job.id and goes and not view.outlook.came_before(run, now.schedule, now.since):
            yield job, outlook.selection_of(job).ids, now.ends


def _started(
    run: ExpectedRun, busy: Sequence[ExpectedRun], at: datetime
) -> Iterator[tuple[Job, tuple[str, ...], datetime | None]]:
    turn = (run.due.via, run.due.sequence_at)
    for one in busy:
        same_turn = bool(run.due.via) and (one.due.via, one.due.sequence_at) == turn
        if one.job.id != run.job.id and not same_turn and goes_on(one, at):
            yield one.job, one.selection.ids, one.ends


def _things(limit: LimitRule, outlook: Outlook, job: Job, vms: Sequence[str]) -> Mapping[str, str]:
    """Id -> name of each thing of a limit that a job with these VMs works on."""
    estate = outlook.estate
    named: dict[str, str] = {}
    match limit.per:
        case "repository":
            known = estate.repository_by_id
            named = {one: known[one].name if one in known else one for one in repository_ids(job)}
        case "sr":
            disks = {disk.sr for vm in vms for _, disk in outlook.drives(vm) if disk is not None and disk.sr}
            srs = estate.sr_by_id
            named = {one: srs[one].name_label if one in srs else one for one in sorted({*disks, *target_sr_ids(job)})}
        case "pool":
            found = (estate.vm_by_id[vm].pool for vm in vms if vm in estate.vm_by_id)
            pools = estate.pool_by_id
            named = {
                one: pools[one].name_label if one in pools else one for one in sorted({one for one in found if one})
            }
        case _:
            return {"xo": "XO"}
    return {one: name for one, name in named.items() if fnmatchcase(name, limit.name)}


def _finding(
    limit: LimitRule, view: View, thing: str, name: str, takers: Sequence[tuple[Job, datetime | None]]
) -> Finding:
    """``takers``: the jobs at work there, each with its expected end."""
    ends = sorted(end for _, end in takers if end is not None)
    needed = len(takers) - limit.slots + 1  # so many must end before there is a slot
    eta = ends[needed - 1] if len(ends) >= needed else None
    names = [job.name for job, _ in takers]
    shown = some_of(names)
    where = "XO" if limit.per == "xo" else f"{limit.per} {name}"
    until = f"; one is free about {format_time(eta, zone_or_utc(view.run.due.zone))}" if eta is not None else ""
    return Finding(
        code=NO_SLOT.id,
        check="policy",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind(limit.per), thing, name),
        summary=f"Limit of {plural(limit.slots, 'job')} at once on {where}: {len(takers)} at work ({shown}){until}.",
        facts=(
            policy_fact("slots", limit.slots, "jobs"),
            view.fact("taken", len(takers), "jobs", PartName.JOBS),
        ),
        remedy="Wait for one of them to end, raise the limit in guard's policy, or move the schedules apart.",
        clears=Clears(ClearedBy.TIME, eta),
    )
