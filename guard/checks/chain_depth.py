"""Chains near the 30 images at which SM refuses a snapshot, and retentions that must end there (failure-modes.md 3.2)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ChainDepthOptions
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.chain import MAX_DEPTH
from guard.mechanics.outlook import target_sr_ids
from guard.mechanics.settings import effective
from guard.units import plural

CHAIN_TOO_LONG = Code(
    id="CHAIN_TOO_LONG",
    title="The snapshot chain of a disk has reached its limit of 30",
    why="The host refuses a snapshot when 30 images already hang together below a disk (SR_BACKEND_FAILURE_109). Many kept "
    "or manual snapshots lead there, and so does a replica, where every transfer adds one on the target.",
    do="Delete snapshots of the VM that nobody needs, lower the snapshot or copy retention of its jobs, then rescan the SR "
    "(Rescan all disks) and let the coalesce finish. Moving the disk to another SR and back flattens the chain too.",
    page_section="VDI chain protection",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def evaluate(view: View, options: ChainDepthOptions) -> list[Finding]:
    """One finding per VM with a deep disk, and one per retention that would reach the limit by itself."""
    findings = []
    for vm_id in view.vms:
        if view.takes_snapshot(vm_id):
            finding = _deepest(view, options, vm_id)
            if finding is not None:
                findings.append(finding)
    return findings + _retentions(view)


def _deepest(view: View, options: ChainDepthOptions, vm_id: str) -> Finding | None:
    """SM counts before it adds the new image, so 30 is refused (vhdutil.py, FileSR.py, LVHDSR.py, LinstorSR.py).

    What the limit is for QCOW2 is not known, so such disks are not judged.
    """
    disks = [vdi for _, vdi in view.outlook.disks(vm_id) if vdi.image_format != "qcow2"]
    chains = {vdi.id: view.outlook.chains.chain(vdi.id) for vdi in disks}
    disk = max(disks, key=lambda one: chains[one.id].depth, default=None)
    if disk is None or chains[disk.id].depth < options.warn_depth:
        return None
    depth, pending = chains[disk.id].depth, len(chains[disk.id].uncoalesced)
    refused = depth >= MAX_DEPTH
    return Finding(
        code=CHAIN_TOO_LONG.id,
        check="chain_depth",
        level=Level.BLOCK if refused else Level.WARN,
        certainty=Certainty.CERTAIN if refused else Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: {plural(depth, 'image')} hang together below disk {disk.name_label or disk.id} on "
        f"{_where(view, disk)}; with {MAX_DEPTH} the host refuses the snapshot.",
        facts=(
            view.fact("depth", depth, "VDIs", PartName.VDIS),
            view.fact("uncoalesced", pending, "VDIs", PartName.VDIS),
            view.fact("disk", disk.id, "", PartName.VDIS),
            policy_fact("warn_depth", options.warn_depth, "VDIs"),
        ),
        remedy=f"Delete snapshots of {view.vm_name(vm_id)} that nobody needs, then rescan {_where(view, disk)} in XO.",
        clears=Clears(ClearedBy.TIME if pending else ClearedBy.PERSON),
    )


def _where(view: View, disk: Vdi) -> str:
    sr = view.estate.sr_by_id.get(disk.sr or "")
    return sr.name_label if sr is not None else "an unknown SR"


def _retentions(view: View) -> list[Finding]:
    """Every kept snapshot is one image, and so is every kept copy of a replication, on its target."""
    run = view.run
    kept = [("snapshotRetention", run.settings.snapshot_retention, run.job.id, run.job.name, ScopeKind.JOB)]
    for sr_id in target_sr_ids(run.job) if run.job.mode == "delta" else ():
        sr = view.estate.sr_by_id.get(sr_id)
        copies = effective(run.job, run.schedule.id, "", sr_id).copy_retention
        kept.append(("copyRetention", copies, sr_id, sr.name_label if sr is not None else sr_id, ScopeKind.SR))
    return [
        Finding(
            code=CHAIN_TOO_LONG.id,
            check="chain_depth",
            level=Level.WARN,
            certainty=Certainty.LIKELY,
            harm=Harm.NONE,
            scope=Scope(kind, identity, name),
            summary=f"Schedule {run.schedule.name} keeps {plural(count, 'snapshot')} ({key}) on {name}: its chains grow to the "
            f"{MAX_DEPTH} images at which the host refuses another.",
            facts=(view.fact(key, count, "snapshots", PartName.JOBS),),
            remedy=f"Lower {key} of schedule {run.schedule.name} below {MAX_DEPTH - 1}.",
            clears=Clears(ClearedBy.PERSON),
        )
        for key, count, identity, name, kind in kept
        if count >= MAX_DEPTH - 1
    ]


CHECK = Check(
    name="chain_depth",
    title="Depth of VDI chains",
    codes=(CHAIN_TOO_LONG,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED)
    },
    options=ChainDepthOptions,
    evaluate=evaluate,
)
