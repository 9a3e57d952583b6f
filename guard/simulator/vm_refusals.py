"""What XAPI and SM say to the snapshot of a VM, by what XO shows of it (xapi-storage.md 5.1 and 5.2)."""

from __future__ import annotations

from guard.simulator.runs import Runs
from guard.simulator.shapes import XoObject
from guard.simulator.vm_snapshots import depth

NO_SNAPSHOT_TYPES = frozenset({"iso", "udev", "hba", "rawhba", "iscsi", "rawiscsi"})
"""SR types whose driver has no VDI_SNAPSHOT."""
CHAIN_LIMIT = 30
"""Nodes from leaf to root, both counted; a chain this deep takes no snapshot (xapi-storage.md 2)."""


def snapshot_refusal(world: Runs, vm: XoObject) -> tuple[str, list[str]] | None:
    """Code and parameters of XAPI's error, or None. Disks named [NOBAK] are left out of the snapshot by XO."""
    if "snapshot" in vm["blockedOperations"]:
        return "OPERATION_BLOCKED", [vm["_xapiRef"], vm["blockedOperations"]["snapshot"]]
    running = vm["power_state"] == "Running"  # XO takes the devices off a halted VM and attaches them again
    if running and any(one["vm"] == vm["id"] for one in world.objects.get("VUSB", {}).values()):
        return "VM_HAS_VUSBS", [vm["_xapiRef"]]
    for disk in world.disks_of(vm):
        if "[NOBAK]" not in disk["name_label"]:
            found = _of_disk(world, disk)
            if found is not None:
                return found
    return None


def _of_disk(world: Runs, disk: XoObject) -> tuple[str, list[str]] | None:
    sr = world.sr_of(disk)
    if disk["missing"]:
        return "VDI_MISSING", [sr["_xapiRef"], disk["_xapiRef"]]
    if sr["SR_type"] in NO_SNAPSHOT_TYPES:
        return "SR_OPERATION_NOT_SUPPORTED", [sr["_xapiRef"]]
    if disk.get("image_format") == "raw":
        return "UNIMPLEMENTED_IN_SM_BACKEND", [sr["_xapiRef"]]
    if depth(world, disk) >= CHAIN_LIMIT:
        return "SR_BACKEND_FAILURE_109", ["", "The snapshot chain is too long", ""]
    return None
