"""Runs whose due time has come and that wait, and what a person's word means for a run that a remedy may help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from guard.decision.brakes import Brake, bypassed
from guard.estate.estate import Estate
from guard.estate.xo_records import Schedule
from guard.finding import Level
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.remedy import ForRun
from guard.lifecycle.resolution import resolve
from guard.policy.codes import ON_HOLD
from guard.remedies.choose import HELPED
from guard.remedies.scene import Need


def waits(run: DueRun, now: datetime) -> bool:
    """Whether its due time has come and VMs of it, or all of it, are held for now."""
    acts = run.decided is not None and run.decided.acts and run.ended is None and run.key.due <= now
    return acts and resolve(run, now).waits_until is not None


def may_be_helped(run: DueRun, now: datetime) -> bool:
    """Whether it waits for what a remedy may clear."""
    findings = run.decided.verdict.findings if run.decided is not None else ()
    return any(one.code in HELPED and one.level in (Level.BLOCK, Level.WARN) for one in findings) and waits(run, now)


def waiting(runs: Sequence[DueRun], estate: Estate, now: datetime) -> list[Need]:
    found = []
    for run in runs:
        job = estate.job_by_id.get(run.seen.job)
        if run.decided is not None and job is not None and waits(run, now):
            found.append(
                Need(
                    run=ForRun(schedule=run.key.schedule, name=run.seen.schedule_name, due=run.key.due),
                    job=job,
                    vms=tuple(one.vm for one in resolve(run, now).wait) or run.decided.vms,
                    findings=run.decided.verdict.findings,
                    enforced=True,
                    waits=True,
                    via=run.key.via,
                )
            )
    return found


def without_holds(need: Need) -> Need | None:
    """A run without what stands against VMs that a person has put on hold; None where the whole run is."""
    holds = [one for one in need.findings if one.code == ON_HOLD.id]
    if any(not one.holds for one in holds):
        return None
    held = {vm for one in holds for vm in one.holds}
    return replace(
        need, findings=tuple(one for one in need.findings if not one.holds or not held.issuperset(one.holds))
    )


def is_free(need: Need, estate: Estate, brakes: Sequence[Brake], now: datetime) -> bool:
    """Whether no person said that guard shall stand aside there."""
    fired_by = (estate.schedule_by_id.get(one) for one in (need.run.schedule, need.via))
    return not any(
        bypassed(brakes, now, schedule=one, job_name=_job_name(estate, one)) is not None
        for one in fired_by
        if one is not None
    )


def _job_name(estate: Estate, schedule: Schedule) -> str:
    job = estate.job_by_id.get(schedule.job_id or "") or estate.call_job_by_id.get(schedule.job_id or "")
    return job.name if job is not None else ""
