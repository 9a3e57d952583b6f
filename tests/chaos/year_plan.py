"""What one episode of a year has in it, as plain data: its schedules, and what happens when. Drawn from one ``Random``.

``random.Random(text)`` draws it for the long run; hypothesis passes a ``Random`` of its own, which it can shrink.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from guard.estate.xo_records import Schedule
from guard.mechanics.due import due_times
from guard.mechanics.zones import offsets_of

YEAR = 2027
WEEKS = 52
CHANGING = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe")
ZONES = (*CHANGING, "utc", "", "Mars/Olympus_Mons")
"""'' leaves the zone out; the last one nobody knows, so XO takes it for UTC."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Planned:
    """One schedule with its job. ``zone``: '' for none; ``max_defer``: minutes; ``vms``: how many its job takes.

    ``kind``: ``backup`` or ``mirror`` (a sequence of a person's would be a third one, its members named here).
    ``trouble``: what holds it: ``chain`` (of its first VM, until ``clears`` minutes after the beginning), ``settings``
    (it has none), ``full`` (its SR is, until ``clears``), or nothing. ``lasts``: minutes that a run takes, 0 for seconds.
    ``job_of``: the name of the schedule whose job this one runs too.
    """

    name: str
    cron: str
    zone: str = ""
    kind: str = "backup"
    claim: str = "when_needed"
    on_uncertain: str = "start"
    overlap: str = "skip"
    max_defer: int = 60
    vms: int = 1
    trouble: str = ""
    clears: int = 0
    lasts: int = 0
    job_of: str = ""

    def record(self) -> Schedule:
        return Schedule(id=self.name, job_id=self.name, cron=self.cron, timezone=self.zone or None, enabled=True)


@dataclass(frozen=True)
class Happening:
    """``at``: seconds after the beginning. ``on``: a schedule's name. What ``value``, ``lasting`` and ``text`` are depends:

    To guard: ``kill`` and ``freeze`` at the ``call``-th port call from then on (0: between two looks) for ``value``
    seconds, a kill ``before`` or ``after`` that call (``text``); ``step`` its clock by ``value`` seconds for ``lasting``
    seconds; ``lost``: the answer to the ``call``-th write; ``slow``: each call takes up to ``value`` seconds for ``lasting``;
    ``hold`` and ``bypass`` (``on`` '': all) for ``value`` seconds, lifted by hand after ``lasting`` where that is not 0.
    To XO: ``restart``, ``hang``, ``gone`` for ``value`` seconds, ``disarm`` one schedule. To the pool that a schedule's VMs
    are in: ``rpu`` and ``lose`` for ``value`` seconds.
    By a person: ``enable``, ``disable``, ``delete``, ``recron`` and ``rename`` (to ``text``), ``run``; ``form`` saves the
    whole record as it was ``value`` seconds before, with ``text`` as its new name where that is not ''.
    """

    at: float
    what: str
    on: str = ""
    value: float = 0
    lasting: float = 0
    call: int = 0
    text: str = ""


@dataclass(frozen=True)
class Episode:
    """``begin`` UTC; ``hours``: how long things happen in it. ``latency``: seconds an ordinary call to XO takes."""

    begin: datetime
    hours: int
    schedules: tuple[Planned, ...]
    happenings: tuple[Happening, ...] = ()
    latency: float = 0.0

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(hours=self.hours)

    @property
    def is_calm(self) -> bool:
        """Nothing stands in the way of any run, and nothing happens: guard has nothing to do."""
        free = all(not one.trouble and not one.job_of and one.claim == "when_needed" for one in self.schedules)
        return free and not self.happenings


def draw_episode(chance: Random, week: int) -> Episode:
    """``week`` from 0 to 51: where the clocks of one of our zones change in it, the episode is about that night."""
    monday = datetime(YEAR, 1, 4, tzinfo=UTC) + timedelta(weeks=week)
    night = _change_in(monday)
    if night is None:
        begin, zones = monday + timedelta(minutes=chance.randrange(7 * 24 * 60 - 24 * 60)), ZONES
    else:
        begin, zones = night[1] - timedelta(hours=chance.randrange(6, 14)), (night[0], night[0], *ZONES)
    begin = begin.replace(second=chance.randrange(1, 60))
    hours = chance.choice((14, 18, 24, 24, 30))
    is_calm = chance.randrange(8) == 0
    if not is_calm and night is None and chance.randrange(3) == 0:
        return _hot_episode(chance, begin)
    schedules = tuple(_planned(chance, begin, hours, zones, is_calm=is_calm))
    if is_calm:
        return Episode(begin, hours, schedules)
    dues = sorted(due for one in schedules for due in dues_of(one, begin, hours))
    hot = [chance.choice(dues)] if dues else []
    happenings: list[Happening] = []
    for _ in range(chance.randrange(1, 8)):
        happenings += _happenings(chance, begin, hours, schedules, chance.choice((hot, dues)))
    happenings.sort(key=lambda one: one.at)
    return Episode(begin, hours, schedules, tuple(happenings), latency=chance.choice((0.0, 0.0, 0.05, 0.4)))


def _hot_episode(chance: Random, begin: datetime) -> Episode:
    """Few schedules, due at one minute of which everything happens close by."""
    due = (begin + timedelta(hours=3)).replace(second=0)
    cron = f"{due.minute} {due.hour} * * *"
    schedules = tuple(
        Planned(
            name=f"hot-{number}",
            cron=cron,
            claim=chance.choice(("when_needed", "always", "always")),
            on_uncertain=chance.choice(("start", "start", "skip")),
            overlap=chance.choice(("skip", "one_later")),
            max_defer=chance.choice((12, 45)),
            vms=chance.choice((1, 2)),
            trouble=chance.choice(("", "", "chain")),
            clears=180 + chance.choice((-20, 5, 10, 20, 40, 90)),
        )
        for number in range(chance.choice((1, 1, 2)))
    )
    happenings: list[Happening] = []
    for _ in range(chance.randrange(2, 5)):
        happenings += _happenings(chance, begin, HOT_HOURS, schedules, [due], is_hot=True)
    happenings.sort(key=lambda one: one.at)
    return Episode(begin, HOT_HOURS, schedules, tuple(happenings), latency=chance.choice((0.0, 0.05, 0.4, 1.5)))


def dues_of(planned: Planned, begin: datetime, hours: int) -> list[datetime]:
    """Its due times as it is planned, in the episode."""
    found = due_times(planned.record(), zone=planned.zone or "utc", after=begin, until=begin + timedelta(hours=hours))
    return [one.at for one in found]


def _change_in(monday: datetime) -> tuple[str, datetime] | None:
    """(zone, instant) of the first change of a clock in that week."""
    first = (monday - EPOCH) // timedelta(minutes=1)
    found = [
        (change.minute, zone) for zone in CHANGING for change in offsets_of(zone).changes(first, first + 7 * 24 * 60)
    ]
    return (min(found)[1], EPOCH + timedelta(minutes=min(found)[0])) if found else None


# --- schedules


def _planned(chance: Random, begin: datetime, hours: int, zones: tuple[str, ...], *, is_calm: bool) -> list[Planned]:
    found: list[Planned] = []
    frequent = 0
    for number in range(chance.randrange(2, 6)):
        zone = chance.choice(zones)
        kind = chance.choice(
            ("daily", "daily", "nightly", "nightly", "twice", "twice", "weekly", "monthly", "hourly", "often")
        )
        if kind in ("hourly", "often"):
            kind, frequent = (kind if frequent == 0 else "daily"), frequent + 1
        trouble = "" if is_calm else chance.choice(("", "", "", "chain", "chain", "part", "settings", "full"))
        lasts = 0 if is_calm else chance.choice((0, 0, 0, 0, 0, 20, 90))
        found.append(
            Planned(
                name=f"{kind}-{number}",
                cron=_cron(chance, kind, begin, hours, zone),
                zone=zone,
                claim="when_needed" if is_calm else chance.choice(("when_needed", "always")),
                on_uncertain=chance.choice(("start", "start", "skip")),
                overlap=chance.choice(("skip", "one_later")),
                max_defer=chance.choice((12, 45, 60, 150)),
                vms=2 if trouble == "part" else chance.choice((1, 1, 2)),
                trouble="chain" if trouble == "part" else trouble,
                clears=chance.randrange(0, hours * 60),
                lasts=lasts,
            )
        )
    if not is_calm and chance.randrange(4) == 0:
        zone = chance.choice(zones)
        claim = chance.choice(("when_needed", "always"))
        found.append(Planned("mirror", _cron(chance, "daily", begin, hours, zone), zone, kind="mirror", claim=claim))
    if not is_calm and chance.randrange(4) == 0:
        other = found[0]
        found.append(Planned("again", other.cron if chance.randrange(2) else _cron(chance, "daily", begin, hours, ""),
                             other.zone, claim=chance.choice(("when_needed", "always")), max_defer=other.max_defer,
                             overlap=chance.choice(("skip", "one_later")), vms=other.vms, job_of=other.name))  # fmt: skip
    return found


def _cron(chance: Random, kind: str, begin: datetime, hours: int, zone: str) -> str:
    """XO's dialect. One that names a day names one of the episode's."""
    minute = chance.choice((0, 0, 0, 0, 30, 2, 58, chance.randrange(60)))
    hour = chance.randrange(24) if kind == "daily" else chance.choice((1, 2, 2, 2, 3))
    day = _day(chance, begin, hours, zone)
    match kind:
        case "hourly":
            return f"{minute} * * * *"
        case "often":
            return f"*/20 {hour} * * *"
        case "twice":
            return chance.choice((f"0,30 {hour} * * *", f"{minute} {hour},{(hour + 1) % 24} * * *"))
        case "weekly":
            return f"{minute} {hour} * * {day.isoweekday() % 7}"
        case "monthly":
            return f"{minute} {hour} {day.day} * *"
        case _:
            return f"{minute} {hour} * * *"


def _day(chance: Random, begin: datetime, hours: int, zone: str) -> date:
    known = ZoneInfo(zone) if zone in CHANGING else UTC
    return (begin + timedelta(hours=chance.randrange(hours))).astimezone(known).date()


# --- happenings

TO_GUARD = ("kill", "kill", "kill", "freeze", "freeze", "step", "lost", "slow", "hold", "bypass")
TO_XO = ("restart", "hang", "gone", "gone", "disarm", "rpu", "rpu", "lose")
BY_PERSON = ("disable", "enable", "recron", "rename", "delete", "form", "form", "run", "run")
AWAY = (0, 5, 40, 100, 200, 600, 3 * 3600, 48 * 3600)
DOWN = (20, 60, 150, 400, 1800, 3 * 3600)
STEPS = (-3600, -600, -40, -15, -4, 3, 8, 20, 45, 600, 3600)


HOT_HOURS = 6
AROUND = ((-90, 30), (-90, 30), (-70, -50), (-5, 6), (0, 300), (-900, 900), (0, 5400))
CLOSE_BY = ((-66, -50), (-66, 5), (-8, 8), (0, 240), (-120, 120), (0, 2700))
"""Seconds before and after a due time. Guard decides 60 s before it, and gives back 3 s after."""


def _moment(chance: Random, begin: datetime, hours: int, dues: list[datetime], *, is_hot: bool) -> float:
    """Most of them near a due time, and of those most in the minutes in which guard acts."""
    if not dues or (not is_hot and chance.randrange(4) == 0):
        return float(chance.randrange(60, hours * 3600))
    around = chance.choice(CLOSE_BY if is_hot else AROUND)
    seconds = (chance.choice(dues) - begin).total_seconds() + chance.randrange(*around) + chance.randrange(20) / 20
    return min(max(60.0, seconds), hours * 3600.0)


def _happenings(
    chance: Random,
    begin: datetime,
    hours: int,
    schedules: tuple[Planned, ...],
    dues: list[datetime],
    *,
    is_hot: bool = False,
) -> list[Happening]:
    at = _moment(chance, begin, hours, dues, is_hot=is_hot)
    on = chance.choice(schedules).name
    what = chance.choice(chance.choice((TO_GUARD, TO_XO, BY_PERSON)))
    match what:
        case "kill" | "freeze":
            call = chance.choice((0, chance.randrange(1, 8), chance.randrange(1, 40)))
            return [Happening(at, what, value=chance.choice(AWAY), call=call, text=chance.choice(("before", "after")))]
        case "step":
            lasting = chance.choice((30, 90, 400, 3000))
            return [Happening(at, what, value=chance.choice(STEPS), lasting=lasting)]
        case "lost":
            return [Happening(at, what, call=chance.randrange(1, 6))]
        case "slow":
            return [Happening(at, what, value=chance.choice((3, 8, 20)), lasting=chance.choice((120, 600)))]
        case "hold" | "bypass":
            value = chance.choice((600, 3600, 5 * 3600))
            return [
                Happening(at, what, on=chance.choice((on, on, "")), value=value, lasting=chance.choice((0, value / 3)))
            ]
        case "restart" | "hang" | "gone" | "lose" | "rpu":
            return [Happening(at, what, on, value=chance.choice(DOWN))]
        case "disable" | "delete":
            back = chance.choice((0, 0, 10, 300, 7200))
            more = [Happening(at + back, "enable", on)] if back else []
            return [Happening(at, what, on), *more]
        case "recron":
            near = (begin + timedelta(seconds=at + chance.choice((240, 1200, 7200)))).replace(second=0)
            text = chance.choice((f"{near.minute} {near.hour} * * *", "0 3 * * *", "30 2 * * *", "0,30 2 * * *"))
            return [Happening(at, what, on, text=text)]
        case "rename":
            return [Happening(at, what, on, text=f"{on} of mine")]
        case "form":
            return [
                Happening(
                    at, what, on, value=chance.choice((5, 30, 70, 600, 7200)), text=chance.choice(("", f"{on}, saved"))
                )
            ]
        case _:
            return [Happening(at, what, on)]
