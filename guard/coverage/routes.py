"""Which schedules that XO fires back up which VMs: by themselves, or as members of a sequence.

A schedule counts where it is enabled, its cron names a time, and its job is a VM backup: mirrors and metadata jobs save
no VM. One that guard holds for a claim is off in XO for minutes only, and its fallback there says so: it counts too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from guard.estate.estate import Estate
from guard.estate.xo_records import Job, Schedule
from guard.mechanics.cron import EPOCH, Cron, CronError, parse, xo_next
from guard.mechanics.due import sequence_members
from guard.mechanics.fallback import is_fallback, read_name
from guard.mechanics.outlook import Outlook

_DAY_MINUTES = 24 * 60
_DAYS_SEEN = 366 + 31  # a yearly schedule comes twice in them
_A_MONTH = 31


@dataclass(frozen=True)
class Route:
    """One way by which XO backs VMs up. ``fires``: the schedule that XO fires, a sequence's or its own."""

    schedule: Schedule
    job: Job
    fires: Schedule


@dataclass(frozen=True)
class Routes:
    """``working``: those that XO fires; ``idle``: schedule id -> why XO fires it not, as a clause, of VM backup jobs."""

    working: tuple[Route, ...]
    idle: Mapping[str, str]


def routes(estate: Estate, now: datetime) -> Routes:
    """Every route, in the order of XO's schedules. What XO fires once a year still counts."""
    claimed = _claimed(estate)
    working: dict[tuple[str, str], Route] = {}
    idle: dict[str, str] = {}
    for fires in estate.schedules:
        call = estate.call_job_by_id.get(fires.job_id or "")
        members = sequence_members(call) if call is not None and not is_fallback(call) else (fires.id,)
        why = _why_idle(fires, now, held=fires.id in claimed)
        for member in members:
            schedule = estate.schedule_by_id.get(member)
            job = estate.job_by_id.get(schedule.job_id or "") if schedule is not None else None
            if schedule is None or job is None or job.type != "backup":
                continue
            if why and member == fires.id:
                idle[member] = why
            elif not why:
                working[schedule.id, fires.id] = Route(schedule, job, fires)
    fired = {schedule for schedule, _ in working}
    return Routes(tuple(working.values()), {key: why for key, why in idle.items() if key not in fired})


def _claimed(estate: Estate) -> frozenset[str]:
    """Ids of the schedules of which a fallback is in XO: guard switched them off, for as long as a claim lasts."""
    named = (read_name(one.name) for one in estate.call_jobs)
    return frozenset(one[2] for one in named if one is not None)


def _why_idle(schedule: Schedule, now: datetime, *, held: bool) -> str:
    """Why XO does not fire a schedule, as a clause after its name; '' where it does."""
    if not schedule.enabled and not held:
        return "is disabled"
    try:
        xo_next(schedule.cron, "utc", now)
    except CronError:
        return f"has a cron that XO cannot run ({schedule.cron!r})"
    return ""


def taken(outlook: Outlook, working: tuple[Route, ...]) -> dict[str, list[Route]]:
    """VM id -> the routes whose jobs take it now; VMs that no route takes are not in it."""
    found: dict[str, list[Route]] = {}
    for route in working:
        for vm in dict.fromkeys(outlook.selection_of(route.job).ids):
            found.setdefault(vm, []).append(route)
    return found


def longest_interval(expression: str) -> timedelta | None:
    """The longest time between two due times of an expression by the wall clock, clock changes left out.

    Weekdays at 01:00 give three days. None where the expression names less than two days in 13 months.
    """
    cron = parse(expression)
    times = _times_of_day(cron)
    days = _days(cron)
    if len(days) < 2:
        return None
    between = max(later - earlier for earlier, later in pairwise(days))
    within = max((later - earlier for earlier, later in pairwise(times)), default=0)
    return timedelta(minutes=max(within, between * _DAY_MINUTES + times[0] - times[-1]))


def _times_of_day(cron: Cron) -> list[int]:
    hours = range(24) if cron.hour is None else cron.hour
    minutes = range(60) if cron.minute is None else cron.minute
    return [hour * 60 + minute for hour in hours for minute in minutes]


def _days(cron: Cron) -> list[int]:
    """The days an expression names, of 13 months from a leap year's first day on; of one that names all, a month is enough."""
    start = (datetime(2028, 1, 1, tzinfo=EPOCH.tzinfo) - EPOCH).days
    seen = _A_MONTH if cron.date is None and cron.month is None and cron.day is None else _DAYS_SEEN
    # the day alone is asked for: at a time of day that the expression names
    at = _times_of_day(cron)[0]
    return [day for day in range(start, start + seen) if cron.matches(day * _DAY_MINUTES + at)]
