"""Vendor devices that the pool of a copy does not allow (failure-modes.md 3.7).

A backup to a repository does not fail for it: only what makes a VM on a pool does, a replication or a health check. XCP-ng
allows it everywhere; a free XenServer does not.
"""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import VendorDeviceOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids

VENDOR_DEVICE_UNLICENSED = Code(
    id="VENDOR_DEVICE_UNLICENSED",
    title="The VM has a vendor device that its host's licence does not allow",
    why="The VM was made on a XenServer with a paid licence and asks for the Windows Update device; a free edition refuses "
    "to create a copy of it (LICENSE_RESTRICTION, PCI_device_for_auto_update).",
    do="With the VM halted, on the host: xe vm-param-set has-vendor-device=false uuid=<VM_UUID>. Windows may then need its "
    "drivers from another source.",
    page_section="LICENSE_RESTRICTION",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

_RESTRICTION = "restrict_pci_device_for_auto_update"


def evaluate(view: View, options: VendorDeviceOptions) -> list[Finding]:
    """One finding per VM. It waits only where every copy would fail; a backup that is there already is not held back."""
    del options
    run = view.run
    targets = target_sr_ids(run.job) if run.job.mode == "delta" else ()
    health = run.settings.health_check_sr
    copies = [sr for sr in targets if _restricted(view, sr)]
    refused = copies or ([health] if health and _restricted(view, health) else [])
    if not refused:
        return []
    only = bool(copies) and len(copies) == len(targets) and not repository_ids(run.job)
    sr = view.estate.sr_by_id[refused[0]]
    what = "replication" if copies else "health check"
    return [
        Finding(
            code=VENDOR_DEVICE_UNLICENSED.id,
            check="vendor_device",
            level=Level.BLOCK if only else Level.WARN,
            certainty=Certainty.CERTAIN,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
            holds=(vm_id,),
            summary=f"{view.vm_name(vm_id)} has a vendor device, and the licence of the pool of {sr.name_label} does not allow "
            f"it: its {what} there fails.",
            facts=(
                view.fact("has_vendor_device", True, "", PartName.VMS),
                view.fact(_RESTRICTION, "true", "", PartName.HOSTS),
            ),
            remedy=f"With the VM halted, on its host: xe vm-param-set has-vendor-device=false uuid={vm_id}",
            clears=Clears(ClearedBy.PERSON),
        )
        for vm_id in view.vms
        if view.estate.vm_by_id[vm_id].has_vendor_device is True
    ]


def _restricted(view: View, sr_id: str) -> bool:
    """Whether a host of the SR's pool has a licence without it."""
    sr = view.estate.sr_by_id.get(sr_id)
    return sr is not None and any(
        host.pool == sr.pool and (host.license_params or {}).get(_RESTRICTION) == "true" for host in view.estate.hosts
    )


CHECK = Check(
    name="vendor_device",
    title="Vendor devices",
    codes=(VENDOR_DEVICE_UNLICENSED,),
    needs={part: timedelta(minutes=10) for part in (PartName.HOSTS, PartName.SRS, PartName.VMS)},
    options=VendorDeviceOptions,
    evaluate=evaluate,
)
