"""Disks that are not on their SR any more, or that gave read errors again and again (failure-modes.md 3.15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import DiskMissingOptions
from guard.checks.repeated import Repeated, figures, of_srs_and_vms, who_and_when
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind

DISK_UNREADABLE = Code(
    id="DISK_UNREADABLE",
    title="The host could not read or write a disk",
    why="The host reported an I/O error on a disk (VDI_IO_ERROR), or the disk is not there. The data on the SR may be "
    "damaged, or the SR is too slow for the copy beside the VMs. In a replication it is the disk of the target SR.",
    do="Run the backup of this VM once more. When it fails again, look for I/O errors in dmesg and /var/log/SMlog on the "
    "host, check the health of the storage, and try to copy the disk to another SR while it can still be read.",
    page_section="Error: VDI_IO_ERROR",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY),
    clears=(ClearedBy.PERSON,),
)


def evaluate(view: View, options: DiskMissingOptions) -> list[Finding]:
    """One finding per VM with a disk that XAPI marked missing at its last scan of the SR, then read errors that repeat.

    XO does not wait for what the host says of an export, so a read error in a log is mostly one of a replica's SR.
    """
    missing = [one for vm_id in view.vms for one in _missing(view, vm_id)]
    held = {vm for one in missing for vm in one.holds}
    again = of_srs_and_vms(view, DISK_UNREADABLE.id, options.times, options.runs)
    return [*missing, *(_repeated(view, options, one) for one in again if not held.issuperset(one.holds))]


def _missing(view: View, vm_id: str) -> Iterator[Finding]:
    missing = [vdi for _, vdi in view.outlook.disks(vm_id) if vdi.missing is True]
    if not missing:
        return
    sr = view.estate.sr_by_id.get(missing[0].sr or "")
    where = sr.name_label if sr is not None else "its SR"
    name = missing[0].name_label or missing[0].id
    yield Finding(
        code=DISK_UNREADABLE.id,
        check="disk_missing",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: the host did not find disk {name} on {where} at its last scan.",
        facts=(
            view.fact("missing", len(missing), "VDIs", PartName.VDIS),
            view.fact("disk", missing[0].id, "", PartName.VDIS),
        ),
        remedy=f"Rescan {where} in XO. If {name} stays missing, look at the storage before anything else.",
        clears=Clears(ClearedBy.PERSON),
    )


def _repeated(view: View, options: DiskMissingOptions, one: Repeated) -> Finding:
    return Finding(
        code=DISK_UNREADABLE.id,
        check="disk_missing",
        level=Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=one.scope,
        holds=one.holds,
        summary=who_and_when(view, one, "the host could not read or write a disk") + ".",
        facts=figures(view, one, options.times, options.runs),
        remedy="Look for I/O errors in dmesg and /var/log/SMlog on the host and at the health of the storage, for a replication "
        "on the target's side. Try to copy the disk to another SR while it can still be read.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="disk_missing",
    title="Missing disks",
    codes=(DISK_UNREADABLE,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=DiskMissingOptions,
    evaluate=evaluate,
)
