"""Which schedules get into each other's way in the coming week: the same job twice, the same VM in two, and what they share.

XO refuses a run of a job that still goes on. Two runs with the same VM snapshot it one over the other, and the second may
find it locked or its chain unhealthy. A shared repository or SR is no collision by itself: it is counted, and told as one
only where the policy says how many jobs may work there at once ([[limit]]).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import pairwise

import msgspec

from guard.coverage.timetable import Busy, Line, Slot, above, peak
from guard.estate.estate import Estate
from guard.policy.schema import LimitRule


class Shared(StrEnum):
    """What two schedules cannot both have at a time."""

    JOB = "job"
    VM = "vm"


class Collision(msgspec.Struct, frozen=True, kw_only=True):
    """Two schedules, by id, whose runs overlap; the same one twice where its own runs do.

    ``times``: pairs of runs in the coming week; ``first``: when the first of them meet; ``longest_s``: the longest overlap in
    seconds. ``vms``: how many are in both. ``same_minute``: they start together, which needs no past to tell.
    """

    one: str
    other: str
    shared: Shared
    times: int
    first: datetime
    longest_s: int
    vms: int
    same_minute: bool


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """What works on one thing at once. ``kind``: repository, sr, pool or xo. ``jobs`` and ``exports``: the most at a time.

    ``at``: when most jobs do. ``shared_s``: seconds of the week with more than one. ``slots``: what the policy allows, None
    where it does not say; ``beyond_s``: seconds with more than that.
    """

    kind: str
    id: str
    name: str
    jobs: int
    exports: int
    at: datetime
    shared_s: int
    slots: int | None
    beyond_s: int


@dataclass(frozen=True)
class Place:
    """A thing that lines share, and how many jobs the policy allows there at once (None: it does not say)."""

    kind: str
    id: str
    name: str
    slots: int | None

    def holds(self, line: Line) -> bool:
        """Whether a line works there."""
        return (
            self.kind == "xo" or self.id in {"repository": line.systems, "sr": line.srs, "pool": line.pools}[self.kind]
        )


def relation(one: Line, other: Line) -> Shared | None:
    """What two lines must not both have at a time; None where nothing is."""
    if one.job.id == other.job.id:
        return Shared.JOB
    return Shared.VM if one.vms & other.vms else None


def related(lines: Sequence[Line]) -> tuple[tuple[int, int, Shared], ...]:
    """The pairs of lines, by number, that must not both be at work; a line with itself too."""
    found = []
    for number, one in enumerate(lines):
        for other in range(number, len(lines)):
            shared = relation(one, lines[other])
            if shared is not None:
                found.append((number, other, shared))
    return tuple(found)


def collisions(lines: Sequence[Line], pairs: Iterable[tuple[int, int, Shared]]) -> tuple[Collision, ...]:
    """Those of the pairs that do collide, the first to do so first."""
    found = (collision(lines[one], lines[other], shared) for one, other, shared in pairs)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: (one.first, one.one, one.other)))


def collision(one: Line, other: Line, shared: Shared) -> Collision | None:
    """How two lines collide in the week; None where they do not."""
    met = list(_own(one) if one is other else _meetings(one.slots, other.slots))
    if not met:
        return None
    starts = {begin for begin, _ in one.slots}
    return Collision(
        one=one.schedule.id,
        other=other.schedule.id,
        shared=shared,
        times=len(met),
        first=datetime.fromtimestamp(min(begin for begin, _ in met), UTC),
        longest_s=max(seconds for _, seconds in met),
        vms=(one.vms & other.vms).bit_count(),
        same_minute=one is not other and any(begin in starts for begin, _ in other.slots),
    )


def places(
    lines: Sequence[Line], estate: Estate, file_systems: Mapping[str, str], limits: Sequence[LimitRule]
) -> tuple[Place, ...]:
    """Every repository, and every SR, pool and XO itself where a limit is for them."""
    named: dict[str, dict[str, list[str]]] = {"repository": {}, "sr": {}, "pool": {}, "xo": {"xo": ["XO"]}}
    for one in (one for one in estate.repositories if one.enabled):
        named["repository"].setdefault(file_systems[one.id], []).append(one.name)
    named["sr"] = {one.id: [one.name_label] for one in estate.srs}
    named["pool"] = {one.id: [one.name_label] for one in estate.pools}
    found = []
    for kind, things in named.items():
        mine = [one for one in limits if one.per == kind]
        for id_, names in things.items():
            slots = min((one.slots for one in mine if any(fnmatchcase(name, one.name) for name in names)), default=None)
            if slots is not None or kind == "repository":
                found.append(Place(kind, id_, " + ".join(names), slots))
    return tuple(place for place in found if any(map(place.holds, lines)))


def crowds(lines: Sequence[Line], where: Iterable[Place]) -> tuple[Crowd, ...]:
    """What works at once on each place, for those on which more than one job ever does; beyond a limit first."""
    found = []
    for place in where:
        there = [line for line in lines if place.holds(line)]
        jobs, at = peak((slot, 1) for line in there for slot in line.slots)
        if jobs > 1 and at is not None:
            exports, _ = peak((slot, line.exports) for line in there for slot in line.slots)
            slots = [slot for line in there for slot in line.slots]
            found.append(
                Crowd(
                    kind=place.kind,
                    id=place.id,
                    name=place.name,
                    jobs=jobs,
                    exports=exports,
                    at=datetime.fromtimestamp(at, UTC),
                    shared_s=above(slots, 1),
                    slots=place.slots,
                    beyond_s=above(slots, place.slots) if place.slots is not None else 0,
                )
            )
    return tuple(sorted(found, key=lambda one: (-one.beyond_s, -one.jobs, one.name)))


def sharing(lines: Sequence[Line]) -> int:
    """How many pairs of runs share a repository at a time; those that share two count for each."""
    systems = {system for line in lines for system in line.systems}
    return sum(Busy(slot for line in lines if one in line.systems for slot in line.slots).among() for one in systems)


def _own(line: Line) -> Iterator[tuple[int, int]]:
    """(begin, seconds) for each run that is due before the one before it has ended."""
    for earlier, later in pairwise(line.slots):
        if later[0] < earlier[1]:
            yield later[0], earlier[1] - later[0]


def _meetings(one: Sequence[Slot], other: Sequence[Slot]) -> Iterator[tuple[int, int]]:
    """(begin, seconds) of each overlap of two lines. Each line's slots are of one length, in order."""
    first = 0
    for begin, end in one:
        while first < len(other) and other[first][1] <= begin:
            first += 1
        for their_begin, their_end in other[first:]:
            if their_begin >= end:
                break
            start = max(begin, their_begin)
            yield start, min(end, their_end) - start
