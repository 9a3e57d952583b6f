"""Disks that cannot be snapshotted at all: raw images, removable and ISO SRs (failure-modes.md 3.10)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import SnapshotSupportOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind

SNAPSHOT_UNSUPPORTED = Code(
    id="SNAPSHOT_UNSUPPORTED",
    title="A disk of the VM cannot be snapshotted",
    why="One disk is in RAW format, on a removable or ISO SR, resets at boot, or the host cannot snapshot what the VM has "
    "(a vTPM on an old host). XAPI then refuses the snapshot of the whole VM.",
    do="Detach the removable device or disk and run the backup again. A disk whose data the backup can do without may stay: "
    "put [NOBAK] in its name and XO leaves it out. A RAW disk has to be copied into a new disk in another format.",
    page_section="Error: SR_OPERATION_NOT_SUPPORTED",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

_NO_SNAPSHOTS = frozenset({"udev", "iso", "hba", "rawhba", "iscsi", "rawiscsi"})
"""SR types whose drivers lack VDI_SNAPSHOT (SM udevSR.py, ISOSR.py, HBASR.py)."""


def evaluate(view: View, options: SnapshotSupportOptions) -> list[Finding]:
    """One finding per VM; XAPI refuses the snapshot of the whole VM for one such disk."""
    del options
    findings = []
    for vm_id in view.vms:
        found = next((one for vdi in _disks(view, vm_id) if (one := _unsupported(view, vdi))), None)
        if found is not None:
            findings.append(_finding(view, vm_id, *found))
    return findings


def _disks(view: View, vm_id: str) -> list[Vdi]:
    return [vdi for _, vdi in view.outlook.disks(vm_id)] if view.takes_snapshot(vm_id) else []


def _unsupported(view: View, vdi: Vdi) -> tuple[Vdi, str, Fact] | None:
    sr = view.estate.sr_by_id.get(vdi.sr or "")
    if sr is not None and sr.sr_type in _NO_SNAPSHOTS:
        why = f"is on {sr.name_label}, and an SR of type {sr.sr_type} takes no snapshots"
        return vdi, why, view.fact("sr_type", sr.sr_type, "", PartName.SRS)
    if vdi.image_format == "raw":
        return vdi, "is in RAW format", view.fact("image_format", "raw", "", PartName.VDIS)
    return None


def _finding(view: View, vm_id: str, vdi: Vdi, why: str, fact: Fact) -> Finding:
    name = vdi.name_label or vdi.id
    return Finding(
        code=SNAPSHOT_UNSUPPORTED.id,
        check="snapshot_support",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: disk {name} {why}; the host refuses the snapshot of the whole VM.",
        facts=(fact, view.fact("disk", vdi.id, "", PartName.VDIS)),
        remedy=f"Detach {name}, or put [NOBAK] in its name if the backup can do without its data.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="snapshot_support",
    title="Disks that cannot be snapshotted",
    codes=(SNAPSHOT_UNSUPPORTED,),
    needs={part: timedelta(minutes=10) for part in (PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=SnapshotSupportOptions,
    evaluate=evaluate,
)
