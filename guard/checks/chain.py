"""VDI-chain risk: would XO's chain protection skip this VM (failure-modes.md 3.1)?"""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ChainOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.retention import removed_first
from guard.mechanics.settings import effective, takes_snapshot
from guard.units import plural

CHAIN_UNHEALTHY = Code(
    id="CHAIN_UNHEALTHY",
    title="The VDI chain of a disk waits for too many coalesces",
    why="Every deleted snapshot leaves a base copy that the host has to merge (coalesce). When more of them wait on one "
    'disk than XO tolerates, XO skips the VM with "unhealthy VDI chain" to protect the SR.',
    do="Wait: the host coalesces by itself, one pair at a time, from about five minutes after a snapshot was deleted. "
    "When nothing moves for hours, rescan the SR in XO (Rescan all disks), then look for coalesce errors in "
    "/var/log/SMlog on the pool master and make sure the SR has free space. As a last resort, migrate the disk to "
    "another SR and back.",
    page_section="VDI chain protection",
)


def evaluate(view: View, options: ChainOptions) -> list[Finding]:
    """One finding per VM with a disk beyond the tolerance, now or once the run has pruned its own snapshots."""
    findings = []
    for vm_id in view.vms:
        settings = view.outlook.settings_of(view.run, vm_id)
        vm = view.estate.vm_by_id[vm_id]
        nobak = view.outlook.has_nobak_disk(vm_id)
        if settings.bypass_vdi_chains_check or not takes_snapshot(
            view.run.job, settings, vm.power_state or None, has_nobak_disk=nobak
        ):
            continue
        finding = _worst_disk(view, options, vm_id)
        if finding is not None:
            findings.append(finding)
    return findings


def _worst_disk(view: View, options: ChainOptions, vm_id: str) -> Finding | None:
    """XO's rule looks at every VBD of a VM: CDs and [NOBAK] disks too (vm.mjs:212)."""
    estate, chains = view.estate, view.outlook.chains
    disks = [
        estate.vdi_by_id[vbd.vdi] for vbd in estate.vbds_of_vm.get(vm_id, ()) if vbd.vdi and vbd.vdi in estate.vdi_by_id
    ]
    snapshots = [snapshot for disk in disks for snapshot in estate.snapshots_of_vdi.get(disk.id, ())]
    job = view.run.job
    removed = removed_first(job, vm_id, snapshots, lambda one: effective(job, one, vm_id))
    now = [(len(chains.chain(disk.id).uncoalesced), disk) for disk in disks]
    if not now:
        return None
    count, disk = max(now, key=lambda pair: pair[0])
    if count > options.tolerance:
        return _finding(view, options, vm_id, disk, count, count)
    if not removed:
        return None
    then, disk = max(((len(chains.chain(one.id, removed).uncoalesced), one) for one in disks), key=lambda pair: pair[0])
    return _finding(view, options, vm_id, disk, count, then) if then > options.tolerance else None


def _finding(view: View, options: ChainOptions, vm_id: str, disk: Vdi, count: int, then: int) -> Finding:
    sr = view.estate.sr_by_id.get(disk.sr or "")
    collecting = [
        task
        for task in view.estate.xapi_tasks
        if sr is not None
        and task.name_label == "Garbage Collection"
        and task.status == "pending"
        and (sr.id in str(task.applies_to) or sr.id in task.name_description)
    ]
    added = f", {then} once the run has deleted its own old snapshots" if then != count else ""
    where = sr.name_label if sr is not None else "unknown SR"
    at_work = " A coalesce is at work there now." if collecting else ""
    return Finding(
        code=CHAIN_UNHEALTHY.id,
        check="chain",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN if then == count else Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: {plural(count, 'un-coalesced VDI')}{added} in the chain of disk "
        f"{disk.name_label or disk.id} on {where}; XO tolerates {options.tolerance}.{at_work}",
        facts=(
            view.fact("uncoalesced", count, "VDIs", PartName.VDIS),
            view.fact("uncoalesced_in_run", then, "VDIs", PartName.VDIS),
            view.fact("depth", view.outlook.chains.chain(disk.id).depth, "VDIs", PartName.VDIS),
            view.fact("disk", disk.id, "", PartName.VDIS),
            policy_fact("tolerance", options.tolerance, "VDIs"),
        ),
        remedy=f"Wait for the coalesce on {where}; if nothing moves, rescan that SR in XO.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="chain",
    title="VDI-chain risk",
    codes=(CHAIN_UNHEALTHY,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED)
    },
    options=ChainOptions,
    evaluate=evaluate,
)
