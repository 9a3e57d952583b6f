"""Due times of a schedule: when XO starts it, with clock-change nights folded and start storms found.

Near a change of the clocks XO starts one wall time twice (spring: an hour early and once after the gap; autumn: at both
passes), and with several times inside the gap again and again (dst-nights.md). Starts that stand for one wall time of
the expression are one due time here. XO computes a start from the one before it, at the latest 24.8 days later
(@xen-orchestra/cron index.js), so what a night brings depends on where XO comes from: the walk begins well before it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from guard.estate.xo_records import CallJob, Schedule
from guard.mechanics.cron import Cron, next_minute, parse, to_minute, to_time
from guard.mechanics.zones import DAY, HOUR, Change, Offsets, offsets_of

_NEAR = 6 * HOUR  # all that is odd about a change lies this close to it, for changes of up to two hours; in minutes
_LONGEST_TIMER = (2**31 - 1) // 60_000  # minutes; XO asks again after so long
_THREE_YEARS = timedelta(days=3 * 365 + 1)


@dataclass(frozen=True)
class Storm:
    """A gap of the clocks in which XO's next start is not in the future: it starts at once, until it dies.

    ``first`` and ``last``: the bad minutes, UTC. ``reached``: XO's own timer leads into them; otherwise only a restart
    of xo-server or a change to the schedule within them does.
    """

    first: datetime
    last: datetime
    reached: bool = True


@dataclass(frozen=True)
class DueTime:
    """One due time. ``at``: the first instant XO starts it; ``starts``: every one; under a storm, each once.

    ``cron`` and ``zone`` are those that fire it; ``via``: the id of the sequence's schedule they belong to, or '', and
    ``sequence_at``: when that sequence begins.
    """

    schedule_id: str
    job_id: str
    at: datetime
    starts: tuple[datetime, ...]
    cron: str = ""
    zone: str = "utc"
    via: str = ""
    sequence_at: datetime | None = None
    storm: Storm | None = None


def due_times(schedule: Schedule, *, zone: str, after: datetime, until: datetime) -> tuple[DueTime, ...]:
    """All due times whose first start lies in (after, until]. Raises CronError; ValueError for zone ``local``."""
    groups = _groups(parse(schedule.cron), offsets_of(zone), to_minute(after), to_minute(until))
    return tuple(
        DueTime(
            schedule_id=schedule.id,
            job_id=schedule.job_id or "",
            at=to_time(starts[0]),
            starts=tuple(map(to_time, starts)),
            cron=schedule.cron,
            zone=zone,
            storm=storm,
        )
        for starts, storm in groups
    )


def next_storm(expression: str, zone: str, after: datetime, until: datetime) -> Storm | None:
    """The first storm with a bad minute in [after, until]; one under way counts. Raises as ``due_times``."""
    cron, offsets = parse(expression), offsets_of(zone)
    begin, end = to_minute(after), to_minute(until)
    for change in offsets.changes(begin - _NEAR, end + _NEAR):
        storm = _storm(cron, offsets, change)
        if storm is not None and to_minute(storm.last) >= begin and to_minute(storm.first) <= end:
            return storm
    return None


def storm_free(expression: str, zone: str, after: datetime) -> tuple[str, ...]:
    """The expression with its missing hours replaced: by the nearest good hour before, and by the nearest after.

    Good: one start and no storm at every gap of the next three years. Nothing where nothing is wrong, or nothing
    helps. An hour beyond midnight is offered to daily schedules only, since others would change their day.
    """
    cron, offsets = parse(expression), offsets_of(zone)
    gaps = [one for one in offsets.changes(to_minute(after), to_minute(after + _THREE_YEARS)) if one.jump > 0]
    if cron.hour is None or all(_is_calm(cron, offsets, gap) for gap in gaps):
        return ()
    missing = sorted({hour for gap in gaps for hour in _hours(gap) if hour in cron.hour})
    kept = set(cron.hour).difference(missing)
    found: list[str] = []
    for candidates in (range(missing[0] - 1, missing[-1] - 24, -1), range(missing[-1] + 1, missing[0] + 24)):
        for hour in candidates:
            if hour % 24 in cron.hour or not (_is_daily(cron) or 0 <= hour < 24):
                continue
            text = " ".join((cron.texts[0], ",".join(map(str, sorted(kept | {hour % 24}))), *cron.texts[2:]))
            if text not in found and all(_is_calm(parse(text), offsets, gap) for gap in gaps):
                found.append(text)
                break
    return tuple(found)


def is_calm(expression: str, zone: str, after: datetime) -> bool:
    """Whether XO starts each due time once, and none again and again, at every clock change of the next three years."""
    cron, offsets = parse(expression), offsets_of(zone)
    changes = offsets.changes(to_minute(after), to_minute(after + _THREE_YEARS))
    return cron.hour is None or all(_is_calm(cron, offsets, one) for one in changes)


def sequence_members(job: CallJob) -> tuple[str, ...]:
    """The schedule ids a sequence runs, in order; () for any other call job (xo-api.md section 6)."""
    if job.method != "schedule.runSequence":
        return ()
    found: list[str] = []
    for item in _list_of(job.params_vector, "items"):
        for value in _list_of(item, "values"):
            found += [one for one in _list_of(value, "schedules") if isinstance(one, str)]
    return tuple(found)


def _list_of(table: object, key: str) -> list[Any]:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, list) else []


def _groups(cron: Cron, offsets: Offsets, after: int, until: int) -> list[tuple[list[int], Storm | None]]:
    """The starts of each due time whose first start is in (after, until], with the storm it falls into."""
    changes = list(offsets.changes(after - _NEAR, until + _NEAR))
    begin = min(after, _anchor(cron, changes[0])) if changes else after
    # with every hour named, both passes of an hour are ordinary intervals
    if not changes or cron.hour is None or len(cron.hour) == 24:
        return [([start], None) for start, _ in _walk(cron, offsets, begin, until) if start > after]
    end = max(until, changes[-1].minute + _NEAR)
    storms = [(change, _storm(cron, offsets, change)) for change in changes]
    groups: dict[Hashable, tuple[list[int], Storm | None]] = {}
    for start, stormy in _walk(cron, offsets, begin, end):
        key, storm = _stands_for(cron, offsets, storms, start)
        starts, _ = groups.setdefault(key, ([], storm))
        if not stormy or not starts:
            starts.append(start)
    return sorted((group for group in groups.values() if after < group[0][0] <= until), key=lambda one: one[0][0])


def _walk(cron: Cron, offsets: Offsets, after: int, until: int) -> Iterator[tuple[int, bool]]:
    """(start, False) for each start in (after, until] as XO's timer meets them; (minute, True) for each bad minute."""
    at = after
    while at <= until:
        start = next_minute(cron, offsets, at)
        if start <= at:
            yield at, True
            at += 1
        elif start - at > _LONGEST_TIMER:
            at += _LONGEST_TIMER
        else:
            if start <= until:
                yield start, False
            at = start


def _stands_for(
    cron: Cron, offsets: Offsets, storms: list[tuple[Change, Storm | None]], start: int
) -> tuple[Hashable, Storm | None]:
    """What a start stands for: a wall time that the expression names, or a whole storm that XO runs into."""
    wall = start + offsets.at(start)
    for change, storm in storms:
        named = None if cron.matches(wall) else _missing_wall(cron, change, start, wall)
        inside = storm is not None and to_minute(storm.first) <= start <= to_minute(storm.last)
        if storm is not None and storm.reached and (inside or named is not None):
            return storm, storm
        if named is not None:
            return named, None
    return wall, None


def _missing_wall(cron: Cron, change: Change, start: int, wall: int) -> int | None:
    """The missing wall time of the expression that a start before or after a gap stands for."""
    if change.minute - change.jump <= start < change.minute:
        wall += change.jump
    elif change.minute <= start < change.minute + change.jump:
        wall -= change.jump
    return wall if cron.matches(wall) else None


@lru_cache(maxsize=4096)
def _storm(cron: Cron, offsets: Offsets, change: Change) -> Storm | None:
    """The storm at a gap: sought by the minute around it, where an hour of the expression is missing."""
    if change.jump <= 0 or cron.hour is None or _hours(change).isdisjoint(cron.hour):
        return None
    reach = change.jump + HOUR
    around = range(change.minute - reach, change.minute + reach)
    bad = [minute for minute in around if next_minute(cron, offsets, minute) <= minute]
    if not bad:
        return None
    walk = _walk(cron, offsets, _anchor(cron, change), bad[-1])
    return Storm(to_time(bad[0]), to_time(bad[-1]), reached=any(stormy for _, stormy in walk))


def _anchor(cron: Cron, change: Change) -> int:
    """A minute before a change from which XO surely started the schedule once more, where it does so every month."""
    return change.minute - (3 * DAY // 2 if _is_daily(cron) else 33 * DAY + 7 * HOUR)


def _is_calm(cron: Cron, offsets: Offsets, change: Change) -> bool:
    groups = _groups(cron, offsets, change.minute - _NEAR, change.minute + _NEAR)
    return _storm(cron, offsets, change) is None and all(len(starts) == 1 for starts, _ in groups)


def _hours(change: Change) -> set[int]:
    """The hours of the wall clock that a gap removes, in part or whole."""
    first, end = change.minute + change.before, change.minute + change.after
    return {hour % 24 for hour in range(first // HOUR, (end - 1) // HOUR + 1)}


def _is_daily(cron: Cron) -> bool:
    return cron.date is None and cron.month is None and cron.day is None
