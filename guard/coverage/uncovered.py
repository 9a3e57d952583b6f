"""VMs that no enabled schedule backs up, each with the nearest reason.

Templates, snapshots and control domains are no VMs to XO. What a backup job made itself is left out: replicas, which it
may not start, and what it restores for a health check, which XO tags ``xo:no-bak``. That tag, and those of ``[coverage]
ignore_tags``, say that somebody wants it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from guard.coverage.routes import Routes
from guard.estate.estate import PartName
from guard.estate.xo_records import Job, Server, Vm
from guard.mechanics.outlook import Outlook
from guard.mechanics.pattern import matches
from guard.mechanics.selection import (
    as_xo,
    left_out_because,
    listed_ids,
    opted_out,
    own_replica,
    pattern_keys,
    smart_pattern,
)
from guard.policy.schema import Policy

NEEDS = (PartName.VMS, PartName.JOBS, PartName.SCHEDULES, PartName.CALL_JOBS)
_MOST_PAIRS = 100_000
"""So many pairs of a kind of VMs and a smart job are held against each other for the nearest reason: seconds at most."""


class Why(StrEnum):
    """Why no enabled schedule takes a VM, the nearest first."""

    IDLE_SCHEDULE = "idle_schedule"  # a job takes it, and no schedule of that job fires
    NO_SCHEDULE = "no_schedule"  # a job takes it that has no schedule
    NO_LONGER = "no_longer"  # a job saved it in the past, and does not take it any more
    LEFT_OUT = "left_out"  # a job takes VMs like it, and excludes it by name
    BROKEN_PATTERN = "broken_pattern"  # XO throws on a job's pattern, so it takes none
    NO_JOB = "no_job"  # no job is near


class Uncovered(msgspec.Struct, frozen=True, kw_only=True):
    """One VM that no enabled schedule takes. ``disk_bytes``: virtual size of its disks, None where one is not known.

    ``reason``: a clause, the same for VMs of the same kind. ``job``: the id of the job it is about, or ''.
    """

    vm: str
    name: str
    pool: str
    disk_bytes: int | None
    why: Why
    reason: str
    job: str = ""


class OnPurpose(msgspec.Struct, frozen=True, kw_only=True):
    """One VM that somebody wants no backup of. ``tag``: the one that says so."""

    vm: str
    name: str
    pool: str
    disk_bytes: int | None
    tag: str


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """``why_unknown``: what was not read whole, so that whether a VM is covered cannot be told; '' else.

    ``vms``: of how many VMs. ``replicas``: how many that backup jobs made are left out. ``away``: servers to which XO is not
    connected, though it should be: it shows no VM of their pools, so these are in no count.
    """

    vms: int
    covered: int
    uncovered: tuple[Uncovered, ...]
    on_purpose: tuple[OnPurpose, ...]
    replicas: int
    away: tuple[Server, ...] = ()
    why_unknown: str = ""


def gaps(outlook: Outlook, policy: Policy, found: Routes, taken: Mapping[str, object]) -> Gaps:
    """Every VM that is not in ``taken``, with the nearest reason."""
    estate = outlook.estate
    why_unknown = "; ".join(_doubts(outlook, found))
    replicas = {vm.id for vm in estate.vms if vm.id not in taken and is_replica(vm)}
    left = [vm for vm in estate.vms if vm.id not in taken and vm.id not in replicas]
    tags = {vm.id: _wanted_so(vm, policy) for vm in left}
    blamer = _Blamer(outlook, found)
    on_purpose = [vm for vm in left if tags[vm.id]]
    uncovered = [] if why_unknown else list(blamer.blame([vm for vm in left if not tags[vm.id]]))
    return Gaps(
        vms=len(estate.vms) - len(replicas),
        covered=len(estate.vms) - len(replicas) - len(left),
        uncovered=tuple(uncovered),
        on_purpose=tuple(
            OnPurpose(vm=vm.id, name=vm.name, pool=vm.pool or "", disk_bytes=disk_bytes(outlook, vm), tag=tags[vm.id])
            for vm in on_purpose
        ),
        replicas=len(replicas),
        away=tuple(one for one in estate.servers if _is_away(one)),
        why_unknown=why_unknown,
    )


def _doubts(outlook: Outlook, found: Routes) -> Iterator[str]:
    """What keeps guard from telling which VMs are covered."""
    for name in NEEDS:
        part = outlook.estate.parts[name]
        if not part.usable:
            yield part.error or f"XO may have filtered its {name.value} (the token's user is no administrator)"
    for job in {way.job.id: way.job for way in found.working}.values():
        selection = outlook.selection_of(job)
        if selection.undecided:
            yield f"job {job.name}: {selection.error}"


def _is_away(server: Server) -> bool:
    """Whether XO lost a pool with it; not one that a person disabled, nor a second server of a pool (xo-api.md, servers)."""
    twin = server.error.get("connectedServerId") if isinstance(server.error, dict) else None
    return server.enabled and server.status != "connected" and not twin


def is_replica(vm: Vm) -> bool:
    """Made by a replication job: start blocked, and marked with a job's id (xo-api.md, backups-ng/index.mjs)."""
    job = (vm.other or {}).get("xo:backup:job")
    return isinstance(job, str) and own_replica(vm, job)


def disk_bytes(outlook: Outlook, vm: Vm) -> int | None:
    """Virtual size of a VM's disks; None where a disk or its size is not known."""
    sizes = [vdi.size if vdi is not None else None for _, vdi in outlook.drives(vm.id)]
    known = [one for one in sizes if isinstance(one, int)]
    parts = outlook.estate.parts
    told = parts[PartName.VBDS].usable and parts[PartName.VDIS].usable
    return sum(known) if told and len(known) == len(sizes) else None


def _wanted_so(vm: Vm, policy: Policy) -> str:
    """The tag by which somebody wants no backup of it; '' without one."""
    if opted_out(vm):
        return "xo:no-bak"
    return next((tag for tag in vm.tags or () if tag in policy.coverage.ignore_tags), "")


class _Blamer:
    """Finds the nearest reason, once for VMs that look alike to every job."""

    def __init__(self, outlook: Outlook, found: Routes) -> None:
        self._outlook = outlook
        self._idle = found.idle
        self._firing = {one.job.id: one.job for one in found.working}
        jobs = [job for job in outlook.estate.jobs if job.type == "backup"]
        self._resting = [job for job in jobs if job.id not in self._firing]
        smart = [job for job in jobs if job.id in self._firing and listed_ids(job.vms) is None]
        self._broken = [job for job in smart if outlook.selection_of(job).error]
        self._smart = [job for job in smart if not outlook.selection_of(job).error]
        self._keys = frozenset().union(*(pattern_keys(smart_pattern(job)) for job in self._smart))

    def blame(self, vms: Sequence[Vm]) -> Iterator[Uncovered]:
        taken_by = self._taken_by_resting()
        before = self._saved_before()
        near = self._near([vm for vm in vms if vm.id not in taken_by and vm.id not in before])
        for vm in vms:
            if vm.id in taken_by:
                why, reason, job = self._resting_reason(taken_by[vm.id])
            elif vm.id in before:
                why, reason, job = self._no_longer(vm, before[vm.id])
            else:
                why, reason, job = near[vm.id]
            yield Uncovered(
                vm=vm.id,
                name=vm.name,
                pool=vm.pool or "",
                disk_bytes=disk_bytes(self._outlook, vm),
                why=why,
                reason=reason,
                job=job,
            )

    def _taken_by_resting(self) -> dict[str, Job]:
        """VM id -> a job that takes it and that XO never starts; one with a schedule comes first."""
        found: dict[str, Job] = {}
        for job in sorted(self._resting, key=lambda one: not self._schedules_of(one)):
            for vm in self._outlook.selection_of(job).ids:
                found.setdefault(vm, job)
        return found

    def _schedules_of(self, job: Job) -> list[str]:
        """What keeps each schedule of a job from firing, as clauses."""
        schedules = (one for one in self._outlook.estate.schedules if one.job_id == job.id and one.id in self._idle)
        return [f"schedule {one.name} {self._idle[one.id]}" for one in schedules]

    def _resting_reason(self, job: Job) -> tuple[Why, str, str]:
        idle = self._schedules_of(job)
        if not idle:
            return Why.NO_SCHEDULE, f"job {job.name} takes it, and has no schedule", job.id
        more = f" and {len(idle) - 1} more do not run" if len(idle) > 1 else ""
        return Why.IDLE_SCHEDULE, f"job {job.name} takes it, and its {idle[0]}{more}", job.id

    def _saved_before(self) -> dict[str, tuple[Job, int]]:
        """VM id -> the job of its last copy in the logs, where XO still starts that job, and when (ms epoch)."""
        found: dict[str, tuple[Job, int]] = {}
        for (job, vm, _), transfers in self._outlook.history.transfers.items():
            last = transfers[-1].start
            if job in self._firing and last > found.get(vm, (None, 0))[1]:
                found[vm] = self._firing[job], last
        return found

    def _no_longer(self, vm: Vm, saved: tuple[Job, int]) -> tuple[Why, str, str]:
        job, last = saved
        began = datetime.fromtimestamp(last / 1000, UTC)
        why = left_out_because(job, vm, self._outlook.estate.vm_properties.get(vm.id, {}))
        return Why.NO_LONGER, f"job {job.name} saved it until {began:%d %b} and leaves it out now: {why}", job.id

    def _near(self, vms: Iterable[Vm]) -> dict[str, tuple[Why, str, str]]:
        """VM id -> the reason that the nearest smart job gives."""
        alike: dict[bytes, list[Vm]] = {}
        shown: dict[bytes, dict[str, Any]] = {}
        encode = msgspec.json.Encoder(order="deterministic").encode
        extras = self._outlook.estate.vm_properties
        for vm in vms:
            properties = as_xo(vm, extras.get(vm.id, {}), self._keys)
            key = encode(properties)
            alike.setdefault(key, []).append(vm)
            shown[key] = properties
        most = max(1, _MOST_PAIRS // max(1, len(alike)))
        return {
            vm.id: reason for key, same in alike.items() for reason in (self._reason(shown[key], most),) for vm in same
        }

    def _reason(self, shown: Mapping[str, Any], most: int) -> tuple[Why, str, str]:
        for job in self._smart[:most]:
            pattern = smart_pattern(job)
            failing = [key for key, wanted in pattern.items() if not _matches_alone(key, wanted, shown)]
            if len(failing) == 1 and failing[0] in shown:
                key, value = failing[0], shown[failing[0]]
                # of a tag that is asked for and lacking, no job is nearer than another
                if key == "power_state" or _fits(_without_not(pattern[key]), value):
                    return Why.LEFT_OUT, _left_out_by(job, key, pattern[key], value), job.id
        if self._broken:
            job = self._broken[0]
            return Why.BROKEN_PATTERN, f"job {job.name} may be meant to take it, and XO throws on its pattern", job.id
        return Why.NO_JOB, "no job takes it", ""


def _matches_alone(key: str, wanted: object, shown: Mapping[str, Any]) -> bool:
    return _fits({key: wanted}, {key: shown[key]} if key in shown else {})


def _fits(pattern: object, value: object) -> bool:
    """False too where XO would throw, if it came as far as that: another part of the pattern keeps it from looking there."""
    try:
        return matches(pattern, value)
    except TypeError:
        return False


def _without_not(pattern: object) -> object:
    """A pattern without the members that exclude something."""
    if isinstance(pattern, dict) and list(pattern) == ["__not"]:
        return {"__and": []}
    if isinstance(pattern, dict) and list(pattern) == ["__and"] and isinstance(pattern["__and"], list):
        return {"__and": [_without_not(one) for one in pattern["__and"]]}
    return pattern


def _excluded(pattern: object, *, below_not: bool = False) -> Iterator[str]:
    """The texts that a pattern names below a ``__not``."""
    if isinstance(pattern, str) and below_not:
        yield pattern
    elif isinstance(pattern, list):
        for one in pattern:
            yield from _excluded(one, below_not=below_not)
    elif isinstance(pattern, dict):
        for key, one in pattern.items():
            yield from _excluded(one, below_not=below_not or key == "__not")


def _left_out_by(job: Job, key: str, wanted: object, value: object) -> str:
    """The clause that tells which value of a VM a job does not want."""
    own = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    named = set(_excluded(wanted))
    shown = [one for one in own if one in named]
    what = ", ".join(shown) if shown else msgspec.json.encode(value).decode()
    return f"job {job.name} leaves it out by its {key} {what}"
