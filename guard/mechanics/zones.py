"""Time zones as XO looks them up, and their UTC offsets as plain minutes.

XO asks moment-timezone, which ignores case and takes ``/`` and ``_`` for the same; a zone it does not know leaves the
schedule in UTC (@xen-orchestra/cron index.js; failure-modes.md 7.2). The data come from zoneinfo: the machine's tzdata,
else the tzdata package. moment-timezone's tables end in 2037, so agreement is promised from 1973 to 2037 only.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

HOUR = 60
DAY = 24 * HOUR
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY = date(1970, 1, 1).isoweekday()
_BLOCK_BITS = 19  # offsets are kept in blocks of 2**19 minutes, 364 days
_UNKNOWN_TO_XO = frozenset({"factory", "localtime"})  # zoneinfo's own extras


class Change(NamedTuple):
    """A zone's clocks change at ``minute`` (minutes since 1970 UTC); offsets are minutes east of UTC."""

    minute: int
    before: int
    after: int

    @property
    def jump(self) -> int:
        """How far the clocks go forward: positive for a gap, negative for a repeated stretch. Minutes."""
        return self.after - self.before


class Offsets:
    """UTC offsets of one zone, in minutes, by minute since 1970 UTC."""

    __slots__ = ("_blocks", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._blocks: dict[int, tuple[list[int], list[int]]] = {}

    def at(self, minute: int) -> int:
        """The offset in force at ``minute``."""
        number = minute >> _BLOCK_BITS
        starts, offsets = self._blocks.get(number) or self._read_block(number)
        return offsets[bisect_right(starts, minute) - 1]

    def changes(self, after: int, until: int) -> Iterator[Change]:
        """The offset changes in (after, until], in order."""
        for number in range(after >> _BLOCK_BITS, (until >> _BLOCK_BITS) + 1):
            starts, offsets = self._blocks.get(number) or self._read_block(number)
            for start, offset in zip(starts, offsets, strict=True):
                before = self.at(start - 1)
                if after < start <= until and before != offset:
                    yield Change(start, before, offset)

    def _read_block(self, number: int) -> tuple[list[int], list[int]]:
        """Look at each day of a block, then narrow a change down to its minute. No zone changes twice a day."""
        begin, end = number << _BLOCK_BITS, (number + 1) << _BLOCK_BITS
        starts, offsets = [begin], [self._ask(begin)]
        for day in range(begin, end, DAY):
            low, high = day, min(day + DAY, end - 1)
            offset = self._ask(high)
            if offset == offsets[-1]:
                continue
            while high - low > 1:
                middle = (low + high) // 2
                if self._ask(middle) == offset:
                    high = middle
                else:
                    low = middle
            starts.append(high)
            offsets.append(offset)
        self._blocks[number] = (starts, offsets)
        return starts, offsets

    def _ask(self, minute: int) -> int:
        offset = datetime.fromtimestamp(minute * 60, self._zone).utcoffset()
        return int(offset.total_seconds() // 60) if offset else 0


class WallClock:
    """A wall time and an offset, in minutes, changed the way moment-timezone changes them.

    Setting an hour, date or month keeps the wall time and looks the offset up once, with the old offset: a wall time
    that does not exist stays until the next change that keeps the instant (minutes, copies). That is where XO's early
    starts come from.
    """

    __slots__ = ("_offset", "_offset_at", "wall")

    def __init__(self, offset_at: Callable[[int], int], instant: int) -> None:
        self._offset_at = offset_at
        self._offset = offset_at(instant)
        self.wall = instant + self._offset

    @property
    def instant(self) -> int:
        return self.wall - self._offset

    @property
    def minute(self) -> int:
        return self.wall % HOUR

    @property
    def hour(self) -> int:
        return self.wall // HOUR % 24

    @property
    def weekday(self) -> int:
        """0 is Sunday."""
        return (self.wall // DAY + _EPOCH_WEEKDAY) % 7

    @property
    def day(self) -> int:
        return wall_date(self.wall).day

    @property
    def month(self) -> int:
        """0 is January."""
        return wall_date(self.wall).month - 1

    def copy(self) -> WallClock:
        return WallClock(self._offset_at, self.instant)

    def set_minute(self, minute: int) -> None:
        self._add_keeping_instant(minute - self.minute)

    def set_hour(self, hour: int) -> None:
        self._add_keeping_wall((hour - self.hour) * HOUR)

    def set_weekday(self, weekday: int) -> None:
        self._add_keeping_wall((weekday - self.weekday) * DAY)

    def set_date(self, day: int) -> None:
        """The 31st of a shorter month runs over into the next, as in JavaScript."""
        self._add_keeping_wall((day - self.day) * DAY)

    def set_month(self, month: int) -> None:
        self._add_months(month - self.month)

    def add_hour(self) -> None:
        self._add_keeping_instant(HOUR)

    def add_day(self) -> None:
        self._add_keeping_wall(DAY)

    def add_week(self) -> None:
        self._add_keeping_wall(7 * DAY)

    def add_month(self) -> None:
        self._add_months(1)

    def add_year(self) -> None:
        self._add_months(12)

    def _add_months(self, count: int) -> None:
        """The 31st becomes the last day of a shorter month."""
        today = wall_date(self.wall)
        year, month = divmod(today.year * 12 + today.month - 1 + count, 12)
        day = min(today.day, monthrange(year, month + 1)[1])
        self._add_keeping_wall((date(year, month + 1, day) - today).days * DAY)

    def _add_keeping_wall(self, minutes: int) -> None:
        self.wall += minutes
        self._offset = self._offset_at(self.instant)

    def _add_keeping_instant(self, minutes: int) -> None:
        instant = self.instant + minutes
        self._offset = self._offset_at(instant)
        self.wall = instant + self._offset


def wall_date(wall: int) -> date:
    """The calendar date of a wall time in minutes since 1970."""
    return date.fromordinal(wall // DAY + _EPOCH_ORDINAL)


@lru_cache(maxsize=1024)
def resolve(name: str) -> tzinfo | None:
    """The zone XO takes for ``name``; None when it knows no such zone, and then uses UTC. ``local`` names no zone."""
    key = _key(name)
    if key == "utc":
        return UTC
    known = _names().get(key)
    return ZoneInfo(known) if known else None


def zone_or_utc(name: str) -> tzinfo:
    """The zone XO uses for ``name``: UTC where it knows none of that name."""
    return resolve(name) or UTC


def next_showing(wall: time, zone: tzinfo, now: datetime) -> datetime:
    """The next moment after ``now`` at which a clock of the zone shows ``wall``; in UTC.

    A day whose clocks leave that time out is passed over; where they show it twice, either may be it.
    """
    day = now.astimezone(zone).date()
    while True:
        for fold in (0, 1):
            moment = datetime.combine(day, wall.replace(fold=fold), zone).astimezone(UTC)
            if moment > now and moment.astimezone(zone).time() == wall:
                return moment
        day += timedelta(days=1)


@lru_cache(maxsize=1024)
def offsets_of(name: str) -> Offsets:
    """Offsets of the zone XO takes for ``name``, UTC when it knows none.

    Raises ValueError for ``local``: that is the zone of the XO server, which only the caller can know.
    """
    if name == "local":
        raise ValueError('"local" is the zone of the XO server: put its name in place of "local"')
    return _offsets(zone_or_utc(name))


@lru_cache(maxsize=1024)
def _offsets(zone: tzinfo) -> Offsets:
    return Offsets(zone)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    return {_key(name): name for name in available_timezones() if _key(name) not in _UNKNOWN_TO_XO}


def _key(name: str) -> str:
    return name.lower().replace("/", "_")
