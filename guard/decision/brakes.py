"""What a person said by hand: hold these runs, or leave those to XO. Scopes are words such as ``pool:Lyon``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from guard.checks.view import policy_fact
from guard.errors import LedgerError
from guard.estate.estate import Estate
from guard.estate.xo_records import Schedule
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun, repository_ids, target_sr_ids
from guard.mechanics.zones import zone_or_utc
from guard.policy.codes import ON_HOLD
from guard.policy.scopes import parse_scope
from guard.units import format_time, plural

_SCOPE_KINDS = {
    "all": ScopeKind.XO,
    "schedule": ScopeKind.SCHEDULE,
    "job": ScopeKind.JOB,
    "pool": ScopeKind.POOL,
    "sr": ScopeKind.SR,
    "repository": ScopeKind.REPOSITORY,
    "vm": ScopeKind.VM,
}


class Brake(msgspec.Struct, frozen=True):
    """``hold``: what the scope names is not started; ``bypass``: guard does not act on it, XO starts it.

    ``scope``: as ``parse_scope`` reads it; ``until`` None: until a person ends it; ``by``: who set it, at ``since``.
    """

    kind: Literal["hold", "bypass"]
    scope: str
    until: datetime | None
    reason: str
    since: datetime
    by: str


def read_brakes(told: bytes | None) -> tuple[Brake, ...]:
    """The brakes as the ledger keeps them, () for none yet. Raises LedgerError."""
    try:
        return msgspec.json.decode(told, type=tuple[Brake, ...]) if told else ()
    except msgspec.MsgspecError as error:
        raise LedgerError(f"its holds and bypasses cannot be read ({error}): a newer guard wrote them") from None


def in_force(brakes: Iterable[Brake], now: datetime) -> tuple[Brake, ...]:
    """Those that have not ended at ``now``."""
    return tuple(one for one in brakes if one.until is None or now < one.until)


def bypassed(brakes: Iterable[Brake], now: datetime, *, schedule: Schedule, job_name: str) -> Brake | None:
    """The first bypass in force for a schedule, by ``all``, its own name or id, or its job's; None without one."""
    named = {
        "all": ("",),
        "schedule": (schedule.id, schedule.name),
        "job": (schedule.job_id or "", job_name),
    }
    for brake in in_force(brakes, now):
        kind, name = parse_scope(brake.scope)
        if brake.kind == "bypass" and name in named.get(kind, ()):
            return brake
    return None


def holding(
    brakes: Iterable[Brake], now: datetime, run: ExpectedRun, estate: Estate
) -> list[tuple[Brake, tuple[str, ...]]]:
    """Each hold in force on a run with the ids of the VMs it holds; () for the whole run.

    A VM is held by its own name or id, by its pool, or by the SR of one of its disks. A hold on a backup repository, or on an
    SR that replicas go to, holds the whole run: each of its VMs is written there. A hold on a sequence holds its members.
    """
    found = []
    for brake in in_force(brakes, now):
        if brake.kind == "hold":
            held = _held(*parse_scope(brake.scope), run, estate)
            if held is not None:
                found.append((brake, held))
    return found


def on_hold(brake: Brake, vms: tuple[str, ...], run: ExpectedRun) -> Finding:
    """What a hold says of a run. ``vms``: those it holds, () for the whole run."""
    kind, name = parse_scope(brake.scope)
    zone = zone_or_utc(run.due.zone)
    until = f"until {format_time(brake.until, zone)}" if brake.until is not None else "until somebody ends it"
    what = f"{plural(len(vms), 'VM')} of this run {'is' if len(vms) == 1 else 'are'}" if vms else "This run is"
    reason = brake.reason.strip().rstrip(".")
    why = f": {reason}" if reason else ""
    return Finding(
        code=ON_HOLD.id,
        check="policy",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.PRODUCTION,  # a person said so: never started against it
        scope=Scope(_SCOPE_KINDS[kind], name or "xo", name or "XO"),
        holds=vms,
        summary=f"{what} held by {brake.by} ({brake.scope}), {until}{why}.",
        facts=(policy_fact("since", brake.since.isoformat(), "time"), policy_fact("by", brake.by, "name")),
        remedy="Wait until the hold ends, or end it.",
        clears=Clears(ClearedBy.TIME, brake.until),
    )


def _held(kind: str, name: str, run: ExpectedRun, estate: Estate) -> tuple[str, ...] | None:
    """The VMs of a run that a scope names, () for the whole run; None when it names nothing of it."""
    if kind in ("vm", "pool", "sr"):
        if kind == "sr" and name in _known(target_sr_ids(run.job), _sr_names(estate, target_sr_ids(run.job))):
            return ()
        return named_vms(kind, name, run, estate) or None
    return () if name in whole_run_names(kind, run, estate) else None


def named_vms(kind: str, name: str, run: ExpectedRun, estate: Estate) -> tuple[str, ...]:
    """The VMs of a run that are meant by a VM, by its pool, or by the SR of one of its disks."""
    named = _NAMED[kind]
    vms = (*run.selection.ids, *run.selection.unknown)
    return tuple(vm for vm in vms if name in named(estate, vm))


def whole_run_names(kind: str, run: ExpectedRun, estate: Estate) -> Collection[str]:
    """The ids and names by which a whole run is meant: of all, its job, its schedules, or its backup repositories."""
    if kind == "all":
        return ("",)
    if kind == "job":
        return (run.job.id, run.job.name)
    if kind == "schedule":
        sequence = estate.schedule_by_id.get(run.due.via)
        return (run.schedule.id, run.schedule.name, *((sequence.id, sequence.name) if sequence is not None else ()))
    known = estate.repository_by_id
    ids = repository_ids(run.job)
    return _known(ids, (known[one].name for one in ids if one in known))


def _known(ids: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    return frozenset((*ids, *names))


def _vm_names(estate: Estate, vm_id: str) -> Sequence[str]:
    vm = estate.vm_by_id.get(vm_id)
    return (vm_id, vm.name) if vm is not None else (vm_id,)


def _pool_names(estate: Estate, vm_id: str) -> Sequence[str]:
    vm = estate.vm_by_id.get(vm_id)
    if vm is None or not vm.pool:
        return ()
    pool = estate.pool_by_id.get(vm.pool)
    return (vm.pool, pool.name_label) if pool is not None else (vm.pool,)


def _disk_sr_names(estate: Estate, vm_id: str) -> Collection[str]:
    disks = (
        estate.vdi_by_id.get(one.vdi) for one in estate.vbds_of_vm.get(vm_id, ()) if one.vdi and not one.is_cd_drive
    )
    srs = tuple(disk.sr for disk in disks if disk is not None and disk.sr)
    return _known(srs, _sr_names(estate, srs))


def _sr_names(estate: Estate, ids: Iterable[str]) -> Iterator[str]:
    return (estate.sr_by_id[one].name_label for one in ids if one in estate.sr_by_id)


_NAMED = {"vm": _vm_names, "pool": _pool_names, "sr": _disk_sr_names}
