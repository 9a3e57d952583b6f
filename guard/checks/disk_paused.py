"""Disks that an interrupted coalesce left paused: the next snapshot fails (xapi-storage.md 3.5, failure-modes.md 3.3)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import DiskPausedOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind

SR_FAILURE = Code(
    id="SR_FAILURE",
    title="The SR refused an operation",
    why="The storage driver of the host answered with an SR_BACKEND_FAILURE that has no cause of its own in guard: a disk "
    "left paused, an SR that is broken or cannot be reached, a snapshot that failed half-way.",
    do="Look at /var/log/SMlog on the pool master at the time of the failure. Make sure the SR is connected on every host, "
    "rescan it, and run the backup again; when it fails again, the storage needs a person.",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def evaluate(view: View, options: DiskPausedOptions) -> list[Finding]:
    """One finding per VM with a disk that SM marks as paused. While a coalesce is at work there, the mark is its own."""
    del options
    findings = []
    if not view.knows(PartName.POOL_FACTS):
        return []
    for vm_id in view.vms:
        if not view.takes_snapshot(vm_id):
            continue
        paused = next((disk for _, disk in view.outlook.disks(vm_id) if _is_paused(view, disk)), None)
        if paused is not None:
            findings.append(_finding(view, vm_id, paused))
    return findings


def _is_paused(view: View, disk: Vdi) -> bool:
    told = view.estate.vdi_facts.get(disk.id)
    return told is not None and told.paused is True


def _finding(view: View, vm_id: str, disk: Vdi) -> Finding:
    sr = view.estate.sr_facts.get(disk.sr or "")
    # a pool that shows no such tasks (XCP-ng 8.2) may be coalescing all the same
    idle = sr is not None and sr.gc_tasks == ()
    name, label = view.vm_name(vm_id), disk.name_label or disk.id
    why = "no coalesce is at work there" if idle else "a coalesce may be at work there, which takes the mark off again"
    return Finding(
        code=SR_FAILURE.id,
        check="disk_paused",
        level=Level.WARN,
        certainty=Certainty.LIKELY if idle else Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, name),
        holds=(vm_id,),
        summary=f"{name}: disk {label} is marked as paused, and {why}; a snapshot of a paused disk fails "
        "(SR_BACKEND_FAILURE_82).",
        facts=(
            view.fact("paused", True, "", PartName.POOL_FACTS),
            view.fact("disk", disk.id, "", PartName.POOL_FACTS),
        ),
        remedy=f"Nothing while a coalesce is at work. When the mark stays, look for {disk.id} in /var/log/SMlog on the host that "
        "has it: a merge or an export broke off there, and a person has to take the mark off.",
        clears=Clears(ClearedBy.PERSON if idle else ClearedBy.TIME),
    )


CHECK = Check(
    name="disk_paused",
    title="Disks left paused",
    codes=(SR_FAILURE,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=DiskPausedOptions,
    evaluate=evaluate,
)
