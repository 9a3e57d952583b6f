"""XO's fallback (dead man's switch): call jobs in XO that start a claimed schedule, and enable it again, without guard.

XO's cron has neither years nor seconds, so a fallback names minutes of one day, in UTC, and is removed as soon as it has
served. The name holds all that a guard needs to know whose it is (observed-on-real-xo.md, "Dead man's switch").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import msgspec

from guard.estate.xo_records import CallJob, Schedule

_NAME = re.compile(r"guard\[([0-9a-f]{4,64})\]: (start|release) (\S+) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class FallbackKind(StrEnum):
    """``start`` runs the schedule by ``schedule.runSequence``; ``release`` enables it by ``schedule.set``."""

    START = "start"
    RELEASE = "release"


class Fallback(msgspec.Struct, frozen=True, kw_only=True):
    """One fallback as it shall stand in XO. ``due``: of the claim it belongs to.

    ``cron``: in XO's dialect, zone UTC. ``instance``: the guard that owns it.
    """

    kind: FallbackKind
    schedule: str
    due: datetime
    cron: str
    instance: str

    @property
    def name(self) -> str:
        """The name of the job and of its schedule in XO."""
        return f"guard[{self.instance}]: {self.kind} {self.schedule} {self.due.astimezone(UTC).strftime(_TIME)}"

    @property
    def method(self) -> str:
        """What XO calls."""
        return "schedule.runSequence" if self.kind is FallbackKind.START else "schedule.set"

    @property
    def params(self) -> dict[str, object]:
        """With what XO calls it."""
        if self.kind is FallbackKind.START:
            return {"schedules": [self.schedule]}
        return {"id": self.schedule, "enabled": True}


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """A fallback that is in XO. ``job_id``: what to delete; ``armed``: its schedule is there and enabled."""

    job_id: str
    fallback: Fallback
    armed: bool

    def is_of(self, instance: str, schedule: str, due: datetime) -> bool:
        """Whether it is that guard's, for that due time of that schedule."""
        own = self.fallback
        return (own.instance, own.schedule, own.due) == (instance, schedule, due)


def is_fallback(job: CallJob) -> bool:
    """Whether a call job is a fallback of any guard: no sequence of a person's."""
    return _NAME.fullmatch(job.name) is not None


def read_name(name: str) -> tuple[str, FallbackKind, str, datetime] | None:
    """(instance, kind, schedule id, due) of a fallback's name, None for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        due = datetime.strptime(found[4], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found[1], FallbackKind(found[2]), found[3], due


def placed_in(jobs: Iterable[CallJob], schedules: Iterable[Schedule]) -> tuple[Placed, ...]:
    """The fallbacks of any guard among XO's call jobs. ``cron`` is '' where the schedule is missing."""
    by_job = {one.job_id or "": one for one in schedules}
    found: list[Placed] = []
    for job in jobs:
        read = read_name(job.name)
        if read is None:
            continue
        instance, kind, schedule, due = read
        fires = by_job.get(job.id)
        cron = fires.cron if fires is not None else ""
        own = Fallback(kind=kind, schedule=schedule, due=due, cron=cron, instance=instance)
        found.append(Placed(job_id=job.id, fallback=own, armed=fires is not None and fires.enabled))
    return tuple(found)


def at_minutes(moments: Sequence[datetime]) -> str:
    """The cron expression, in XO's dialect (months count from 0), of minutes of one hour of one day in UTC.

    Raises ValueError where they do not lie in one hour.
    """
    first = moments[0].astimezone(UTC)
    minutes = sorted({one.astimezone(UTC).minute for one in moments})
    if any(one.astimezone(UTC).replace(minute=0, second=0, microsecond=0) != _hour(first) for one in moments):
        raise ValueError("a fallback's minutes lie in one hour")
    return f"{','.join(map(str, minutes))} {first.hour} {first.day} {first.month - 1} *"


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def whole_minute(moment: datetime) -> datetime:
    """The first whole minute at or after a moment."""
    floor = moment.replace(second=0, microsecond=0)
    return floor if floor == moment else floor + timedelta(minutes=1)
