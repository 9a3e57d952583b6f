"""XO's cron dialect and its next start, bit for bit, clock changes included.

Source: @xen-orchestra/cron 1.0.7 with moment-timezone (failure-modes.md section 7). The dialect is not standard: months
are 0 to 11, Wednesday is ``wen``, a wrapped range adds nothing and an empty field means every value.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from guard.mechanics.zones import HOUR, Offsets, WallClock, offsets_of, wall_date

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_MONTH_STEPS = 5  # XO looks at no more months than this
_DIGITS = frozenset("0123456789")
_PRESETS = {
    "@yearly": "0 0 1 jan *",
    "@annually": "0 0 1 jan *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * sun",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wen", "thu", "fri", "sat")  # sic: XO has no `wed`
_FIVE_FIELDS = "five fields (minute, hour, day of month, month, day of week)"

Values = tuple[int, ...] | None


class CronError(ValueError):
    """An expression XO cannot run. ``position``: 0-based offset of the fault in the expression."""

    def __init__(self, expression: str, position: int, remedy: str) -> None:
        self.position = position
        super().__init__(f'"{expression}", position {position}: {remedy}')


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. Each field's values in ascending order, None for any; months 0 to 11, days 0 (Sunday) to 6.

    ``expression``: as written. ``texts``: its five fields, a preset's as XO spells it out; the third starts at
    ``date_position``.
    """

    minute: Values
    hour: Values
    date: Values
    month: Values
    day: Values
    texts: tuple[str, str, str, str, str]
    date_position: int
    expression: str

    def matches(self, wall: int) -> bool:
        """Whether the expression names a wall time, given in minutes since 1970 of the wall clock."""
        if not _allows(self.hour, wall // HOUR % 24) or not _allows(self.minute, wall % HOUR):
            return False
        today = wall_date(wall)
        if not _allows(self.month, today.month - 1):
            return False
        by_date, by_day = _allows(self.date, today.day), _allows(self.day, today.isoweekday() % 7)
        if self.date is None or self.day is None:
            return by_date and by_day
        return by_date or by_day


class _Field(NamedTuple):
    plural: str
    low: int
    high: int
    note: str = ""
    names: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        return f"{self.plural} are {self.low} to {self.high}{self.note}"


_FIELDS = (
    _Field("minutes", 0, 59),
    _Field("hours", 0, 23),
    _Field("days of the month", 1, 31),
    _Field("months", 0, 11, " (0 is January)", _MONTHS),
    _Field("days of the week", 0, 6, " (0 and 7 are Sunday)", _DAYS),
)


@lru_cache(maxsize=4096)
def parse(expression: str) -> Cron:
    """Read an expression as XO does. Raises CronError for what XO refuses, and for step 0, on which XO hangs."""
    reader = _Reader(expression)
    values: list[Values] = []
    starts: list[int] = []
    texts: list[str] = []
    for field in _FIELDS:
        reader.skip_blanks()
        starts.append(reader.position)
        values.append(reader.read_field(field))
        texts.append(reader.text[starts[-1] : reader.position])
    reader.skip_blanks()
    if reader.here:
        raise reader.error(f"XO takes {_FIVE_FIELDS} and nothing after them")
    minute, hour, day_of_month, month, day = values
    fields = (texts[0], texts[1], texts[2], texts[3], texts[4])
    return Cron(minute, hour, day_of_month, month, day, fields, starts[2], expression)


class _Reader:
    """Walks over an expression character by character."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.text = _PRESETS.get(expression, expression)
        self.position = 0

    @property
    def here(self) -> str:
        """The character at hand, empty at the end."""
        return self.text[self.position : self.position + 1]

    def error(self, remedy: str, position: int | None = None) -> CronError:
        return CronError(self.expression, self.position if position is None else position, remedy)

    def skip_blanks(self) -> None:
        while self.here in (" ", "\t"):
            self.position += 1

    def read_field(self, field: _Field) -> Values:
        """A comma list; None when it yields no value, which XO takes for every value."""
        values: set[int] = set()
        while True:
            values.update(self._read_item(field))
            if not self._take(","):
                return tuple(sorted(values)) or None

    def _read_item(self, field: _Field) -> range | tuple[int, ...]:
        if self._take("*"):
            return range(field.low, field.high + 1, self._read_step()) if self._take("/") else ()
        first = self._read_value(field)
        if not self._take("-"):
            return (first,)
        last = self._read_value(field)
        return range(first, last + 1, self._read_step() if self._take("/") else 1)

    def _read_value(self, field: _Field) -> int:
        start = self.position
        if self.here not in _DIGITS:
            return self._read_name(field)
        value = self._read_number("")
        if value == 7 and field.plural == "days of the week":
            value = 0
        if not field.low <= value <= field.high:
            raise self.error(field.range, start)
        return value

    def _read_name(self, field: _Field) -> int:
        word = self.text[self.position : self.position + 3]
        if word in field.names:
            self.position += 3
            return field.low + field.names.index(word)
        raise self.error(self._advice(field, word))

    def _advice(self, field: _Field, word: str) -> str:
        """What would be right where a value is missing."""
        if self.text.startswith("@"):
            return f"XO's presets are {', '.join(_PRESETS)}"
        if not word:
            return f"XO takes {_FIVE_FIELDS}; {field.range}"
        if field.names and word.lower() == "wed":
            return "XO spells Wednesday `wen`"
        if word.lower() in field.names:
            return f"XO spells it `{word.lower()}`, in lower case"
        if word.startswith("/"):
            return 'a step follows "*" or a range, such as "*/15" or "5-59/15"'
        if self.position and self.text[self.position - 1].isalpha():
            return "XO's names of months and days have three letters"
        named = f", or {', '.join(field.names)}" if field.names else ""
        return f'{field.range}{named}, or "*"'

    def _read_step(self) -> int:
        start = self.position
        return self._read_number("a step is a number, 1 or more") or self._refuse_zero(start)

    def _refuse_zero(self, position: int) -> int:
        raise self.error("a step is 1 or more; XO hangs on step 0", position)

    def _read_number(self, remedy: str) -> int:
        """Digits as a number; of a very long one the first nine, which is out of any range just the same."""
        start = self.position
        while self.here in _DIGITS:
            self.position += 1
        if start == self.position:
            raise self.error(remedy)
        return int(self.text[start : self.position].lstrip("0")[:9] or "0")

    def _take(self, character: str) -> bool:
        if self.here != character:
            return False
        self.position += 1
        return True


def xo_next(expression: str, zone: str, after: datetime) -> datetime:
    """The instant (UTC) for which XO arms its timer when it looks at ``after`` (aware).

    Around clock changes this may be an hour the expression does not name, or lie at or before ``after``. An unknown
    zone is UTC. Raises CronError for a bad or impossible expression, ValueError for zone ``local`` or naive ``after``.
    """
    if after.tzinfo is None:
        raise ValueError("after must carry a time zone")
    return to_time(next_minute(parse(expression), offsets_of(zone), to_minute(after)))


def to_minute(moment: datetime) -> int:
    """An aware datetime as whole minutes since 1970 UTC, rounded down."""
    return (moment - EPOCH) // MINUTE


def to_time(minute: int) -> datetime:
    """Minutes since 1970 UTC as a datetime in UTC."""
    return EPOCH + timedelta(minutes=minute)


def next_minute(cron: Cron, offsets: Offsets, after: int) -> int:
    """``xo_next`` in minutes since 1970 UTC. The order of steps is XO's (@xen-orchestra/cron next.js): it decides."""
    clock = WallClock(offsets.at, after + 1)
    first_hour, first_minute = cron.hour[0] if cron.hour else 0, cron.minute[0] if cron.minute else 0
    _seek(clock, cron.minute, clock.minute, clock.set_minute, clock.add_hour)
    if _seek(clock, cron.hour, clock.hour, clock.set_hour, clock.add_day):
        clock.set_minute(first_minute)
    for _ in range(_MONTH_STEPS):
        if cron.month and _seek(clock, cron.month, clock.month, clock.set_month, clock.add_year):
            clock.set_date(1)
            clock.set_hour(first_hour)
            clock.set_minute(first_minute)
        if cron.date is None and cron.day is None:
            return clock.instant
        found = _seek_day(clock, cron)
        if found.instant == clock.instant:
            return clock.instant
        same_month = found.month == clock.month
        clock = found
        clock.set_hour(first_hour)
        clock.set_minute(first_minute)
        if same_month:
            return clock.instant
    raise CronError(
        cron.expression,
        cron.date_position,
        "no solutions: the day of the month does not come in these months, or not in the years XO looks at",
    )


def _seek_day(clock: WallClock, cron: Cron) -> WallClock:
    """A copy at the next day allowed: the earlier of both when day of month and day of week are given."""
    by_day, by_date = clock.copy(), clock.copy()
    _seek(by_day, cron.day, by_day.weekday, by_day.set_weekday, by_day.add_week)
    _seek(by_date, cron.date, by_date.day, by_date.set_date, by_date.add_month)
    if cron.date is None:
        return by_day
    if cron.day is None:
        return by_date
    return by_day if by_day.instant < by_date.instant else by_date


def _seek(
    clock: WallClock, values: Values, current: int, move: Callable[[int], None], step: Callable[[], None]
) -> bool:
    """Move to the next allowed value of one unit, and a larger step ahead when that went back. False: nothing to do."""
    if values is None:
        return False
    wanted = values[bisect_left(values, current) % len(values)]
    if wanted == current:
        return False
    before = clock.instant
    move(wanted)
    if clock.instant < before:
        step()
    return True


def _allows(values: Values, value: int) -> bool:
    return values is None or value in values
