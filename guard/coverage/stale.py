"""VMs whose last good backup is too old, and since when: how old is too old, and what of it nobody can know.

The limit of a VM is ``[coverage] max_age``; without it the least that its schedules promise: what the policy says of a
schedule (``max_backup_age``), else twice the longest time between two of its due times, and 26 hours at least, so that one
nightly run that begins late is not told. XO's logs reach back 31 days at most: where they are shorter than the limit, the
age of a VM without a good backup in them is unknown, never "never".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from guard.assess import rules_of
from guard.coverage.good import Good, last_good, reach
from guard.coverage.routes import Route, longest_interval, routes, taken
from guard.estate.estate import Estate
from guard.finding import Scope, ScopeKind
from guard.mechanics.outlook import Outlook, repository_ids, target_sr_ids
from guard.mechanics.settings import effective
from guard.policy.schema import Policy

SHORTEST_LIMIT = timedelta(hours=26)
INTERVALS = 2


class Stalest(msgspec.Struct, frozen=True, kw_only=True):
    """The VM, of those that an enabled schedule takes, whose last good backup is longest ago.

    ``last_good``: when it began, None where the logs hold none. ``age``: since then; with ``at_least`` it is older than that,
    as the logs reach no further.
    """

    vm: str
    name: str
    last_good: datetime | None
    age: timedelta
    at_least: bool


class Age(StrEnum):
    """What is known of a VM's last good backup: it is too old; the logs hold none; or nobody can tell whether it is."""

    TOO_OLD = "too_old"
    NONE_IN_LOGS = "none_in_logs"
    UNKNOWN = "unknown"


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """How old a good backup may get, and where that is from: policy, or the cron of a schedule, by its name."""

    age: timedelta
    source: str


class StaleVm(msgspec.Struct, frozen=True, kw_only=True):
    """One VM, or with ``target`` one VM's copies there while those on its other targets are young enough.

    ``why_unknown``: what is lacking, '' where the age is known. ``limit`` None: no due time tells how often it is saved.
    """

    vm: str
    name: str
    pool: str
    age: Age
    last_good: datetime | None
    limit: Limit | None
    schedules: tuple[str, ...]
    target: Scope | None = None
    why_unknown: str = ""


def stalest(estate: Estate, now: datetime, outlook: Outlook | None = None) -> Stalest | None:
    """The VM that went longest without a good backup; None where no enabled schedule takes a VM, or no log tells.

    ``outlook``: of the same estate and time, where there is one already: it holds what the logs were folded into.
    """
    shared = outlook if outlook is not None else Outlook(estate, now)
    far = reach(estate, now)
    good = last_good(shared)
    found: Stalest | None = None
    for vm in taken(shared, routes(estate, now).working) if far is not None else ():
        last = max(good.get(vm, {}).values(), default=None)
        age = now - last if last is not None else far or timedelta()
        if found is None or (last is None, age) > (found.at_least, found.age):
            name = estate.vm_by_id[vm].name
            found = Stalest(vm=vm, name=name, last_good=last, age=age, at_least=last is None)
    return found


def limit_of(ways: Sequence[Route], estate: Estate, policy: Policy) -> Limit | None:
    """How old the last good backup of what these routes take may get: the least of what they promise."""
    if policy.coverage.max_age is not None:
        return Limit(age=policy.coverage.max_age, source="[coverage] max_age")
    found = [limit for limit in (_limit(way, estate, policy) for way in ways) if limit is not None]
    return min(found, key=lambda one: one.age, default=None)


def _limit(way: Route, estate: Estate, policy: Policy) -> Limit | None:
    told = rules_of(policy, estate, way.schedule).max_backup_age
    if told is not None:
        return Limit(age=told, source=f"max_backup_age of schedule {way.schedule.name}")
    between = longest_interval(way.fires.cron)
    if between is None:
        return None
    name = way.schedule.name
    if INTERVALS * between < SHORTEST_LIMIT:
        return Limit(age=SHORTEST_LIMIT, source=f"at least 26 h; schedule {name} comes more often")
    return Limit(age=INTERVALS * between, source=f"{INTERVALS} x the interval of schedule {name}")


class Judge:
    """Holds the last good backups of one estate against limits; each set of routes is looked at once."""

    def __init__(self, outlook: Outlook, policy: Policy) -> None:
        self.outlook = outlook
        self.good: Good = last_good(outlook)
        self.reach = reach(outlook.estate, outlook.now)
        self._policy = policy
        self._limits: dict[tuple[tuple[str, str], ...], Limit | None] = {}
        self._targets: dict[tuple[str, str], tuple[Scope, ...]] = {}

    def stale(self, ways_of: Mapping[str, Sequence[Route]]) -> tuple[StaleVm, ...]:
        """Every VM and every target of one that is too old or unknown; ``ways_of``: VM id -> the routes that take it."""
        found = [one for vm, ways in ways_of.items() for one in self._of_vm(vm, ways)]
        order = {Age.NONE_IN_LOGS: 0, Age.TOO_OLD: 1, Age.UNKNOWN: 2}
        return tuple(
            sorted(found, key=lambda one: (order[one.age], one.last_good or self.outlook.now, one.name, one.vm))
        )

    def _of_vm(self, vm: str, ways: Sequence[Route]) -> Iterable[StaleVm]:
        good = self.good.get(vm, {})
        whole = self._judge(vm, ways, max(good.values(), default=None))
        if whole is not None:
            yield whole
            return
        by_target: dict[Scope, list[Route]] = {}
        for way in ways:
            for target in self._targets_of(way):
                by_target.setdefault(target, []).append(way)
        for target, to_it in by_target.items():
            one = self._judge(vm, to_it, good.get(target.id))
            if one is not None:
                yield msgspec.structs.replace(one, target=target)

    def _judge(self, vm: str, ways: Sequence[Route], last: datetime | None) -> StaleVm | None:
        limit, now = self._limit(ways), self.outlook.now
        if last is not None and limit is not None and now - last <= limit.age:
            return None
        age, why = Age.TOO_OLD, ""
        if self.reach is None:
            age, why = Age.UNKNOWN, "XO shows no backup log that guard could go by"
        elif limit is None:
            age, why = Age.UNKNOWN, "how often it is saved cannot be told; set [coverage] max_age"
        elif last is None and self.reach < limit.age:
            age, why = Age.UNKNOWN, "the logs do not reach back as far as the limit"
        elif last is None:
            age = Age.NONE_IN_LOGS
        shown = self.outlook.estate.vm_by_id[vm]
        return StaleVm(
            vm=vm,
            name=shown.name,
            pool=shown.pool or "",
            age=age,
            last_good=last,
            limit=limit,
            schedules=tuple(dict.fromkeys(way.schedule.id for way in ways)),
            why_unknown=why,
        )

    def _limit(self, ways: Sequence[Route]) -> Limit | None:
        key = tuple((way.schedule.id, way.fires.id) for way in ways)
        if key not in self._limits:
            self._limits[key] = limit_of(ways, self.outlook.estate, self._policy)
        return self._limits[key]

    def _targets_of(self, way: Route) -> tuple[Scope, ...]:
        """The targets that should each hold a copy; none where a VM goes to one of them, or nothing is kept there."""
        key = (way.schedule.id, way.fires.id)
        if key not in self._targets:
            self._targets[key] = tuple(self._find_targets(way))
        return self._targets[key]

    def _find_targets(self, way: Route) -> Iterable[Scope]:
        estate, job, schedule = self.outlook.estate, way.job, way.schedule.id
        settings = effective(job, schedule)
        for id_ in () if settings.distribute_backups else repository_ids(job):
            if effective(job, schedule, target_id=id_).export_retention:
                repository = estate.repository_by_id.get(id_)
                yield Scope(ScopeKind.REPOSITORY, id_, repository.name if repository else id_)
        for id_ in () if settings.distribute_replications else target_sr_ids(job):
            if effective(job, schedule, target_id=id_).copy_retention:
                sr = estate.sr_by_id.get(id_)
                yield Scope(ScopeKind.SR, id_, sr.name_label if sr else id_)
