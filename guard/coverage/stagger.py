"""Another time for a schedule that collides: the nearest one at which it meets nothing. Only suggested, never set.

Of two schedules the one with less work to move goes first. Its times of day all move by the same step, so that what they
stand for stays: the days, the months, the distance between them. A sequence's member never moves alone. A time is free

* where no run of the week collides (one of unknown length counts for an hour),
* where it shares its repositories with no more runs than now, and XO as a whole has no more exports at once,
* where it adds nothing to what passes a limit of the policy, and the policy's windows let every run start and end,
* where no clock change of the next three years starts it twice or again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

import msgspec

from guard.assess import rules_of
from guard.coverage.collisions import Collision, Place, Shared, collision, collisions, related, sharing
from guard.coverage.timetable import Busy, Line, Timetable, above, moved, night_end, peak
from guard.decision.windows import opening
from guard.estate.estate import Estate
from guard.mechanics.cron import parse
from guard.mechanics.due import is_calm
from guard.policy.schema import Policy

STEP_MIN = 5
FURTHEST = timedelta(hours=12)
MOST = 50
"""So many schedules get a suggestion at most; what is left looks different once these were moved."""
MOST_SEARCHES = 100
"""So many searches for a free time are made: one that finds none takes a twentieth of a second."""
_DAY_MIN = 24 * 60


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What the week looks like: pairs of runs that collide, and that share a repository; the most exports at once in XO.

    ``night_end``: the latest end of a night's runs.
    """

    collisions: int
    shared: int
    exports: int
    night_end: datetime | None


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule, by id, its cron as it is and as it might be, by how many minutes that is later (earlier: negative).

    ``before`` and ``after``: the week without it and with it, all suggestions before it taken.
    """

    schedule: str
    cron: str
    zone: str
    suggested: str
    minutes: int
    before: Effect
    after: Effect


class NoSlot(msgspec.Struct, frozen=True, kw_only=True):
    """Schedules, by id, that stay in each other's way, and why none of them can be moved. ``place``: what they crowd, or ''."""

    schedules: tuple[str, ...]
    place: str
    reason: str


class Stagger(msgspec.Struct, frozen=True, kw_only=True):
    """``before``: the week as it is; ``after``: with every suggestion, computed anew from their crons.

    ``left``: pairs that were not looked at, as there were too many.
    """

    suggestions: tuple[Suggestion, ...]
    no_slot: tuple[NoSlot, ...]
    before: Effect
    after: Effect
    left: int = 0


def effect(lines: Sequence[Line], found: Iterable[Collision], zone: tzinfo) -> Effect:
    """The figures of one week."""
    return Effect(
        collisions=sum(one.times for one in found),
        shared=sharing(lines),
        exports=_exports(lines),
        night_end=night_end(lines, zone),
    )


def _exports(lines: Iterable[Line]) -> int:
    return peak((slot, line.exports) for line in lines for slot in line.slots)[0]


def shifted(expression: str, minutes: int) -> str | None:
    """An expression with all its times of day moved; None where that changes its days, or it has several minutes an hour."""
    cron = parse(expression)
    rest = " ".join(cron.texts[2:])
    if cron.minute is None or len(cron.minute) > 1:
        return None
    minute = cron.minute[0]
    if cron.hour is None:
        return f"{(minute + minutes) % 60} {cron.texts[1]} {rest}" if abs(minutes) < 60 else None
    times = [hour * 60 + minute + minutes for hour in cron.hour]
    daily = cron.date is None and cron.month is None and cron.day is None
    if not daily and not (times[0] >= 0 and times[-1] < _DAY_MIN):
        return None
    hours = sorted({time % _DAY_MIN // 60 for time in times})
    return f"{times[0] % 60} {','.join(map(str, hours))} {rest}"


def stagger(table: Timetable, policy: Policy, estate: Estate, where: Sequence[Place], zone: tzinfo) -> Stagger:
    """Suggestions one after another, each for what the ones before it left."""
    pairs = related(table.lines)
    week = _Week(table, policy, estate, [one for one in where if one.slots is not None], pairs)
    before = now = week.effect(zone)
    suggestions: list[Suggestion] = []
    no_slot: list[NoSlot] = []
    trouble = week.troubles()
    left = 0
    for tried, (numbers, place) in enumerate(trouble):
        if len(suggestions) == MOST or week.searches >= MOST_SEARCHES:
            left = sum(1 for rest in trouble[tried:] if week.stands(*rest))
            break
        told = week.relieve(numbers, place)
        if isinstance(told, NoSlot):
            no_slot.append(told)
            continue
        if told is None:  # what was moved before cleared it
            continue
        number, new, minutes = told
        old = week.lines[number]
        week.take(number, new)
        after = week.effect(zone)
        suggestions.append(
            Suggestion(
                schedule=old.schedule.id,
                cron=old.schedule.cron,
                zone=old.zone,
                suggested=new.schedule.cron,
                minutes=minutes,
                before=now,
                after=after,
            )
        )
        now = after
    return Stagger(
        suggestions=tuple(suggestions),
        no_slot=tuple(no_slot),
        before=before,
        after=effect(week.lines, collisions(week.lines, pairs), zone),
        left=left,
    )


class _Week:
    """The timetable while suggestions are tried on it. Only what a moved line takes part in is looked at again."""

    def __init__(
        self,
        table: Timetable,
        policy: Policy,
        estate: Estate,
        limited: Sequence[Place],
        pairs: Sequence[tuple[int, int, Shared]],
    ) -> None:
        self.lines = list(table.lines)
        self._table = table
        self._policy = policy
        self._estate = estate
        self._limited = limited
        self._with: dict[int, dict[int, Shared]] = {number: {} for number in range(len(self.lines))}
        self._met: dict[tuple[int, int], Collision] = {}
        self._stuck: set[int] = set()  # without a free time, as long as nothing else moves
        self.searches = 0
        for one, other, shared in pairs:
            self._with[one][other] = self._with[other][one] = shared
            found = collision(self.lines[one], self.lines[other], shared)
            if found is not None:
                self._met[one, other] = found

    def effect(self, zone: tzinfo) -> Effect:
        return effect(self.lines, self._met.values(), zone)

    def take(self, number: int, line: Line) -> None:
        """Put a moved line in the place of the one it was."""
        self.lines[number] = line
        self._stuck.clear()
        for other, shared in self._with[number].items():
            key = (min(number, other), max(number, other))
            found = collision(self.lines[key[0]], self.lines[key[1]], shared)
            self._met.pop(key, None)
            if found is not None:
                self._met[key] = found

    def troubles(self) -> list[tuple[tuple[int, ...], Place | None]]:
        """Numbers of the lines that collide, the first to do so first; then those that crowd a place beyond its limit."""
        keys = sorted(self._met, key=lambda key: (self._met[key].first, key))
        crowded = [place for place in self._limited if self._beyond(place, self.lines)]
        by_work = sorted(range(len(self.lines)), key=lambda number: self.lines[number].work)
        pairs: list[tuple[tuple[int, ...], Place | None]] = [(key, None) for key in keys]
        return pairs + [
            ((number,), place) for place in crowded for number in by_work if place.holds(self.lines[number])
        ]

    def stands(self, numbers: tuple[int, ...], place: Place | None) -> bool:
        """Whether a trouble is still there, and of a crowded place, whether the line has a part in it."""
        if place is None:
            return numbers in self._met
        others = [one for number, one in enumerate(self.lines) if number not in numbers]
        return self._beyond(place, self.lines) > self._beyond(place, others)

    def relieve(self, numbers: tuple[int, ...], place: Place | None) -> tuple[int, Line, int] | NoSlot | None:
        """(number, moved line, minutes) of the line to move; None where there is nothing to relieve any more."""
        if not self.stands(numbers, place):
            return None
        if place is None and numbers[0] == numbers[1]:
            own = self.lines[numbers[0]].schedule.id
            return NoSlot(
                schedules=(own,), place="", reason="it is due again before its run has ended, at any time of the day"
            )
        reasons = {}
        for number in sorted(numbers, key=lambda one: self.lines[one].work):
            line = self.lines[number]
            why = self._unmovable(line)
            found = None if why else self._free(number)
            if found is not None:
                return number, *found
            reasons[line.schedule.name] = why or "no free time within 12 h"
        told = [f"{name}: {why}" if len(reasons) > 1 else why for name, why in reasons.items()]
        return NoSlot(
            schedules=tuple(self.lines[number].schedule.id for number in numbers),
            place=place.name if place is not None else "",
            reason="; ".join(told),
        )

    def _unmovable(self, line: Line) -> str:
        if line.via:
            return "it is a member of a sequence"
        if all(shifted(line.schedule.cron, minutes) is None for minutes in (STEP_MIN, -STEP_MIN)):
            return "its times cannot be moved together"
        return ""

    def _free(self, number: int) -> tuple[Line, int] | None:
        """The line at the nearest free time, and by how many minutes that is later."""
        if number in self._stuck:
            return None
        self.searches += 1
        line = self.lines[number]
        others = [one for index, one in enumerate(self.lines) if index != number]
        hard = Busy(slot for one in self._with[number] if one != number for slot in self.lines[one].reserved)
        shared = [
            Busy(slot for one in others if system in one.systems for slot in one.slots) for system in line.systems
        ]
        most = sum(one.meeting(line.slots) for one in shared)
        own = Busy(line.slots).among()
        for new, minutes in self._candidates(line):
            if (
                hard.meeting(new.reserved) == 0
                and sum(one.meeting(new.slots) for one in shared) <= most
                and Busy(new.slots).among() <= own
                and self._crowds_no_more(others, line, new)
                and self._is_allowed(new)
            ):
                return new, minutes
        self._stuck.add(number)
        return None

    def _candidates(self, line: Line) -> Iterator[tuple[Line, int]]:
        """The line at other times of the day, the nearest first, later before earlier."""
        seen = {line.schedule.cron}
        for minutes in range(STEP_MIN, int(FURTHEST.total_seconds()) // 60 + 1, STEP_MIN):
            for by in (minutes, -minutes):
                cron = shifted(line.schedule.cron, by)
                if cron is not None and cron not in seen:
                    seen.add(cron)
                    yield moved(line, cron, self._table.begin, self._table.end), by

    def _beyond(self, place: Place, lines: Iterable[Line]) -> int:
        slots = (slot for line in lines if place.holds(line) for slot in line.slots)
        return above(slots, place.slots) if place.slots is not None else 0

    def _crowds_no_more(self, others: Sequence[Line], old: Line, new: Line) -> bool:
        """Whether it adds nothing to what passes a limit of the policy, and no more VMs are exported at once than now."""
        limited = (one for one in self._limited if one.holds(new))
        if any(self._beyond(one, [*others, new]) > self._beyond(one, others) for one in limited):
            return False
        return _exports([*others, new]) <= _exports([*others, old])

    def _is_allowed(self, line: Line) -> bool:
        """Whether the clocks and the policy's windows leave every run alone."""
        windows = rules_of(self._policy, self._estate, line.schedule).windows
        for begin, end in line.slots if windows else ():
            found = opening(windows, datetime.fromtimestamp(begin, UTC))
            if not found.is_open or (found.closes is not None and found.closes.timestamp() < end):
                return False
        return bool(line.slots) and is_calm(line.schedule.cron, line.zone, self._table.begin)
