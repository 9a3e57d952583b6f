"""Old snapshots of the job that this run must delete and cannot (failure-modes.md 4.3; xapi-storage.md 3.5)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import SnapshotStuckOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.retention import removed_first
from guard.mechanics.settings import effective

SNAPSHOT_STUCK = Code(
    id="SNAPSHOT_STUCK",
    title="An old snapshot of the job cannot be removed",
    why="Before it takes a new snapshot XO deletes the old one. Its disk is still plugged in the control domain "
    "(VDI_IN_USE), or somebody detached or reattached a disk of it by hand.",
    do="In XO, Dashboard > Health, disconnect disks that are attached to a control domain, when no backup is running. "
    "Delete the odd snapshot of the job by hand; the next run is then a full.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: SnapshotStuckOptions) -> list[Finding]:
    """One finding per VM with a snapshot that goes before the new one and is plugged, while no export of it can be at work.

    A VBD on a VM that is no VM of the estate, and attached: only a control domain has such (xo-api.md 3.9).
    """
    del options
    stuck = view.estate.plugged_snapshots
    if not stuck or _exports_by_hand(view):
        return []
    exported = {vm for job in view.outlook.running for vm in view.outlook.selection_of(view.estate.job_by_id[job]).ids}
    findings = []
    for vm_id in view.vms:
        if vm_id in exported:
            continue
        drives = view.outlook.drives(vm_id)
        snapshots = [one for _, disk in drives if disk for one in view.estate.snapshots_of_vdi.get(disk.id, ())]
        if stuck.isdisjoint(one.id for one in snapshots):
            continue
        held = sorted(stuck & _removed(view, vm_id, snapshots))
        if held:
            findings.append(_finding(view, vm_id, held))
    return findings


def _removed(view: View, vm_id: str, snapshots: list[Vdi]) -> frozenset[str]:
    return removed_first(view.run.job, vm_id, snapshots, lambda one: effective(view.run.job, one, vm_id))


def _exports_by_hand(view: View) -> bool:
    """An export at work that may be of any VM: what it holds, it gives back."""
    return any(
        one.status == "pending" and "export" in f"{one.name_label} {one.name_description}".lower()
        for one in view.estate.xapi_tasks
    )


def _finding(view: View, vm_id: str, held: list[str]) -> Finding:
    name = view.vm_name(vm_id)
    disk = view.estate.vdi_by_id[held[0]]
    label = disk.name_label or disk.id
    return Finding(
        code=SNAPSHOT_STUCK.id,
        check="snapshot_stuck",
        level=Level.BLOCK,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, name),
        holds=(vm_id,),
        summary=f"{name}: the old snapshot of disk {label} is still plugged in a control domain, and no export goes on; XO "
        "must delete it before the new snapshot, and that fails.",
        facts=(
            view.fact("plugged", len(held), "VDIs", PartName.VBDS),
            view.fact("vdi", disk.id, "", PartName.VDI_SNAPSHOTS),
        ),
        remedy=f"In XO, Dashboard > Health, disconnect the snapshot of {label} from the control domain.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="snapshot_stuck",
    title="Old snapshots that cannot be deleted",
    codes=(SNAPSHOT_STUCK,),
    needs={
        part: timedelta(minutes=10)
        for part in (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.XAPI_TASKS)
    },
    options=SnapshotStuckOptions,
    evaluate=evaluate,
)
