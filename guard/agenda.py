"""Which runs are due: every enabled schedule's due times, sequences expanded, and what kept some from being told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Schedule
from guard.mechanics.cron import CronError
from guard.mechanics.due import DueTime, due_times, sequence_members
from guard.mechanics.fallback import is_fallback
from guard.mechanics.zones import resolve
from guard.units import some_of

MOST_DUES = 100_000
"""Runs of one plan: 100 schedules that run every hour for a month are fewer."""


@dataclass(frozen=True)
class Note:
    """What a plan has to say beside its runs. ``unknown``: runs may be missing from it, or planned wrongly.

    ``schedule``: the id of the schedule it is about, '' for all of them.
    """

    text: str
    unknown: bool
    schedule: str = ""


@dataclass(frozen=True)
class Firing:
    """An enabled schedule that XO fires in a known zone: its due times, and the members where it is a sequence."""

    schedule: Schedule
    zone: str
    dues: tuple[DueTime, ...]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Agenda:
    """``dues``: those of the jobs, through sequences too, in no order."""

    firings: tuple[Firing, ...]
    dues: tuple[DueTime, ...]
    notes: tuple[Note, ...]


def make_agenda(
    estate: Estate,
    *,
    after: datetime,
    until: datetime,
    local_zone: str | None,
    seconds_of: Callable[[str], float | None],
) -> Agenda:
    """Every due time in (after, until].

    ``local_zone``: the zone of XO's own machine, where the policy tells it. ``seconds_of``: how long a run of a schedule
    usually takes, None where nothing tells; the members of a sequence are that far apart.
    """
    notes = list(_lists_xo_may_have_cut(estate))
    firings: list[Firing] = []
    dues: list[DueTime] = []
    left_out: list[str] = []
    room = MOST_DUES
    for schedule in estate.schedules:
        call = estate.call_job_by_id.get(schedule.job_id or "")
        # what guard itself put into XO as a fallback starts a schedule that is told already
        members = sequence_members(call) if call is not None and not is_fallback(call) else ()
        if not schedule.enabled or (call is not None and not members):
            continue
        zone = _zone(schedule, local_zone, notes)
        if zone is None:
            continue
        if room < 0:
            left_out.append(schedule.name)
            continue
        # a sequence that began earlier still has members to come
        lasts = sum((seconds_of(member) or 0 for member in members), 0.0)
        try:
            own = due_times(schedule, zone=zone, after=after - timedelta(seconds=lasts), until=until)
        except CronError as error:
            text = f"Schedule {schedule.name}: XO itself would choke on its cron {schedule.cron!r}: {error}."
            notes.append(Note(text, unknown=True, schedule=schedule.id))
            continue
        room -= len(own) * max(1, len(members))
        if room < 0:
            left_out.append(schedule.name)
            continue
        firings.append(Firing(schedule, zone, own, members))
        if not own:
            continue
        if members:
            through = _through(estate, schedule, own, members, seconds_of, notes)
            dues += [due for due in through if after < due.at <= until]
        elif (schedule.job_id or "") in estate.job_by_id:
            dues += own
        elif estate.parts[PartName.JOBS].usable and estate.parts[PartName.CALL_JOBS].usable:
            text = f"Schedule {schedule.name}: its job {schedule.job_id or '(none)'} does not exist in XO; every start fails."
            notes.append(Note(text, unknown=True, schedule=schedule.id))
    if left_out:
        text = f"More than {MOST_DUES} runs are due by then; left out are those of {some_of(left_out)}. Ask for a shorter time."
        notes.append(Note(text, unknown=True))
    return Agenda(tuple(firings), tuple(dues), tuple(notes))


def _lists_xo_may_have_cut(estate: Estate) -> Iterable[Note]:
    for name in (PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS):
        part = estate.parts[name]
        told = "sequences" if name is PartName.CALL_JOBS else name.value
        if not part.ok:
            yield Note(f"The {told} could not be read, so runs may be missing here. {part.error}", unknown=True)
        elif not part.complete:
            text = f"XO may have filtered its list of {told} (the token's user is no administrator): runs may be missing here."
            yield Note(text, unknown=True)


def _zone(schedule: Schedule, local_zone: str | None, notes: list[Note]) -> str | None:
    """The zone XO fires a schedule in; None where that cannot be told."""
    if schedule.zone == "local":
        if local_zone is None:
            text = f"Schedule {schedule.name}: its zone is XO's own (local), which no API shows; set [xo] zone in the policy."
            notes.append(Note(text, unknown=True, schedule=schedule.id))
        return local_zone
    if resolve(schedule.zone) is None:
        text = f"Schedule {schedule.name}: XO does not know the zone {schedule.zone!r} and uses UTC."
        notes.append(Note(text, unknown=False, schedule=schedule.id))
        return "utc"
    return schedule.zone


def _through(
    estate: Estate,
    sequence: Schedule,
    dues: Iterable[DueTime],
    members: Iterable[str],
    seconds_of: Callable[[str], float | None],
    notes: list[Note],
) -> list[DueTime]:
    """The due times of a sequence's members: one after another, by their usual durations (0 where none is known)."""
    known: list[Schedule] = []
    lists = (PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS)
    for member in members:
        schedule = estate.schedule_by_id.get(member)
        job = schedule.job_id or "" if schedule is not None else ""
        if schedule is None or (job not in estate.job_by_id and job not in estate.call_job_by_id):
            # XO looks each member up when its turn comes and throws (packages/xo-server/src/api/schedule.mjs)
            text = f"Sequence {sequence.name}: XO stops it at the member {member}, which does not exist or has lost its job."
            if all(estate.parts[name].usable for name in lists):  # else a note tells that a list is not whole
                notes.append(Note(text, unknown=True, schedule=sequence.id))
            break
        known.append(schedule)
    found = []
    for due in dues:
        later = timedelta()
        for schedule in known:
            starts = tuple(start + later for start in due.starts)
            if (schedule.job_id or "") in estate.job_by_id:
                found.append(
                    replace(
                        due,
                        schedule_id=schedule.id,
                        job_id=schedule.job_id or "",
                        at=due.at + later,
                        starts=starts,
                        via=due.schedule_id,
                        sequence_at=due.at,
                    )
                )
            later += timedelta(seconds=seconds_of(schedule.id) or 0)
    return found
