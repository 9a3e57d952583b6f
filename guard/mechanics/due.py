"""Due times of a schedule: when XO starts it, with clock-change nights folded and start storms found.

Near a change of the clocks XO starts one wall time twice (spring: an hour early and once after the gap; autumn: at both
passes), and with several times inside the gap again and again (dst-nights.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from guard.estate.xo_records import CallJob, Schedule
from guard.mechanics.cron import Cron, next_minute, parse, to_minute, to_time
from guard.mechanics.zones import HOUR, Change, Offsets, offsets_of

NIGHT = 4 * HOUR  # everything odd happens this close to a change, in minutes
_YEARS = timedelta(days=3 * 366)


@dataclass(frozen=True)
class Storm:
    """Minutes (UTC) in which XO's next start is not in the future: it starts again at once, until it dies."""

    first: datetime
    last: datetime


@dataclass(frozen=True)
class DueTime:
    """One due time. ``at``: the first instant XO starts it; ``starts``: every one; ``via``: its sequence's schedule."""

    schedule_id: str
    job_id: str
    at: datetime
    starts: tuple[datetime, ...]
    via: str = ""
    storm: Storm | None = None


def due_times(schedule: Schedule, *, zone: str, after: datetime, until: datetime) -> tuple[DueTime, ...]:
    """All due times whose first start lies in (after, until]. Raises CronError; ValueError for zone ``local``."""
    cron, offsets = parse(schedule.cron), offsets_of(zone)
    begin, end = to_minute(after), to_minute(until)
    odd = any(True for _ in offsets.changes(begin - NIGHT, end + NIGHT))
    groups = _folded(cron, offsets, begin - 2 * NIGHT, end + 2 * NIGHT) if odd else _plain(cron, offsets, begin, end)
    return tuple(
        DueTime(
            schedule_id=schedule.id,
            job_id=schedule.job_id or "",
            at=to_time(starts[0]),
            starts=tuple(map(to_time, starts)),
            storm=storm,
        )
        for starts, storm in groups
        if begin < starts[0] <= end
    )


def next_storm(expression: str, zone: str, after: datetime, until: datetime) -> Storm | None:
    """The first storm that begins in (after, until]. Raises CronError."""
    offsets = offsets_of(zone)
    begin, end = to_minute(after), to_minute(until)
    for change in offsets.changes(begin - NIGHT, end + NIGHT):
        storm = _storm_at(expression, zone, change) if change.jump > 0 else None
        if storm is not None and begin < to_minute(storm.first) <= end:
            return storm
    return None


def storm_free(expression: str, zone: str, after: datetime) -> tuple[str, ...]:
    """The expression moved to the nearest hours before and after the gap that, for three years, start once."""
    cron, offsets = parse(expression), offsets_of(zone)
    gap = next((one for one in offsets.changes(to_minute(after), to_minute(after + _YEARS)) if one.jump > 0), None)
    if gap is None or cron.hour is None:
        return ()
    first = (gap.minute + gap.before) // HOUR % 24
    missing = {(first + step) % 24 for step in range(-(-gap.jump // HOUR))}
    found = []
    for direction in (-1, 1):
        for step in (1, 2, 3):
            hours = sorted({(one + direction * step) % 24 if one in missing else one for one in cron.hour})
            text = " ".join((cron.texts[0], ",".join(map(str, hours)), *cron.texts[2:]))
            if _starts_once(text, zone, after):
                found.append(text)
                break
    return tuple(found)


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


def _starts(cron: Cron, offsets: Offsets, after: int, until: int) -> Iterator[tuple[int, int | None]]:
    """(start, None) for each start, (first, last) for each stretch of bad minutes, as XO's timer would meet them."""
    at = after
    while at <= until:
        start = next_minute(cron, offsets, at)
        if start > at:
            if start > until:
                return
            yield start, None
            at = start
            continue
        last = at
        while next_minute(cron, offsets, last + 1) <= last + 1:
            last += 1
        yield at, last
        at = last + 1


def _plain(cron: Cron, offsets: Offsets, begin: int, end: int) -> Iterator[tuple[list[int], Storm | None]]:
    for start, _ in _starts(cron, offsets, begin, end):
        yield [start], None


def _folded(cron: Cron, offsets: Offsets, begin: int, end: int) -> list[tuple[list[int], Storm | None]]:
    """Starts of one wall time near a change become one due time; so does a whole storm night."""
    every_hour = cron.hour is None or len(cron.hour) == 24
    changes = list(offsets.changes(begin - NIGHT, end + NIGHT))
    groups: dict[object, list[int]] = {}
    storms: dict[Change, list[int]] = {}
    for start, last in _starts(cron, offsets, begin, end):
        change = next((one for one in changes if abs(start - one.minute) <= NIGHT), None)
        if last is not None:
            storms.setdefault(change or Change(start, 0, 0), []).extend((start, last))
            continue
        key: object = start
        if change is not None and not every_hour:
            key = _wall_named(cron, start + offsets.at(start), change)
        groups.setdefault(key, []).append(start)
    found: list[tuple[list[int], Storm | None]] = []
    for bad in storms.values():
        first, last = min(bad), max(bad)
        inside = sorted(one for starts in groups.values() for one in starts if first <= one <= last)
        groups = {key: starts for key, starts in groups.items() if not first <= starts[0] <= last}
        found.append((inside or [first], Storm(to_time(first), to_time(last))))
    found += [(starts, None) for starts in groups.values()]
    return sorted(found, key=lambda one: one[0][0])


def _wall_named(cron: Cron, wall: int, change: Change) -> tuple[str, int]:
    """The wall time of the expression that a start near a change stands for."""
    for candidate in (wall, wall + change.jump, wall - change.jump):
        if cron.matches(candidate):
            return "wall", candidate
    return "wall", wall


@lru_cache(maxsize=4096)
def _storm_at(expression: str, zone: str, change: Change) -> Storm | None:
    cron = parse(expression)
    if cron.hour is None:  # every hour is named, so none lacks a start in the future
        return None
    begin, end = change.minute - NIGHT, change.minute + NIGHT
    return next((storm for _, storm in _folded(cron, offsets_of(zone), begin, end) if storm is not None), None)


def _starts_once(expression: str, zone: str, after: datetime) -> bool:
    cron, offsets = parse(expression), offsets_of(zone)
    return all(
        storm is None and len(starts) == 1
        for change in offsets.changes(to_minute(after), to_minute(after + _YEARS))
        if change.jump > 0
        for starts, storm in _folded(cron, offsets, change.minute - 2 * NIGHT, change.minute + 2 * NIGHT)
    )
