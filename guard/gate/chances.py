"""What stands for and against a follow-up of one due run, by the policy and by what XO shows. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.agenda import Agenda, Firing
from guard.estate.estate import Estate
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.follow_up import Chances, went_wrong
from guard.lifecycle.resolution import is_started, resolve
from guard.lifecycle.turn import DueSequence
from guard.mechanics.cron import CronError
from guard.mechanics.due import due_times
from guard.policy.remedies_schema import RemediesSection

FAR = timedelta(hours=24)
"""A next start beyond this is nobody's concern: no follow-up is waited for so long."""


def is_question(run: DueRun) -> bool:
    """Whether there may be anything to follow up at all; where all went well nothing more is worked out."""
    return run.follow_up is not None or went_wrong(run)


def chances_of(
    run: DueRun,
    setup: Estate,
    agenda: Agenda,
    remedies: RemediesSection,
    sequence: DueSequence | None,
    usual_s: float | None,
    now: datetime,
    *,
    enforced: bool,
    aside: str,
) -> Chances:
    """``setup``: XO's jobs and schedules; ``agenda``: what they fire. ``enforced``: the policy has guard act on it;
    ``aside``: why guard starts nothing of it all the same, ''.
    """
    job = setup.job_by_id.get(run.seen.job)
    why = ""
    if not enforced or not remedies.follow_up:
        why = "the policy does not ask for it"
    elif job is None:
        why = "the job is gone"
    elif job.type != "backup":
        why = "the job backs up no VMs"
    return Chances(
        why_not=why,
        transfers=remedies.follow_up_transfers,
        proxied=job is not None and bool(job.proxy),
        waits_for="the sequence goes on" if sequence is not None and _goes_on(sequence, run, now) else "",
        aside=aside,
        next_start=_next_start(run.seen.job, setup, agenda, now),
        usual_s=usual_s,
    )


def _goes_on(sequence: DueSequence, run: DueRun, now: datetime) -> bool:
    """Whether XO or guard may still come to another member, or is at one."""
    return sequence.goes_on or any(one.key != run.key and not _is_over(one, now) for one in sequence.members)


def _is_over(run: DueRun, now: datetime) -> bool:
    """Whether nothing of it is left but, at most, a follow-up."""
    if run.ended is not None:
        return True
    if run.running or run.open_intent is not None:
        return False
    return run.follow_up is not None or (is_started(run) and resolve(run, now).is_over)


def _next_start(job: str, setup: Estate, agenda: Agenda, now: datetime) -> datetime | None:
    """When XO's timers start a job next, by any schedule of its and through sequences."""
    starts = (_next_of(firing, now) for firing in agenda.firings if _starts(firing, job, setup))
    return min((at for at in starts if at is not None), default=None)


def _starts(firing: Firing, job: str, setup: Estate) -> bool:
    ids = firing.members or (firing.schedule.id,)
    return any(setup.schedule_by_id[one].job_id == job for one in ids if one in setup.schedule_by_id)


def _next_of(firing: Firing, now: datetime) -> datetime | None:
    try:
        found = due_times(firing.schedule, zone=firing.zone, after=now, until=now + FAR)
    except CronError:
        return None
    return found[0].at if found else None
