"""Why guard must not claim a schedule although the policy says enforce: then XO starts it, and guard watches. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from guard.agenda import Agenda
from guard.estate.estate import Estate
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.in_force import SHORTEST_INTERVAL, TOO_OFTEN
from guard.mechanics.cron import CronError
from guard.mechanics.due import due_times, sequence_members
from guard.mechanics.fallback import Placed
from guard.units import format_duration

MOST_SKEW = timedelta(seconds=10)
LEFT_OVER = timedelta(hours=24)  # fallbacks of another guard this old are what a dead one left behind
CLAIMED_JOBS = frozenset({"backup", "mirrorBackup"})
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Standing:
    """What holds for all schedules of one look. ``untrusted``: why guard acts on nothing at all, '' when it may.

    ``ahead``: how far guard's clock is
    ahead of XO's. ``confirmed``: schedule id -> the cron and zone whose predicted time a real start agreed with.
    """

    untrusted: str
    ahead: timedelta
    confirmed: Mapping[str, str]

    @property
    def apart(self) -> str:
        """That guard must not act by its own clock; '' when it agrees with XO's."""
        if abs(self.ahead) <= MOST_SKEW:
            return ""
        return f"the clocks of guard and XO differ by {format_duration(abs(self.ahead).total_seconds())}"


def why_aside(run: DueRun, standing: Standing, estate: Estate, agenda: Agenda, now: datetime) -> str:
    """One sentence without its full stop; '' when guard may claim."""
    return why_untrusted(run, standing, estate, agenda) or _archived(
        estate, agenda, now, run.key.due + timedelta(minutes=1)
    )


def why_untrusted(run: DueRun, standing: Standing, estate: Estate, agenda: Agenda) -> str:
    """Why guard starts nothing of this schedule by its own hand, whether it claims it or not; '' when it may."""
    told = standing.untrusted or why_never(run, estate, agenda) or standing.apart
    if told:
        return told
    if standing.confirmed.get(run.key.via or run.key.schedule) != firing_of(run):
        return "no real start has confirmed yet when XO fires it"
    return ""


def why_never(run: DueRun, estate: Estate, agenda: Agenda) -> str:
    """What guard never acts on, however good its verdict and XO's state; '' for all else."""
    if run.is_sequence or run.key.via:
        if told := _not_all_claimed(run, estate):
            return told
    elif not _is_claimed(run.seen.job, estate):
        return "metadata jobs are only watched"
    return TOO_OFTEN if interval(run, agenda) < SHORTEST_INTERVAL else ""


def _is_claimed(job_id: str, estate: Estate) -> bool:
    job = estate.job_by_id.get(job_id)
    return job is not None and job.type in CLAIMED_JOBS


def _not_all_claimed(run: DueRun, estate: Estate) -> str:
    """Why a sequence is left to XO, by its members; '' where guard can run each of them."""
    sequence = estate.schedule_by_id.get(run.key.via or run.key.schedule)
    call = estate.call_job_by_id.get((sequence.job_id or "") if sequence is not None else "")
    members = sequence_members(call) if call is not None else ()
    if not members:
        return "its sequence is gone"
    if len(set(members)) < len(members):
        return "its sequence runs a schedule twice"
    for one in members:
        schedule = estate.schedule_by_id.get(one)
        if schedule is None:
            return f"its sequence stops at {one}, which is gone"
        if not _is_claimed(schedule.job_id or "", estate):
            return f"its sequence runs {schedule.name}, and guard runs backup and mirror jobs only"
    return ""


def firing_of(run: DueRun) -> str:
    """What decides when a schedule fires, as one word to compare."""
    return f"{run.seen.cron}|{run.seen.zone}"


def interval(run: DueRun, agenda: Agenda) -> timedelta:
    """The shortest time between this due time and its neighbours; a day where they are further."""
    fired_by = run.key.via or run.key.schedule
    firing = next((one for one in agenda.firings if one.schedule.id == fired_by), None)
    if firing is None:
        return _A_DAY
    due = run.key.due
    near = due_times(firing.schedule, zone=firing.zone, after=due - _A_DAY, until=due + _A_DAY)
    return min((abs(one.at - due) for one in near if one.at != due), default=_A_DAY)


def _archived(estate: Estate, agenda: Agenda, now: datetime, until: datetime) -> str:
    """XO's configuration backup archives schedules as stored: a claim must not be in it."""
    archiving = {job.id: job for job in estate.jobs if job.xo_metadata is True}
    if any(job.run_id for job in archiving.values()):
        return "XO's own configuration is being backed up"
    for firing in agenda.firings:
        ids = [firing.schedule.id, *firing.members]
        jobs = {(estate.schedule_by_id[one].job_id or "") for one in ids if one in estate.schedule_by_id}
        if not jobs.isdisjoint(archiving):
            try:
                if due_times(firing.schedule, zone=firing.zone, after=now - timedelta(minutes=1), until=until):
                    return "XO's own configuration is backed up in these minutes"
            except CronError:
                continue
    return ""


def other_guard(placed: Iterable[Placed], instance: str, now: datetime) -> str:
    """The id of another guard that acts on this XO and goes before this one; '' for none."""
    others = {
        one.fallback.instance
        for one in placed
        if one.fallback.instance != instance and now - one.fallback.due < LEFT_OVER
    }
    return min(others) if others and min(others) < instance else ""
