"""Snapshots that XAPI itself says it would refuse, where guard may ask the pool (xapi-storage.md 5.2 and 5.3).

XAPI evaluates here what it evaluates when XO asks for the snapshot. It is blind to space, chains and raw volumes.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import UNSET

from guard.checks.check import Check
from guard.checks.options import XapiRefusalOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xapi_records import Refusal, VmFacts
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind

SNAPSHOT_REFUSED = Code(
    id="SNAPSHOT_REFUSED",
    title="The pool itself says that it would refuse the snapshot",
    why="guard asked the pool what XO is going to ask it. Something about the VM or one of its disks stands in the way, and "
    "nothing is going on there that would end by itself.",
    do="Look up the pool's own word for it (the code in the finding). Typical: a disk that is reset at every boot, a disk "
    "shared by several VMs, a rolling upgrade of the pool that was never finished.",
    page_section="Error: SR_OPERATION_NOT_SUPPORTED",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)

_OF_A_DEVICE, _BLOCKED, _BUSY = "VM_HAS_VUSBS", "OPERATION_BLOCKED", "OTHER_OPERATION_IN_PROGRESS"


def evaluate(view: View, options: XapiRefusalOptions) -> list[Finding]:
    """One finding per VM whose snapshot would be refused for a reason that no other check sees in XO's records.

    While an operation goes on, XAPI refuses for its sake, and takes the snapshot once it has ended: nothing is said.
    """
    del options
    if not view.knows(PartName.POOL_FACTS):
        return []
    findings = []
    for vm_id in view.vms:
        if not view.takes_snapshot(vm_id):
            continue
        told = view.estate.vm_facts.get(vm_id)
        if told is None or told.current_operations:
            continue
        refusal = _of_vm(view, vm_id, told)
        disk = _refused_disk(view, vm_id) if refusal is None else None
        if refusal is not None or disk is not None:
            findings.append(_finding(view, vm_id, refusal, disk))
    return findings


def _of_vm(view: View, vm_id: str, told: VmFacts) -> Refusal | None:
    if told.refusal is UNSET or told.refusal is None or told.refusal.code == _BUSY:
        return None
    seen_in_xo = (told.refusal.code == _OF_A_DEVICE and any(vusb.vm == vm_id for vusb in view.estate.vusbs)) or (
        told.refusal.code == _BLOCKED and bool(view.estate.vm_by_id[vm_id].blocked_operations)
    )
    return None if seen_in_xo else told.refusal


def _refused_disk(view: View, vm_id: str) -> Vdi | None:
    """A disk that may not be snapshotted although neither it nor its SR is at work."""
    for _, disk in view.outlook.disks(vm_id):
        told, sr = view.estate.vdi_facts.get(disk.id), view.estate.sr_facts.get(disk.sr or "")
        if told is None or told.allowed_operations is UNSET or told.current_operations:
            continue
        at_work = sr is None or sr.current_operations is UNSET or bool(sr.current_operations)
        if "snapshot" not in told.allowed_operations and not at_work:
            return disk
    return None


def _finding(view: View, vm_id: str, refusal: Refusal | None, disk: Vdi | None) -> Finding:
    name = view.vm_name(vm_id)
    if refusal is not None:
        words = f" ({', '.join(refusal.params)})" if refusal.params else ""
        told = f"{name}: the pool says it would refuse a snapshot: {refusal.code}{words}."
        fact = view.fact("refusal", refusal.code, "", PartName.POOL_FACTS)
    else:
        label = (disk.name_label or disk.id) if disk is not None else ""
        told = f"{name}: the pool does not allow a snapshot of disk {label}, and nothing is at work on it or its SR."
        fact = view.fact("disk", disk.id if disk is not None else "", "", PartName.POOL_FACTS)
    return Finding(
        code=SNAPSHOT_REFUSED.id,
        check="xapi_refusal",
        # a disk is also refused while a drive of it is plugged, which is not told: that passes
        level=Level.BLOCK if refusal is not None else Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, name),
        holds=(vm_id,),
        summary=told,
        facts=(fact,),
        remedy=f"Try a snapshot of {name} by hand in XO and read what the pool answers; then remove what stands in its way.",
        clears=Clears(ClearedBy.PERSON if refusal is not None else ClearedBy.TIME),
    )


CHECK = Check(
    name="xapi_refusal",
    title="Snapshots that the pool would refuse",
    codes=(SNAPSHOT_REFUSED,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VUSBS)},
    options=XapiRefusalOptions,
    evaluate=evaluate,
)
