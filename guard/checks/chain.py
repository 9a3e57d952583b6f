"""VDI-chain risk: would XO's chain protection skip this VM (failure-modes.md 3.1)?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from guard.checks.check import Check
from guard.checks.coalesce_reasons import Reason, reasons, skipped_often
from guard.checks.options import ChainOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.coalescing import is_collecting, queues, rate_of
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
    certainty=(Certainty.CERTAIN, Certainty.LIKELY),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)
_TOLD_OF_SR = "Waiting does not help there: see COALESCE_STUCK."


def evaluate(view: View, options: ChainOptions) -> list[Finding]:
    """One finding per VM with a disk beyond the tolerance, now or once the run has pruned its own snapshots."""
    findings = []
    queued = queues(view.estate.observations) if view.knows(PartName.OBSERVATIONS) else {}
    for vm_id in view.vms:
        bypassed = view.outlook.settings_of(view.run, vm_id).bypass_vdi_chains_check
        if bypassed or not view.takes_snapshot(vm_id):
            continue
        finding = _worst_disk(view, options, vm_id, queued)
        if finding is not None:
            findings.append(finding)
    return findings


def _worst_disk(view: View, options: ChainOptions, vm_id: str, queued: Mapping[str, int]) -> Finding | None:
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
            disk = max(over, key=lambda one: (_stuck(view, vm_id, one) is not None, counts[one.id]))
            return _finding(view, options, vm_id, disk, counts[disk.id], queued)
    return None


def _finding(view: View, options: ChainOptions, vm_id: str, disk: Vdi, then: int, queued: Mapping[str, int]) -> Finding:
    chain = view.outlook.chains.chain(disk.id)
    count = len(chain.uncoalesced)
    sr = view.estate.sr_by_id.get(disk.sr or "")
    collecting = sr is not None and any(is_collecting(task, sr.id) for task in view.estate.xapi_tasks)
    added = f", {then} once the run has deleted its own old snapshots" if then != count else ""
    where = sr.name_label if sr is not None else "unknown SR"
    stuck = _stuck(view, vm_id, disk)
    eta, measured = _eta(view, options, disk, max(then, queued.get(disk.sr or "", 0))) if stuck is None else (None, ())
    told = f" {stuck.told if sr is None else _TOLD_OF_SR}" if stuck is not None else ""
    told += " A coalesce is at work there now." if collecting else ""
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
            *(stuck.facts if stuck is not None else measured),
        ),
        remedy=f"Wait for the coalesce on {where}; if nothing moves, rescan that SR in XO."
        if stuck is None
        else stuck.remedy,
        clears=Clears(ClearedBy.TIME, eta) if stuck is None else Clears(ClearedBy.PERSON),
    )


def _eta(view: View, options: ChainOptions, disk: Vdi, waiting: int) -> tuple[datetime | None, tuple[Fact, ...]]:
    """When the chain is short enough again, and from which figures, where guard has seen that SR coalesce.

    SM takes one pair of an SR after the other: whatever waits there comes first, at the slow end of its rate.
    """
    if not view.knows(PartName.OBSERVATIONS):
        return None, ()
    rate = rate_of(view.estate.observations, disk.sr or "")
    if rate is None:
        return None, ()
    queue = waiting - options.tolerance
    facts = (
        view.fact("coalesce_rate", round(rate.pairs_per_hour, 2), "VDIs/h", PartName.OBSERVATIONS),
        view.fact("coalesce_rate_slow", round(rate.slow_pairs_per_hour, 2), "VDIs/h", PartName.OBSERVATIONS),
        view.fact("rate_samples", rate.samples, "looks", PartName.OBSERVATIONS),
        view.fact("queue", queue, "VDIs", PartName.OBSERVATIONS),
    )
    return view.now + timedelta(hours=queue / rate.slow_pairs_per_hour), facts


def _stuck(view: View, vm_id: str, disk: Vdi) -> Reason | None:
    """Why waiting does not help: what keeps the disk's SR from coalescing, or that it has not helped so far.

    A tendency alone leaves it to time. What keeps an SR is told once for all its VMs, by COALESCE_STUCK.
    """
    sr, chains = view.estate.sr_by_id.get(disk.sr or ""), view.outlook.chains
    pairs = [(node, chains.child(node)) for node in chains.chain(disk.id).uncoalesced]
    if sr is None:
        return next(skipped_often(view, [vm_id] if pairs else [], "the SR"), None)
    return next((one for one in reasons(view, sr, {vm_id: pairs}) if one.certainty is not Certainty.TREND), None)


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
