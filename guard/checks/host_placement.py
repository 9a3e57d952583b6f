"""Snapshots for which the pool finds no host (xapi-storage.md 5.2).

XAPI runs VM.snapshot on a live host that has every SR of the VM plugged: those of its CDs and of its [NOBAK] disks too.
A checkpoint of a running VM is taken on that VM's own host; nothing is looked for then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import HostPlacementOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.connection import is_up
from guard.mechanics.placement import cut_off_disk
from guard.units import plural, some_of

NO_HOST_SEES_DISKS = Code(
    id="NO_HOST_SEES_DISKS",
    title="No host is connected to every SR of the VM",
    why="The pool takes a snapshot on a live host that has all SRs of the VM plugged, and an ISO left in its CD drive counts "
    "as a disk: one from an ISO SR that is gone is enough. Without such a host it refuses (NO_HOSTS_AVAILABLE, "
    "VM_REQUIRES_SR).",
    do="In XO, eject the CD of the VM (VM > Disks or Console), or connect the SR named in the finding to a host that has the "
    "VM's other SRs (SR > Hosts). Then start the VM's backup again.",
    page_section="Error: SR_OPERATION_NOT_SUPPORTED",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


@dataclass(frozen=True)
class _Sight:
    """Who sees a set of SRs: any live host, and any host at all. ``blind``: the SRs that no live host sees."""

    live: bool
    any: bool
    blind: tuple[str, ...]


def evaluate(view: View, options: HostPlacementOptions) -> list[Finding]:
    """One finding for all VMs that lack a host because of the same SRs; a detached disk is told by another check."""
    del options
    sights: dict[frozenset[str], _Sight] = {}
    without: dict[frozenset[str], list[str]] = {}
    for vm_id in view.vms:
        srs = _srs(view, vm_id)
        if srs not in sights:
            sights[srs] = _sight(view, srs)
        if not sights[srs].live and _is_placed(view, vm_id) and cut_off_disk(view.outlook, vm_id) is None:
            without.setdefault(srs, []).append(vm_id)
    return [_finding(view, srs, sights[srs], vms) for srs, vms in without.items()]


def _srs(view: View, vm_id: str) -> frozenset[str]:
    """The SRs of whatever is in a drive of the VM; what XO does not show is left out, so nothing is claimed of it."""
    known = view.estate.vdi_by_id
    vdis = (known.get(vbd.vdi or "") for vbd in view.estate.vbds_of_vm.get(vm_id, ()))
    return frozenset(vdi.sr for vdi in vdis if vdi is not None and vdi.sr and vdi.sr in view.estate.sr_by_id)


def _is_placed(view: View, vm_id: str) -> bool:
    """Whether the pool looks for a host: it takes a snapshot, and no checkpoint where the VM runs."""
    at_home = view.estate.vm_by_id[vm_id].power_state == "Running" and view.takes_memory(vm_id)
    return view.takes_snapshot(vm_id) and not (at_home and not view.is_offline(vm_id))


def _sight(view: View, srs: frozenset[str]) -> _Sight:
    if not srs:
        return _Sight(live=True, any=True, blind=())
    hosts = view.estate.host_by_id
    plugged = {sr: view.estate.hosts_of_sr.get(sr, frozenset()) for sr in srs}
    everywhere = frozenset.intersection(*plugged.values())
    blind = tuple(sorted(sr for sr, on in plugged.items() if not any(is_up(hosts.get(host)) for host in on)))
    return _Sight(live=any(is_up(hosts.get(host)) for host in everywhere), any=bool(everywhere), blind=blind)


def _finding(view: View, srs: frozenset[str], sight: _Sight, vms: list[str]) -> Finding:
    def names(ids: tuple[str, ...]) -> str:
        return some_of(view.estate.sr_by_id[one].name_label or one for one in ids)

    guilty = sight.blind or tuple(sorted(srs))
    if sight.blind:
        what = f"No live host is connected to {names(guilty)}"
    else:
        what = f"No live host is connected to all of {names(guilty)}"
    first = guilty[0]
    return Finding(
        code=NO_HOST_SEES_DISKS.id,
        check="host_placement",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SR, first, view.estate.sr_by_id[first].name_label),
        holds=tuple(vms),
        summary=f"{what}, where {plural(len(vms), 'VM')} ({some_of(map(view.vm_name, vms))}) "
        f"{'has' if len(vms) == 1 else 'have'} a disk or a CD; the pool finds no host for the snapshot.",
        facts=(
            view.fact("srs", len(srs), "SRs", PartName.VBDS),
            view.fact("srs_without_live_host", len(sight.blind), "SRs", PartName.PBDS),
        ),
        remedy="Start the host, or enable it."
        if sight.any
        else f"Eject a CD that lies on {names(guilty)}, or connect the SR (SR > Hosts in XO).",
        clears=Clears(ClearedBy.TIME if sight.any else ClearedBy.PERSON),
    )


CHECK = Check(
    name="host_placement",
    title="A host for each snapshot",
    codes=(NO_HOST_SEES_DISKS,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.HOSTS, PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.SRS, PartName.PBDS)
    },
    options=HostPlacementOptions,
    evaluate=evaluate,
)
