"""Which of XO's runs belongs to which due time, and what its log tells. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from guard.agenda import Firing
from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog, LogTask, moment
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import BY_HAND
from guard.lifecycle.loop import Progress
from guard.lifecycle.next_step import EARLY, SETTLED, LogSeen
from guard.mechanics.cron import xo_next
from guard.mechanics.due import due_times
from guard.mechanics.fallback import whole_minute
from guard.outcomes.outcome import named_vms, outcome

LONGEST_SEQUENCE = timedelta(hours=24)


def belongs(run: DueRun, log: BackupLog, open_runs: Sequence[DueRun]) -> bool:
    """Whether a run of XO's is the one of this due time: begun when its schedule fires, or while its sequence goes on."""
    at, key = log.began, run.key
    if log.schedule_id != key.schedule or at is None:
        return False
    if log.id in {one.started.run for one in run.attempts}:
        return True
    if any(log.id == one.started.run for other in open_runs if other.is_asked_by_hand for one in other.attempts):
        return False
    if key.via == BY_HAND:
        return _is_asked_for(run, log, at, open_runs) if run.is_asked_by_hand else at == key.due
    if any(_is_asked_for(other, log, at, open_runs) for other in open_runs if other.is_asked_by_hand):
        return False
    intent = run.open_intent
    if intent is not None and log.id not in intent.starting.known and at >= intent.starting.at - SETTLED:
        return True
    if not key.via:
        starts = (*run.seen.starts, *run.standbys)
        mine = [start for start in starts if start - EARLY <= at <= start + SETTLED]
        siblings = [
            one for one in open_runs if (one.key.schedule, one.key.via) == (key.schedule, "") and one.key != key
        ]
        nearer = [start for one in siblings for start in one.seen.starts if mine and mine[-1] < start <= at + EARLY]
        return bool(mine) and not nearer
    later = [other.key.due for other in open_runs if other.key.via == key.via and other.key.due > key.due]
    return key.due - EARLY <= at < min([*later, key.due + LONGEST_SEQUENCE]) - EARLY


def _is_asked_for(run: DueRun, log: BackupLog, at: datetime, open_runs: Sequence[DueRun]) -> bool:
    """Whether an open start by hand began this run: not one that begins at a due time of the schedule."""
    intent = run.open_intent
    if intent is None or log.id in intent.starting.known or at < intent.starting.at - SETTLED:
        return False
    starts = (start for one in open_runs if one.key.via != BY_HAND for start in one.seen.starts)
    return not (any(abs(at - start) <= EARLY for start in starts) or _is_due(run, at))


def _is_due(run: DueRun, at: datetime) -> bool:
    """Whether XO's timer starts the schedule of a story by hand then; the story of that due time may have ended."""
    minute = whole_minute(at - EARLY)
    if abs(at - minute) > EARLY:
        return False
    try:
        return xo_next(run.seen.cron, run.seen.zone, minute - timedelta(minutes=1)) == minute
    except ValueError:  # an expression that XO chokes on, or a zone that nobody can tell
        return False


def with_siblings(runs: Iterable[DueRun]) -> Iterator[tuple[DueRun, Sequence[DueRun]]]:
    """Each run with all of its schedule: no other can claim its logs."""
    by_schedule: dict[str, list[DueRun]] = {}
    ordered = tuple(runs)
    for run in ordered:
        by_schedule.setdefault(run.key.schedule, []).append(run)
    for run in ordered:
        yield run, by_schedule[run.key.schedule]


def explains(firing: Firing, at: datetime) -> bool:
    """Whether a firing schedule accounts for a run that began then."""
    reach = LONGEST_SEQUENCE if firing.members else SETTLED
    dues = due_times(firing.schedule, zone=firing.zone, after=at - reach, until=at + EARLY)
    near = due_times(firing.schedule, zone=firing.zone, after=at - timedelta(hours=3), until=at + EARLY)
    starts = [start for due in (*dues, *near) for start in due.starts]
    return any(start - EARLY <= at <= start + reach for start in starts)


def fires(run: DueRun, estate: Estate) -> bool:
    if run.key.via == BY_HAND:
        return True
    schedule = estate.schedule_by_id.get(run.key.via or run.key.schedule)
    return schedule is not None and schedule.enabled and schedule.cron == run.seen.cron


def sequence_runs(run: DueRun, estate: Estate) -> bool:
    sequence = estate.schedule_by_id.get(run.key.via)
    call = estate.call_job_by_id.get((sequence.job_id or "") if sequence is not None else "")
    return call is not None and bool(call.run_id)


def log_seen(log: BackupLog) -> LogSeen:
    when = log.began or datetime.fromtimestamp(0, UTC)
    moved = list(_moved(log.tasks or ()))
    return LogSeen(
        run=log.id,
        began=when,
        outcome=None if log.status == "pending" else outcome(log),
        progress_at=max(moved, default=None),
        vms=named_vms(log),
    )


def _moved(tasks: Iterable[LogTask]) -> Iterator[datetime]:
    """When each task of a tree began and ended; times of nonsense are left out."""
    for task in tasks:
        yield from (at for at in (moment(task.start), moment(task.end)) if at is not None)
        yield from _moved(task.tasks)


def progress(log: BackupLog) -> Progress:
    so_far = outcome(log)
    return Progress(
        schedule=so_far.schedule,
        job_name=so_far.job.name,
        run=log.id,
        began=log.began or datetime.fromtimestamp(0, UTC),
        vms=len(so_far.vms) + len(so_far.unattempted),
        vms_done=sum(1 for one in so_far.vms if one.times.end_ms is not None),
        sent_bytes=so_far.sent_bytes,
    )
