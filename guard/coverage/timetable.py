"""The coming week as a timetable: when each schedule's runs are at work, by what their past says.

A run lasts for the P95 of its past runs, where enough of them tell, else of those of its job's other schedules, which take the
same VMs; otherwise it has its first minute only. The members of a
sequence begin one after another, each when the one before it usually ends (P50), as XO waits for it: what comes after a
member of unknown duration is not in the timetable. Times are whole seconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import cast

import msgspec

from guard.agenda import Note, make_agenda
from guard.assess import rules_of
from guard.checks.options import OverlapOptions
from guard.estate.xo_records import Job, Schedule
from guard.mechanics.due import DueTime, due_times, sequence_members
from guard.mechanics.history import percentile, quantiles
from guard.mechanics.outlook import Outlook, repository_ids, target_sr_ids
from guard.mechanics.settings import effective
from guard.policy.schema import Policy

AHEAD = timedelta(days=7)
PERCENT = 95
_MINUTE = 60
_RESERVED = 3600
_NOON = timedelta(hours=12)
_NIGHT_FROM, _NIGHT_UNTIL = 18, 6  # o'clock: what begins meanwhile belongs to a night

Slot = tuple[int, int]
"""When a run is at work: from the first second to the one after its last."""


@dataclass(frozen=True)
class Line:
    """One schedule's runs of the week. ``vms``: a bit for each VM of the estate.

    ``seconds``: how long a run lasts, None where the past does not tell. ``samples``: by so many runs. ``exports``: VMs at a
    time. ``systems``: file systems of the repositories it works on, by the id of their first; ``srs`` and ``pools``: of its
    VMs. ``via``: the id of the sequence's schedule, ''.
    """

    schedule: Schedule
    job: Job
    zone: str
    via: str
    seconds: float | None
    samples: int
    exports: int
    vms: int
    systems: frozenset[str]
    srs: frozenset[str]
    pools: frozenset[str]
    slots: tuple[Slot, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.schedule.id, self.via

    @property
    def length(self) -> int:
        """Seconds of one slot."""
        return max(_MINUTE, round(self.seconds or 0))

    @property
    def reserved(self) -> tuple[Slot, ...]:
        """The slots to keep free for it: an hour for a run of unknown length."""
        return self.slots if self.seconds is not None else tuple((begin, begin + _RESERVED) for begin, _ in self.slots)

    @property
    def work(self) -> tuple[float, str, str]:
        """How much moving it disturbs: VM-seconds of a run, then the name."""
        return self.vms.bit_count() * self.length, self.schedule.name, self.schedule.id


@dataclass(frozen=True)
class Timetable:
    """``lines`` by schedule and sequence; ``untold``: names of schedules whose runs have no known length.

    ``notes``: due times that could not be told, as the plan says them.
    """

    lines: tuple[Line, ...]
    untold: tuple[str, ...]
    notes: tuple[Note, ...]
    begin: datetime
    end: datetime


def timetable(outlook: Outlook, policy: Policy) -> Timetable:
    """Every enabled schedule's runs of the coming week, through sequences too."""
    end = outlook.now + AHEAD
    seconds = outlook.history.seconds
    agenda = make_agenda(
        outlook.estate,
        after=outlook.now,
        until=end,
        local_zone=policy.xo.zone,
        seconds_of=lambda schedule: quantiles(seconds.get(schedule, ())).p50,
    )
    dues: dict[tuple[str, str], list[DueTime]] = {}
    for due in agenda.dues:
        dues.setdefault((due.schedule_id, due.via), []).append(due)
    bits = {vm.id: 1 << number for number, vm in enumerate(outlook.estate.vms)}
    lines, untold = [], []
    for (schedule, _), own in dues.items():
        line = _line(outlook, policy, outlook.estate.schedule_by_id[schedule], own, bits)
        lines.append(line)
        if line.seconds is None:
            untold.append(line.schedule.name)
    kept = _placed(outlook, lines)
    return Timetable(tuple(kept), tuple(untold), agenda.notes, outlook.now, end)


def moved(line: Line, cron: str, begin: datetime, end: datetime) -> Line:
    """The same line with another expression."""
    schedule = msgspec.structs.replace(line.schedule, cron=cron)
    dues = due_times(schedule, zone=line.zone, after=begin, until=end)
    return replace(line, schedule=schedule, slots=_slots((due.at for due in dues), line.length))


def _line(
    outlook: Outlook, policy: Policy, schedule: Schedule, dues: Sequence[DueTime], bits: Mapping[str, int]
) -> Line:
    estate, job = outlook.estate, outlook.estate.job_by_id[schedule.job_id or ""]
    options = cast(OverlapOptions, rules_of(policy, estate, schedule).checks["overlap"])
    via, past = dues[0].via, _past(outlook, schedule, options.min_samples if not dues[0].via else 1)
    seconds = percentile(past, PERCENT if not via else 50)
    vms = outlook.selection_of(job).ids
    concurrency = effective(job, schedule.id).concurrency
    known = [estate.vm_by_id[vm] for vm in vms]
    mask = 0
    for vm in vms:
        mask |= bits[vm]
    line = Line(
        schedule=schedule,
        job=job,
        zone=dues[0].zone,
        via=via,
        seconds=seconds,
        samples=len(past),
        exports=max(1, min(concurrency or len(vms), len(vms))),
        vms=mask,
        systems=frozenset(outlook.file_systems.get(one, one) for one in _repositories(job)),
        srs=frozenset((*_srs(outlook, vms), *target_sr_ids(job))),
        pools=frozenset(vm.pool for vm in known if vm.pool),
        slots=(),
    )
    return replace(line, slots=_slots((due.at for due in dues), line.length if not via else int(seconds or 0)))


def _past(outlook: Outlook, schedule: Schedule, enough: int) -> Sequence[float]:
    """Seconds of past runs: its own, else those of the job's other schedules; none where fewer than enough are known."""
    seconds = outlook.history.seconds
    own = seconds.get(schedule.id, ())
    if len(own) >= enough:
        return own
    same = [one.id for one in outlook.estate.schedules if one.job_id == schedule.job_id]
    others = [value for one in same for value in seconds.get(one, ())]
    return others if len(others) >= enough else ()


def _repositories(job: Job) -> tuple[str, ...]:
    source = (job.source_remote,) if job.source_remote else ()
    return (*source, *repository_ids(job))


def _srs(outlook: Outlook, vms: Iterable[str]) -> set[str]:
    return {disk.sr for vm in vms for _, disk in outlook.drives(vm) if disk is not None and disk.sr}


def _slots(starts: Iterable[datetime], length: int) -> tuple[Slot, ...]:
    return tuple(sorted((begin, begin + length) for begin in (int(at.timestamp()) for at in starts)))


def _placed(outlook: Outlook, lines: Sequence[Line]) -> list[Line]:
    """Without the members of a sequence that come after, or are, one of unknown duration: when they begin cannot be told."""
    lost: set[tuple[str, str]] = set()
    by_key = {line.key: line for line in lines}
    for via in {line.via for line in lines if line.via}:
        call = outlook.estate.call_job_by_id[outlook.estate.schedule_by_id[via].job_id or ""]
        known = True
        for member in sequence_members(call):
            line = by_key.get((member, via))
            known = known and line is not None and line.seconds is not None
            if not known:
                lost.add((member, via))
    return [line for line in lines if line.key not in lost]


class Busy:
    """When a set of runs is at work, to be asked how many meet a stretch of time."""

    def __init__(self, slots: Iterable[Slot]) -> None:
        own = list(slots)
        self.begins = sorted(begin for begin, _ in own)
        self.ends = sorted(end for _, end in own)

    def meeting(self, slots: Iterable[Slot]) -> int:
        """How many pairs of a given slot and one of these share a second."""
        return sum(bisect_left(self.begins, end) - bisect_right(self.ends, begin) for begin, end in slots)

    def among(self) -> int:
        """How many pairs of these share a second."""
        return sum(number - bisect_right(self.ends, begin) for number, begin in enumerate(self.begins))


def peak(weighted: Iterable[tuple[Slot, int]]) -> tuple[int, int | None]:
    """The largest sum of weights at one moment, and the first second of it; 0 and None without any."""
    steps: dict[int, int] = {}
    for (begin, end), weight in weighted:
        steps[begin] = steps.get(begin, 0) + weight
        steps[end] = steps.get(end, 0) - weight
    level, highest, at = 0, 0, None
    for second in sorted(steps):
        level += steps[second]
        if level > highest:
            highest, at = level, second
    return highest, at


def above(slots: Iterable[Slot], limit: int) -> int:
    """For how many seconds more than so many of the slots are at work at once."""
    steps: dict[int, int] = {}
    for begin, end in slots:
        steps[begin] = steps.get(begin, 0) + 1
        steps[end] = steps.get(end, 0) - 1
    level, last, total = 0, 0, 0
    for second in sorted(steps):
        if level > limit:
            total += second - last
        level, last = level + steps[second], second
    return total


def night_end(lines: Iterable[Line], zone: tzinfo) -> datetime | None:
    """The latest end, by the clock, of what begins between 18:00 and 06:00; of the night on which it is latest."""
    latest: tuple[timedelta, datetime] | None = None
    for line in lines:
        for begin, end in line.slots:
            began, ended = datetime.fromtimestamp(begin, zone), datetime.fromtimestamp(end, zone)
            if _NIGHT_UNTIL <= began.hour < _NIGHT_FROM:
                continue
            noon = (began - _NOON).replace(hour=12, minute=0, second=0, microsecond=0)
            found = ended - noon, ended
            latest = found if latest is None else max(latest, found)
    return latest[1] if latest is not None else None
