"""All that ``guard coverage`` tells, from one reading of XO: gaps, old backups, collisions, repositories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from guard.agenda import Note
from guard.coverage.attempts import Attempts, Key, attempts_of
from guard.coverage.collisions import Collision, Crowd, collisions, crowds, places, related
from guard.coverage.repositories import RepositoryFilling, days_until_full
from guard.coverage.routes import routes, taken
from guard.coverage.stagger import Stagger, stagger
from guard.coverage.stale import Age, Judge, Stalest, StaleVm, stalest
from guard.coverage.timetable import timetable
from guard.coverage.uncovered import Gaps, gaps
from guard.estate.estate import Estate
from guard.lifecycle.due_run import DueRun
from guard.mechanics.outlook import Outlook
from guard.mechanics.zones import zone_or_utc
from guard.policy.schema import Policy


@dataclass(frozen=True)
class Coverage:
    """``stalest``: the VM that went longest without a good backup. ``stale``: those whose age is known to be too great.

    ``unknown``: those of which nobody can tell. ``attempts``: of both. ``reach_s``: how far back the logs tell, None where
    they do not. ``untold``: names of schedules of unknown duration. ``zone``: the one in which times are told.
    """

    estate: Estate
    policy: Policy
    now: datetime
    zone: tzinfo
    gaps: Gaps
    stalest: Stalest | None
    stale: tuple[StaleVm, ...]
    unknown: tuple[StaleVm, ...]
    attempts: Mapping[Key, Attempts]
    reach_s: float | None
    collisions: tuple[Collision, ...]
    crowds: tuple[Crowd, ...]
    stagger: Stagger
    untold: tuple[str, ...]
    repositories: tuple[RepositoryFilling, ...]
    notes: tuple[Note, ...]

    @property
    def filling_soon(self) -> tuple[RepositoryFilling, ...]:
        """The repositories that are full within the days that the policy names."""
        most = self.policy.coverage.full_within_days
        return tuple(one for one in self.repositories if one.days is not None and one.days <= most)

    @property
    def is_whole(self) -> bool:
        """Whether no VM is uncovered or stale, nothing of that is unknown, no pool lost, and no repository is full soon."""
        lacking = self.gaps.uncovered or self.stale or self.unknown or self.filling_soon
        return not lacking and not self.gaps.why_unknown and not self.gaps.away


def make_coverage(estate: Estate, policy: Policy, now: datetime, stories: Sequence[DueRun] = ()) -> Coverage:
    """``stories``: of guard's ledger, where there is one: what guard held back left no log in XO."""
    outlook = Outlook(estate, now)
    found = routes(estate, now)
    ways = taken(outlook, found.working)
    judge = Judge(outlook, policy)
    stale = judge.stale(ways)
    table = timetable(outlook, policy)
    zone = zone_or_utc(policy.xo.zone or _usual_zone(estate))
    where = places(table.lines, estate, outlook.file_systems, policy.limits)
    return Coverage(
        estate=estate,
        policy=policy,
        now=now,
        zone=zone,
        gaps=gaps(outlook, policy, found, ways),
        stalest=stalest(estate, now, outlook),
        stale=tuple(one for one in stale if one.age is not Age.UNKNOWN),
        unknown=tuple(one for one in stale if one.age is Age.UNKNOWN),
        attempts=attempts_of(estate, stale, stories),
        reach_s=judge.reach.total_seconds() if judge.reach is not None else None,
        collisions=collisions(table.lines, related(table.lines)),
        crowds=crowds(table.lines, where),
        stagger=stagger(table, policy, estate, where, zone),
        untold=table.untold,
        repositories=days_until_full(estate, policy, now, outlook),
        notes=table.notes,
    )


def _usual_zone(estate: Estate) -> str:
    """The zone of most enabled schedules: that of the people who look."""
    zones = Counter(one.zone for one in estate.schedules if one.enabled and one.zone != "local")
    return max(zones, key=lambda one: zones[one], default="utc")
