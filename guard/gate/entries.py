"""Which stories begin at a look: due times that come, and runs that no due time explains. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guard.agenda import Agenda, Firing, make_agenda
from guard.estate.estate import Estate
from guard.estate.xo_records import BackupLog, Schedule
from guard.gate.match import explains
from guard.lifecycle.events import BY_HAND, RunKey, Seen
from guard.lifecycle.next_step import EARLY
from guard.mechanics.due import due_times

Entry = tuple[RunKey, Seen]
NEARBY = (timedelta(hours=1), timedelta(days=2))


def come_due(
    estate: Estate,
    *,
    marks: Mapping[str, datetime],
    before: Mapping[str, Schedule],
    now: datetime,
    until: datetime,
    local_zone: str | None,
    seconds_of: Callable[[str], float | None],
) -> Agenda:
    """What each schedule brings from its mark to ``until``; nothing from before guard first saw it.

    ``before``: the schedules at the last look. When one was changed since cannot be told, so nothing it would have
    brought meanwhile is claimed.
    """
    start = {one.id: marks.get(one.id, now) for one in estate.schedules if one.enabled}
    for one in estate.schedules:
        if one.id in start and one.id in before and _fires_otherwise(one, before[one.id]):
            start[one.id] = now  # not the mark: by the old expression it may lie ahead
    agenda = make_agenda(
        estate,
        after=min([*start.values(), now]),
        until=until,
        local_zone=local_zone,
        seconds_of=seconds_of,
    )
    firings = tuple(
        replace(firing, dues=tuple(due for due in firing.dues if due.at > start[firing.schedule.id]))
        for firing in agenda.firings
    )
    return replace(agenda, firings=firings)


def _fires_otherwise(now: Schedule, before: Schedule) -> bool:
    return (now.enabled, now.cron, now.zone) != (before.enabled, before.cron, before.zone)


def marks_after(estate: Estate, agenda: Agenda, now: datetime, until: datetime) -> dict[str, datetime]:
    """Up to when each schedule's due times are entered once those of ``agenda`` are.

    One that is off, or of which nobody can tell when it fires, has none up to now, whatever becomes known of it later.
    """
    return {one.id: now for one in estate.schedules} | {firing.schedule.id: until for firing in agenda.firings}


def due_entries(
    estate: Estate,
    agenda: Agenda,
    now: datetime,
    seconds_of: Callable[[str], float | None],
    enforced: Callable[[Schedule], bool],
) -> Iterable[Entry]:
    """The story of every due time, of a sequence one per member; a member that is no backup leaves no log to watch.

    A sequence that is ``enforced`` moreover has one of its own, which comes first.
    """
    for firing in agenda.firings:
        members = tuple(one for one in firing.members if _leaves_logs(one, estate))
        for due in firing.dues:
            if members and enforced(firing.schedule):
                key = RunKey(firing.schedule.id, due.at)
                yield key, _seen(estate, firing, firing.schedule.id, due.starts, due.at, now, members=members)
            later = timedelta()
            for member in firing.members or (firing.schedule.id,):
                via = firing.schedule.id if firing.members else ""
                starts = tuple(start + later for start in due.starts)
                later += timedelta(seconds=seconds_of(member) or 0)
                if _leaves_logs(member, estate):
                    yield RunKey(member, due.at, via), _seen(estate, firing, member, starts, due.at, now)


def _leaves_logs(schedule_id: str, estate: Estate) -> bool:
    schedule = estate.schedule_by_id.get(schedule_id)
    return schedule is None or (schedule.job_id or "") not in estate.call_job_by_id


def _seen(
    estate: Estate,
    firing: Firing,
    schedule_id: str,
    starts: tuple[datetime, ...],
    due: datetime,
    now: datetime,
    members: tuple[str, ...] = (),
) -> Seen:
    schedule = estate.schedule_by_id.get(schedule_id)
    job_id = (schedule.job_id or "") if schedule is not None else ""
    job = estate.job_by_id.get(job_id) or estate.call_job_by_id.get(job_id)
    return Seen(
        at=now,
        job=job.id if job is not None else "",
        job_name=job.name if job is not None else "(no job)",
        schedule_name=schedule.name if schedule is not None else schedule_id,
        cron=firing.schedule.cron,
        zone=firing.zone,
        expected_at=starts[0],
        starts=starts,
        late=now > due + EARLY,
        members=members,
    )


@dataclass(frozen=True)
class Unplaced:
    """A run that is in no story yet. ``explained``: a due time accounts for it, whether that was entered or not."""

    key: RunKey
    seen: Seen
    log: BackupLog
    explained: bool


def by_hand_entries(
    estate: Estate, agenda: Agenda, logs: Iterable[BackupLog], known: Collection[str], now: datetime
) -> Iterable[Unplaced]:
    """Every run but the ``known`` ones, with the story it would be of its own."""
    for log in logs:
        at = log.began
        schedule = estate.schedule_by_id.get(log.schedule_id or "")
        job = estate.job_by_id.get(log.job_id or "")
        if at is None or schedule is None or job is None or log.id in known:
            continue
        fired_by = [one for one in agenda.firings if schedule.id in (one.members or (one.schedule.id,))]
        seen = Seen(
            at=now,
            job=job.id,
            job_name=job.name,
            schedule_name=schedule.name,
            cron=schedule.cron,
            zone=schedule.zone,
            expected_at=at,
            starts=(at,),
            late=True,
        )
        yield Unplaced(RunKey(schedule.id, at, BY_HAND), seen, log, any(explains(firing, at) for firing in fired_by))


def first_due(agenda: Agenda, now: datetime) -> tuple[datetime | None, tuple[Schedule, ...]]:
    """When XO fires next, within two days, and what; None for later than that. Looked for nearby first: this is asked often."""
    for within in NEARBY:
        found: datetime | None = None
        fired: tuple[Schedule, ...] = ()
        for firing in agenda.firings:
            for due in due_times(firing.schedule, zone=firing.zone, after=now, until=found or now + within)[:1]:
                found, fired = due.at, (*(fired if due.at == found else ()), firing.schedule)
        if found is not None:
            return found, fired
    return None, ()


def told_of(schedules: Sequence[Schedule], estate: Estate) -> str:
    """``"web / nightly and 2 more"``: the first one's job and name, and how many there are beside it."""
    if not schedules:
        return ""
    first = schedules[0]
    job = estate.job_by_id.get(first.job_id or "") or estate.call_job_by_id.get(first.job_id or "")
    name = f"{job.name} / {first.name}" if job is not None else first.name
    return name + (f" and {len(schedules) - 1} more" if len(schedules) > 1 else "")
