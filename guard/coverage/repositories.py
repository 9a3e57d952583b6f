"""Backup repositories by the days until they are full, as far as XO's figures and its logs tell.

What a run leaves on a repository for good is what retention does not take away again: nothing once as many backups lie there
as retention keeps, the whole backup before. So each VM of each schedule adds its usual bytes, as often as the schedule is
due, until its retention is full. A repository is full on the day on which the largest of its runs finds no room any more: a
run writes before retention deletes. Where all that may still come fits, it is steady. Not in it: what else is stored there,
and how the merged full backup of a delta chain grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from guard.agenda import make_agenda
from guard.coverage.good import reach
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Job, Repository
from guard.finding import Fact
from guard.mechanics.due import DueTime
from guard.mechanics.history import Transfer, quantiles
from guard.mechanics.outlook import ExpectedRun, Outlook, repository_ids
from guard.mechanics.repository_space import is_object_store
from guard.mechanics.settings import Settings
from guard.policy.schema import Policy
from guard.units import plural

FURTHEST_DAYS = 3650
_A_WEEK = timedelta(days=7)
_A_DAY = timedelta(days=1)


class Filling(StrEnum):
    """``days``: it runs full; ``steady``: all that is to come fits; ``full``: the largest of its runs does not fit now."""

    FULL = "full"
    DAYS = "days"
    UNKNOWN = "unknown"
    STEADY = "steady"


class RepositoryFilling(msgspec.Struct, frozen=True, kw_only=True):
    """One file system with backup repositories. ``ids`` and ``name``: of all that lie on it. Sizes in bytes, days in days.

    ``days``: 0 where it is full, None unless it runs full. ``growth_per_day``: what it surely grows by now. ``to_come``: what
    surely still comes until every retention is full; ``largest_run``: what the largest run writes before anything is deleted.
    ``not_counted``: what may come beside that. ``why_unknown``: '' where the state is known.
    """

    ids: tuple[str, ...]
    name: str
    filling: Filling
    days: float | None
    growth_per_day: int
    to_come: int
    largest_run: int
    facts: tuple[Fact, ...]
    not_counted: tuple[str, ...] = ()
    why_unknown: str = ""


class Series(msgspec.Struct, frozen=True):
    """Backups of one VM by one schedule that add up: bytes of each, how many a day, and how many until retention is full."""

    size: float
    per_day: float
    to_come: float


@dataclass
class _Tally:
    """What adds up on one file system. ``untold``: reason -> of how many VMs, 0 for what has none.

    ``possible``: bytes that may come beside the series at most, None without a bound. ``largest``: of the largest run.
    """

    series: list[Series] = field(default_factory=list)
    untold: dict[str, int] = field(default_factory=dict)
    possible: float | None = 0.0
    largest: float = 0.0
    written: int = 0

    def leave_out(self, reason: str, at_most: float | None, vms: int = 0) -> None:
        self.untold[reason] = self.untold.get(reason, 0) + vms
        self.possible = None if at_most is None or self.possible is None else self.possible + at_most


def days_until_full(
    estate: Estate, policy: Policy, now: datetime, outlook: Outlook | None = None
) -> tuple[RepositoryFilling, ...]:
    """Every enabled repository, those on one file system together; the first to be full first, steady ones last.

    ``outlook``: of the same estate and time, where there is one already.
    """
    shared = outlook if outlook is not None else Outlook(estate, now)
    systems: dict[str, list[Repository]] = {}
    for one in estate.repositories:
        if one.enabled:
            systems.setdefault(shared.file_systems[one.id], []).append(one)
    tallies = _tallies(shared, policy, systems)
    found = [_of_system(shared, same, tallies[system]) for system, same in systems.items()]
    order = list(Filling)
    return tuple(sorted(found, key=lambda one: (order.index(one.filling), one.days or 0.0, one.name)))


def days_until(series: Sequence[Series], available: float) -> float | None:
    """In how many days the series add up to what is available; None where they never do, or later than in ten years."""
    rate = sum(one.size * one.per_day for one in series)
    now = added = 0.0
    for one in sorted(series, key=lambda one: one.to_come / one.per_day):
        end = one.to_come / one.per_day
        if added + rate * (end - now) >= available:
            days = now + (available - added) / rate
            return days if days <= FURTHEST_DAYS else None
        added, now = added + rate * (end - now), end
        rate -= one.size * one.per_day
    return None


def _tallies(outlook: Outlook, policy: Policy, systems: Mapping[str, Sequence[Repository]]) -> dict[str, _Tally]:
    tallies = {system: _Tally() for system in systems}
    per_week, cut = _due_in_a_week(outlook, policy), _cut_until(outlook)
    for run, count in per_week.values():
        writes: dict[str, float] = {}
        for target in repository_ids(run.job):
            system = outlook.file_systems.get(target, "")
            if system not in tallies:
                continue
            if run.job.type == "mirrorBackup":
                tallies[system].leave_out(f"what mirror {run.job.name} copies there", None)
            else:
                writes[system] = writes.get(system, 0.0) + _add(outlook, run, target, count / 7, tallies[system], cut)
        for system, size in writes.items():
            tallies[system].largest = max(tallies[system].largest, size)
    since = outlook.now - _A_WEEK
    for (_, _, target), transfers in outlook.history.transfers.items():
        tally = tallies.get(outlook.file_systems.get(target, ""))
        if tally is not None:
            tally.written += _written_since(transfers, since)
    return tallies


def _due_in_a_week(outlook: Outlook, policy: Policy) -> dict[str, tuple[ExpectedRun, int]]:
    """Schedule id -> one of its runs, and how many of them are due in the coming week."""
    agenda = make_agenda(
        outlook.estate,
        after=outlook.now,
        until=outlook.now + _A_WEEK,
        local_zone=policy.xo.zone,
        seconds_of=lambda schedule: quantiles(outlook.history.seconds.get(schedule, ())).p50,
    )
    first: dict[str, DueTime] = {}
    counts: dict[str, int] = {}
    for due in agenda.dues:
        first.setdefault(due.schedule_id, due)
        counts[due.schedule_id] = counts.get(due.schedule_id, 0) + 1
    runs = {schedule: outlook.expect(due) for schedule, due in first.items()}
    return {schedule: (run, counts[schedule]) for schedule, run in runs.items() if run is not None}


def _add(outlook: Outlook, run: ExpectedRun, target: str, per_day: float, tally: _Tally, cut: datetime | None) -> float:
    """Add up what the VMs of one schedule leave on one repository. Returns the bytes that one of its runs writes there.

    ``cut``: what began before may have had older backups before it, of which the logs tell no more.
    """
    targets = repository_ids(run.job)
    spread = run.settings.distribute_backups and len(targets) > 1
    writes = 0.0
    for vm in run.selection.ids:
        settings = outlook.settings_of(run, vm)
        if not settings.export_retention:
            continue
        seen = outlook.history.transfers_to(run.job.id, vm, targets if spread else (target,))
        past = [one for one in seen if one.schedule == run.schedule.id and one.size]
        more = _kept_for_longer(settings)
        if not past:
            most = outlook.bytes_of(run, vm, target).most
            bound = None if most is None else (settings.export_retention + more) * most
            tally.leave_out("VMs without a transfer in the logs", bound, 1)
            writes += most or 0
            continue
        usual, largest = _usual(past, run.job), max(one.size for one in past)
        writes += 0 if settings.delete_first and run.job.mode == "full" else usual
        to_come = settings.export_retention - _there(outlook, run, vm, target, past)
        if spread:
            tally.leave_out(f"job {run.job.name}, which spreads its VMs", settings.export_retention * largest, 1)
        elif to_come > 0 and cut is not None and past[0].start / 1000 < cut.timestamp():
            tally.leave_out("VMs with a retention longer than the logs", to_come * largest, 1)
        elif to_come > 0:
            tally.series.append(Series(usual, per_day, to_come))
        if more:
            tally.leave_out("what long-term retention keeps", more * largest, 1)
    return writes / len(targets) if spread else writes


def _kept_for_longer(settings: Settings) -> int:
    """How many backups of a VM the long-term retention keeps at most beside the newest ones (xo-api.md 3.1.2)."""
    kept = (one.get("retention") for one in (settings.long_term_retention or {}).values() if isinstance(one, dict))
    return sum(one for one in kept if isinstance(one, int))


def _there(outlook: Outlook, run: ExpectedRun, vm: str, target: str, past: Sequence[Transfer]) -> int:
    """How many backups of this schedule lie there: by the list of archives where XO gave one, else by the logs."""
    part = outlook.estate.parts.get(PartName.ARCHIVES)
    if part is not None and part.ok and target in outlook.estate.listed_repositories:
        kept = outlook.estate.archives_of.get((target, vm), ())
        return sum(1 for one in kept if one.schedule_id == run.schedule.id)
    return len(past)


def _cut_until(outlook: Outlook) -> datetime | None:
    """A VM whose first transfer in the logs began before this may have older backups; None where the logs are whole.

    They are where they begin later than guard asked for, and where XO listed what lies on the repositories.
    """
    part = outlook.estate.parts.get(PartName.ARCHIVES)
    if part is not None and part.ok and outlook.estate.listed_repositories:
        return None
    far, whole = reach(outlook.estate, outlook.now), timedelta(days=outlook.estate.xo.history_days - 1)
    if far is None:
        return outlook.now
    return outlook.now - whole + _A_DAY if far >= whole else None


def _usual(past: Sequence[Transfer], job: Job) -> float:
    """The median of its deltas, of its fulls where it has no other."""
    kind = [one.size for one in past if not one.full] if job.mode != "full" else []
    return quantiles(kind or [one.size for one in past]).p50 or 0.0


def _written_since(transfers: Sequence[Transfer], since: datetime) -> int:
    first = since.timestamp() * 1000
    total = 0
    for one in reversed(transfers):
        if one.start < first:
            break
        total += one.size
    return total


def _of_system(outlook: Outlook, same: Sequence[Repository], tally: _Tally) -> RepositoryFilling:
    info = outlook.estate.repository_info.get(same[0].id)
    available = info.available if info is not None and isinstance(info.available, int) else None
    size = info.size if info is not None and isinstance(info.size, int) else None
    to_come = sum(one.size * one.to_come for one in tally.series)
    filling, days, why = Filling.STEADY, None, _why_unknown(outlook, same[0], available)
    if why or available is None:
        filling = Filling.UNKNOWN
    elif available <= tally.largest:
        filling, days = Filling.FULL, 0.0
    else:
        room = available - tally.largest
        days = days_until(tally.series, room)
        if days is not None:
            filling = Filling.DAYS
        elif tally.possible is None or to_come + tally.possible > room:
            filling, why = Filling.UNKNOWN, "; ".join(_left_out(tally))
    return RepositoryFilling(
        ids=tuple(one.id for one in same),
        name=" + ".join(one.name for one in same),
        filling=filling,
        days=days,
        growth_per_day=round(sum(one.size * one.per_day for one in tally.series)),
        to_come=round(to_come),
        largest_run=round(tally.largest),
        facts=tuple(_facts(outlook, size, available, tally.written)),
        not_counted=tuple(_left_out(tally)),
        why_unknown=why,
    )


def _why_unknown(outlook: Outlook, repository: Repository, available: int | None) -> str:
    """Why nothing can be told of it; '' where there are figures to go by."""
    if is_object_store(repository.url):
        return "an object store tells no free space"
    read = outlook.estate.parts[PartName.REPOSITORY_INFO]
    if available is None:
        return "XO gave no free space for it" if read.ok else read.error
    if repository.error:
        return "XO could not use it when it last tried; its figures may be old"
    for name in (PartName.LOGS, PartName.JOBS, PartName.SCHEDULES, PartName.VMS):
        part = outlook.estate.parts[name]
        if not part.usable:
            return part.error or f"XO may have filtered its {name.value}"
    return ""


def _left_out(tally: _Tally) -> Iterator[str]:
    for reason, vms in tally.untold.items():
        yield reason + (f" ({plural(vms, 'VM')})" if vms else "")


def _facts(outlook: Outlook, size: int | None, available: int | None, written: int) -> Iterator[Fact]:
    # XO caches these figures and does not stamp them, so they have no age (xo-api.md 3.4)
    source = outlook.estate.parts[PartName.REPOSITORY_INFO].source
    for name, value in (("size", size), ("available", available)):
        yield Fact(name=name, value=value, unit="bytes", source=source, observed_at=None)
    logs = outlook.estate.parts[PartName.LOGS]
    yield Fact(
        name="sent_last_week",
        value=written if logs.ok else None,
        unit="bytes",
        source=logs.source,
        observed_at=logs.read_at,
    )
