"""At which minutes XO's fallbacks act: never in a gap of the clocks, where an enabled schedule starts again and again."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.mechanics.cron import xo_next
from guard.mechanics.due import next_storm
from guard.mechanics.fallback import whole_minute

MINUTE = timedelta(minutes=1)
FALLBACK_AFTER = timedelta(minutes=3)
GAP = timedelta(hours=6)  # a storm's bad minutes lie within so long
_RELEASES = (0, 3, 7)  # minutes after the first: XO may be down in one
_LAST_FIRST = 50  # past this minute of an hour the releases begin with the next one, so that all lie in one hour
_AFTER_START = timedelta(minutes=2)


def may_enable(cron: str, zone: str, xo_now: datetime) -> bool:
    """Whether XO's next date is in the future, now and through the gap of the clocks that may lie ahead."""
    return xo_next(cron, zone, xo_now) > xo_now and next_storm(cron, zone, xo_now, xo_now + GAP) is None


def safe_minute(cron: str, zone: str, earliest: datetime) -> datetime:
    """The first whole minute from ``earliest`` on at which the schedule may be enabled, and its run started."""
    at = whole_minute(earliest)
    while True:
        storm = next_storm(cron, zone, at, at + GAP)
        if storm is not None:
            at = storm.last + MINUTE
        elif xo_next(cron, zone, at) <= at:
            at += MINUTE
        else:
            return at


def fallback_minute(cron: str, zone: str, due: datetime) -> datetime:
    """When XO's fallback starts what is due, or waits until then: after guard itself could, also after a gap of the clocks."""
    first = whole_minute(due + FALLBACK_AFTER)
    at = safe_minute(cron, zone, first)
    return at if at == first else safe_minute(cron, zone, at + FALLBACK_AFTER)


def release_minutes(cron: str, zone: str, start_at: datetime) -> tuple[datetime, ...]:
    """The minutes, all of one hour, at which the fallback enables the schedule again, the starting one at ``start_at``."""
    first = start_at + _AFTER_START
    if first.minute > _LAST_FIRST:
        first = first.replace(minute=0) + timedelta(hours=1)
    first = safe_minute(cron, zone, first)
    wanted = [first + timedelta(minutes=one) for one in _RELEASES]
    return tuple(at for at in wanted if at.hour == first.hour)
