"""When runs are due, what clock changes make of them, and the members of a sequence.

XO's arithmetic at a clock change starts a schedule twice, or without end (dst-nights.md). Starts that stand for one
wall time of the expression are one due time here; a storm is told apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec

from guard.estate.xo_records import CallJob, Schedule
from guard.mechanics.cron import Cron, next_minute, parse, to_minute, to_time
from guard.mechanics.zones import DAY, HOUR, Change, Offsets, offsets_of

_NEAR = 6 * HOUR  # all oddities of a clock change lie within this, for changes up to two hours
_LONGEST_TIMER = (2**31 - 1) // 60_000  # minutes; XO asks again after so long (@xen-orchestra/cron index.js)
_THREE_YEARS = timedelta(days=3 * 365 + 1)


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """A night on which XO starts a job again and again until xo-server dies of it.

    ``first`` and ``last`` are the first and last minute (UTC) in which XO's next start is not after the moment it asks.
    ``gap_from_local`` and ``gap_to_local`` bound the missing wall times; they carry no zone.
    """

    first: datetime
    last: datetime
    gap_from_local: datetime
    gap_to_local: datetime


class DueTime(msgspec.Struct, frozen=True, kw_only=True):
    """One due time. ``at``: XO's first start for it; ``starts``: each start, all UTC.

    Under a ``storm``, ``starts`` holds each instant XO names once, not the thousands of real starts.
    ``via``: id of the sequence's schedule it came through, else empty.
    """

    schedule_id: str
    job_id: str
    at: datetime
    starts: tuple[datetime, ...]
    via: str = ""
    storm: Storm | None = None

    @property
    def xo_starts(self) -> int:
        return len(self.starts)


def due_times(schedule: Schedule, *, zone: str, after: datetime, until: datetime) -> tuple[DueTime, ...]:
    """All due times whose first start is in (after, until], enabled or not.

    A second start beyond ``until`` is still told. Raises CronError for an expression XO cannot run, ValueError for zone
    ``local``.
    """
    cron, offsets = parse(schedule.cron), offsets_of(zone)
    return tuple(
        DueTime(
            schedule_id=schedule.id,
            job_id=schedule.job_id or "",
            at=to_time(starts[0]),
            starts=tuple(map(to_time, starts)),
            storm=storm,
        )
        for starts, storm in _groups(cron, offsets, to_minute(after), to_minute(until))
    )


def next_storm(expression: str, zone: str, after: datetime, until: datetime) -> Storm | None:
    """The first storm with a bad minute in [after, until]; a storm under way counts. Raises as ``xo_next``."""
    cron, offsets = parse(expression), offsets_of(zone)
    first, last = to_minute(after), to_minute(until)
    for change in offsets.changes(first - _NEAR, last + _NEAR):
        storm = _storm(cron, offsets, change)
        if storm and to_minute(storm.last) >= first and to_minute(storm.first) <= last:
            return storm
    return None


def double_starts(expression: str, zone: str, after: datetime, until: datetime) -> tuple[tuple[datetime, ...], ...]:
    """The due times in (after, until] that XO starts more than once, storms left out: the starts of each, UTC."""
    cron, offsets = parse(expression), offsets_of(zone)
    first, last = to_minute(after), to_minute(until)
    found: list[tuple[datetime, ...]] = []
    for change in offsets.changes(first - _NEAR, last + _NEAR):
        if not _touches(cron, change):
            continue
        for starts, storm in _groups(
            cron, offsets, max(first, change.minute - _NEAR), min(last, change.minute + _NEAR)
        ):
            if storm is None and len(starts) > 1:
                found.append(tuple(map(to_time, starts)))
    return tuple(found)


def storm_free(expression: str, zone: str, after: datetime) -> tuple[str, ...]:
    """The expression with its missing hours replaced: by the nearest good hour before, and by the nearest after.

    Good: neither a storm nor two starts at any spring change of the next three years, computed. Without a cure, or
    where nothing is wrong, there are none. An hour on the next or previous date is offered to daily schedules only.
    """
    cron, offsets = parse(expression), offsets_of(zone)
    begin, end = to_minute(after), to_minute(after + _THREE_YEARS)
    springs = [change for change in offsets.changes(begin, end) if change.jump > 0]
    if cron.hour is None or all(_is_calm(cron, offsets, change) for change in springs):
        return ()
    missing = {hour for change in springs for hour in _hours(change) if hour in cron.hour}
    kept = set(cron.hour) - missing
    found = []
    for candidates in (range(min(missing) - 1, max(missing) - 24, -1), range(max(missing) + 1, min(missing) + 24)):
        for hour in candidates:
            if hour % 24 in cron.hour or not (_is_daily(cron) or 0 <= hour < 24):
                continue
            hours = ",".join(map(str, sorted(kept | {hour % 24})))
            text = " ".join((cron.texts[0], hours, *cron.texts[2:]))
            if text not in found and all(_is_calm(parse(text), offsets, change) for change in springs):
                found.append(text)
                break
    return tuple(found)


def sequence_members(call_job: CallJob) -> tuple[str, ...]:
    """Schedule ids of a sequence, in the order XO runs them (xo-api.md section 6); empty for any other call job."""
    vector = call_job.params_vector
    if call_job.method != "schedule.runSequence" or not isinstance(vector, dict):
        return ()
    return tuple(
        member
        for item in _dicts(vector.get("items"))
        for value in _dicts(item.get("values"))
        for member in _list(value.get("schedules"))
        if isinstance(member, str)
    )


def _groups(cron: Cron, offsets: Offsets, after: int, until: int) -> Iterator[tuple[list[int], Storm | None]]:
    """The starts of each due time whose first start is in (after, until], with the storm it is in."""
    changes = () if _is_hourly(cron) else tuple(offsets.changes(after - _NEAR, until + _NEAR))
    begin, end = after, until
    if changes:
        # the path into a clock change depends on the start before it, so begin where there surely was one
        begin = min(after, changes[0].minute - (3 * DAY // 2 if _is_daily(cron) else 33 * DAY + 7 * HOUR))
        end = max(until, changes[-1].minute + _NEAR)
    storms = [(change, _storm(cron, offsets, change)) for change in changes]
    groups: dict[Hashable, tuple[list[int], Storm | None]] = {}
    for start in _walk(cron, offsets, begin, end):
        key, storm = _due_key(cron, offsets, storms, start) if storms else (start, None)
        groups.setdefault(key, ([], storm))[0].append(start)
    return (group for group in groups.values() if after < group[0][0] <= until)


def _walk(cron: Cron, offsets: Offsets, after: int, until: int) -> Iterator[int]:
    """XO's starts in (after, until], each asked for at the one before. Inside a storm it goes on by the minute."""
    asked = latest = after
    while (start := next_minute(cron, offsets, asked)) <= until:
        if start - asked > _LONGEST_TIMER:
            asked += _LONGEST_TIMER
            continue
        if start > latest:
            latest = start
            yield start
        asked = max(start, asked + 1)


def _due_key(
    cron: Cron, offsets: Offsets, storms: list[tuple[Change, Storm | None]], start: int
) -> tuple[Hashable, Storm | None]:
    """What a start stands for: a wall time the expression names, or a whole storm."""
    wall = start + offsets.at(start)
    for change, storm in storms:
        nominal = None if cron.matches(wall) else _missing_wall(cron, change, start, wall)
        if storm and (nominal is not None or to_minute(storm.first) <= start <= to_minute(storm.last)):
            return storm, storm
        if nominal is not None:
            return nominal, None
    return wall, None


def _missing_wall(cron: Cron, change: Change, start: int, wall: int) -> int | None:
    """The missing wall time that an early or late start stands for."""
    if change.minute - change.jump <= start < change.minute:
        nominal = wall + change.jump
    elif change.minute <= start < change.minute + change.jump:
        nominal = wall - change.jump
    else:
        return None
    return nominal if cron.matches(nominal) else None


@lru_cache(maxsize=4096)
def _storm(cron: Cron, offsets: Offsets, change: Change) -> Storm | None:
    """The storm at a gap: looked for by the minute around it, where an hour of the expression is missing."""
    if change.jump <= 0 or not _touches(cron, change):
        return None
    reach = change.jump + HOUR
    minutes = range(change.minute - reach, change.minute + reach)
    bad = [minute for minute in minutes if next_minute(cron, offsets, minute) <= minute]
    if not bad:
        return None
    return Storm(
        first=to_time(bad[0]),
        last=to_time(bad[-1]),
        gap_from_local=to_time(change.minute + change.before).replace(tzinfo=None),
        gap_to_local=to_time(change.minute + change.after).replace(tzinfo=None),
    )


def _is_calm(cron: Cron, offsets: Offsets, change: Change) -> bool:
    """No storm and no due time with two starts around one change."""
    groups = _groups(cron, offsets, change.minute - _NEAR, change.minute + _NEAR)
    return all(storm is None and len(starts) == 1 for starts, storm in groups)


def _hours(change: Change) -> set[int]:
    """The hours of the wall clock that a change removes or repeats, in part or whole."""
    low = change.minute + min(change.before, change.after)
    high = change.minute + max(change.before, change.after)
    return {hour % 24 for hour in range(low // HOUR, (high - 1) // HOUR + 1)}


def _touches(cron: Cron, change: Change) -> bool:
    return cron.hour is None or not _hours(change).isdisjoint(cron.hour)


def _is_hourly(cron: Cron) -> bool:
    """With every hour named, the second pass of an hour is the ordinary interval."""
    return cron.hour is None or len(cron.hour) == 24


def _is_daily(cron: Cron) -> bool:
    return cron.date is None and cron.month is None and cron.day is None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> list[dict[str, object]]:
    return [item for item in _list(value) if isinstance(item, dict)]
