"""VDI-chain risk: would XO's chain protection skip this VM (failure-modes.md 3.1)?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ChainOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.retention import removed_first
from guard.mechanics.settings import effective
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

_SKIPPED_OFTEN = 2
"""So many runs in a row that XO skipped for the chain: what would have coalesced by itself has had its time."""


def evaluate(view: View, options: ChainOptions) -> list[Finding]:
    """One finding per VM with a disk beyond the tolerance, now or once the run has pruned its own snapshots."""
    findings = []
    for vm_id in view.vms:
        bypassed = view.outlook.settings_of(view.run, vm_id).bypass_vdi_chains_check
        if bypassed or not view.takes_snapshot(vm_id):
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
    removed = removed_first(view.run.job, vm_id, snapshots, lambda one: effective(view.run.job, one, vm_id))
    for deleted in (frozenset[str](), removed) if removed else (removed,):
        counts = {disk.id: len(chains.chain(disk.id, deleted).uncoalesced) for disk in disks}
        over = [disk for disk in disks if counts[disk.id] > options.tolerance]
        if over:
            # one whose SR never coalesces comes before one that only has more to coalesce
            disk = max(over, key=lambda one: (_switched_off(view, one) is not None, counts[one.id]))
            return _finding(view, options, vm_id, disk, counts[disk.id])
    return None


def _finding(view: View, options: ChainOptions, vm_id: str, disk: Vdi, then: int) -> Finding:
    chain = view.outlook.chains.chain(disk.id)
    count = len(chain.uncoalesced)
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
    stuck = _switched_off(view, disk) or _skipped_often(view, vm_id, where)
    told = (f" {stuck.told}" if stuck is not None else "") + (" A coalesce is at work there now." if collecting else "")
    return Finding(
        code=CHAIN_UNHEALTHY.id,
        check="chain",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN if then == count else Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: {plural(count, 'un-coalesced VDI')}{added} in the chain of disk "
        f"{disk.name_label or disk.id} on {where}; XO tolerates {options.tolerance}.{told}",
        facts=(
            view.fact("uncoalesced", count, "VDIs", PartName.VDIS),
            view.fact("uncoalesced_in_run", then, "VDIs", PartName.VDIS),
            view.fact("depth", chain.depth, "VDIs", PartName.VDIS),
            view.fact("disk", disk.id, "", PartName.VDIS),
            policy_fact("tolerance", options.tolerance, "VDIs"),
            *((stuck.fact,) if stuck is not None else ()),
        ),
        remedy=f"Wait for the coalesce on {where}; if nothing moves, rescan that SR in XO."
        if stuck is None
        else stuck.remedy,
        clears=Clears(ClearedBy.TIME if stuck is None else ClearedBy.PERSON),
    )


@dataclass(frozen=True)
class _Stuck:
    """Why waiting does not help (failure-modes.md 3.4)."""

    told: str
    fact: Fact
    remedy: str


def _switched_off(view: View, disk: Vdi) -> _Stuck | None:
    """What keeps the disk's SR from ever coalescing."""
    sr = view.estate.sr_by_id.get(disk.sr or "")
    if sr is None:
        return None
    off = next((key for key in ("gc", "coalesce") if (sr.other_config or {}).get(key) == "false"), "")
    if off:
        return _Stuck(
            f"Coalesce is switched off there: the SR's other_config has {off} = false.",
            view.fact(off, "false", "", PartName.SRS),
            f"Remove {off} = false from the other_config of {sr.name_label} (xe sr-param-remove), then rescan it in XO.",
        )
    if "gc_no_space" in (sr.sm_config or {}):
        return _Stuck(
            "Its last coalesce found no room: the SR's sm_config has gc_no_space.",
            view.fact("gc_no_space", True, "", PartName.SRS),
            f"Free space on {sr.name_label}, then rescan it in XO.",
        )
    return None


def _skipped_often(view: View, vm_id: str, where: str) -> _Stuck | None:
    skips = view.outlook.history.chain_skips.get((view.run.job.id, vm_id), 0)
    if skips < _SKIPPED_OFTEN:
        return None
    return _Stuck(
        f"XO skipped it for that in its last {skips} runs: waiting has not helped.",
        view.fact("skipped_in_a_row", skips, "runs", PartName.LOGS),
        f"Rescan {where} in XO, look for coalesce errors in /var/log/SMlog on the pool master, and make sure {where} has "
        "free space.",
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
