"""Plugging a PBD: an SR that a run needs is not attached to a host that is there (failure-modes.md 4.3; xo-api.md 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from guard.checks.connectivity import SR_DETACHED
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Pbd, Sr
from guard.finding import Scope, ScopeKind
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Wanted
from guard.mechanics.connection import is_live
from guard.remedies.reconnect import needed_by, shown, tried, when
from guard.remedies.scene import Need, Scene


def wanted(scene: Scene) -> Iterator[Wanted]:
    """One for each PBD that is unplugged where a run's VM needs it."""
    for sr_id, holds in _detached(scene).items():
        sr = scene.estate.sr_by_id.get(sr_id)
        if sr is not None:
            for pbd in _unplugged(scene.estate, sr, holds):
                needs = [need for vm in holds for need in holds[vm]]
                yield _wanted(scene, sr, pbd, list({need.run: need for need in needs}.values()), tuple(holds))


def _detached(scene: Scene) -> dict[str, dict[str, list[Need]]]:
    """SR id -> VM id -> the runs that are to take it."""
    found: dict[str, dict[str, list[Need]]] = {}
    for need in scene.needs:
        for one in need.against(SR_DETACHED.id):
            for vm in one.holds:
                found.setdefault(one.scope.id, {}).setdefault(vm, []).append(need)
    return found


def _unplugged(estate: Estate, sr: Sr, vms: dict[str, list[Need]]) -> list[Pbd]:
    """Of hosts that are there: where the VMs run, or for halted ones one of any, the pool's master before others."""
    known = [estate.vm_by_id[vm] for vm in vms if vm in estate.vm_by_id]
    homes = {vm.container for vm in known if vm.power_state == "Running"}
    there = [
        pbd
        for pbd in estate.pbds_of_sr.get(sr.id, ())
        if pbd.attached is False and is_live(estate.host_by_id.get(pbd.host or ""))
    ]
    found = [pbd for pbd in there if pbd.host in homes]
    if found or all(vm.power_state == "Running" for vm in known):
        return found
    pool = estate.pool_by_id.get(sr.pool or "")
    return sorted(there, key=lambda pbd: pool is None or pbd.host != pool.master)[:1]


def _wanted(scene: Scene, sr: Sr, pbd: Pbd, needs: list[Need], vms: tuple[str, ...]) -> Wanted:
    at, latest = when(scene, needs)
    host = scene.estate.host_by_id.get(pbd.host or "")
    where = host.name_label if host is not None and host.name_label else pbd.host or "a host"
    return Wanted(
        kind=RemedyKind.PLUG,
        scope=Scope(ScopeKind.SR, pbd.id, f"{sr.name_label} on {where}"),
        at=at,
        latest=latest,
        reason=f"{sr.name_label} is not plugged on {where}, and {needed_by(needs)} it",
        runs=tuple(need.run for need in needs),
        pool=sr.pool or "",
        before=(scene.fact("attached", False, "", PartName.PBDS),),
        aside=_aside(scene, sr, pbd, needs, vms),
    )


def _aside(scene: Scene, sr: Sr, pbd: Pbd, needs: list[Need], vms: tuple[str, ...]) -> str:
    if not scene.policy.plug:
        return "the policy says [remedies] plug = false"
    if sr.in_maintenance_mode is True:
        return "somebody put it into maintenance mode"
    if not scene.is_connected(sr.pool or ""):
        return "XO is not connected to its pool"
    if scene.is_rolling(sr.pool or ""):
        return "a rolling pool update or reboot goes on"
    # nothing tells an SR that was lost from one that somebody unplugged; one that was never used is no loss
    if scene.saved_vms.isdisjoint(vms):
        return "no VM on it was ever saved as far as XO's logs tell, so it may be unplugged on purpose"
    if not any(need.enforced for need in needs):
        return "the policy says observe for what needs it"
    return tried(scene, RemedyKind.PLUG, pbd.id)


def seen_again(remedy: Remedy, estate: Estate, now: datetime) -> Remedy:
    """The remedy with whether the PBD is attached now."""
    pbd = next((one for one in estate.pbds if one.id == remedy.scope.id), None)
    part = estate.parts[PartName.PBDS]
    if remedy.effect is not Effect.PENDING or pbd is None or part.read_at <= remedy.at:
        return remedy
    is_there = pbd.attached is True
    return shown(remedy, is_there, part.read_at, now, helped=is_there)
