"""What XAPI lets be done to a VM and to a disk, by its records (xapi-storage.md 5.1 and 5.2; checks in XAPI's order).

Every function says what stands in the way, as the error XAPI answers, or None. What the storage itself refuses later
(space, length of a chain, raw volumes) is not known here: XAPI cannot see it either.
"""

from __future__ import annotations

from guard.simulator.shapes import XoObject
from guard.simulator.vm_refusals import CHAIN_LIMIT
from guard.simulator.vm_snapshots import depth
from guard.simulator.world import World
from guard.simulator.xapi_wire import Record, XapiError

STATES: dict[str, tuple[str, ...]] = {
    "snapshot": (),
    "metadata_export": (),
    "checkpoint": ("Running", "Paused", "Suspended"),
    "clone": ("Halted", "Suspended"),
    "copy": ("Halted", "Suspended"),
    "export": ("Halted", "Suspended"),
    "destroy": ("Halted", "Suspended"),
    "start": ("Halted",),
    "start_on": ("Halted",),
    "make_into_template": ("Halted",),
    "clean_shutdown": ("Running",),
    "clean_reboot": ("Running",),
    "hard_shutdown": ("Running", "Paused", "Suspended"),
    "hard_reboot": ("Running", "Paused"),
    "suspend": ("Running",),
    "resume": ("Suspended",),
    "pause": ("Running",),
    "unpause": ("Paused",),
    "pool_migrate": ("Running",),
    "migrate_send": ("Running", "Halted", "Suspended"),
}
"""Operation -> power states it is possible in; none named: all."""
IN_STATE = {
    state: tuple(operation for operation, states in STATES.items() if not states or state in states)
    for state in ("Halted", "Paused", "Running", "Suspended")
}
NEED_GUEST = frozenset({"checkpoint", "suspend"})
ON_SNAPSHOTS = frozenset({"export", "copy", "clone", "destroy", "metadata_export", "hard_shutdown"})
ON_TEMPLATES = frozenset({"export", "copy", "clone", "destroy", "metadata_export"})
TOGETHER = frozenset({"snapshot", "checkpoint"})
"""The only operations on a VM that may run side by side."""
DURING_UPGRADE = frozenset(
    {"start", "start_on", "clean_shutdown", "hard_shutdown", "pool_migrate", "suspend", "resume"}
)


def vm_refusal(ref: str, vm: Record, operation: str, *, upgrading: bool) -> XapiError | None:
    """Why an operation is not possible on a VM now. ``vm``: its XAPI record; ``upgrading``: a rolling pool upgrade."""
    if operation in vm["blocked_operations"]:
        return XapiError("OPERATION_BLOCKED", ref, vm["blocked_operations"][operation])
    for check in (_state, _other_operation, _kind, _guest, _devices):
        found = check(ref, vm, operation)
        if found is not None:
            return found
    if upgrading and operation not in DURING_UPGRADE:
        return XapiError("NOT_SUPPORTED_DURING_UPGRADE")
    return None


def _state(ref: str, vm: Record, operation: str) -> XapiError | None:
    if operation not in STATES:
        return XapiError("OPERATION_NOT_ALLOWED", f"unknown operation {operation}")
    possible = STATES[operation]
    if possible and vm["power_state"] not in possible:
        expected = ", ".join(state.lower() for state in possible)
        return XapiError("VM_BAD_POWER_STATE", ref, expected, vm["power_state"].lower())
    return None


def _other_operation(ref: str, vm: Record, operation: str) -> XapiError | None:
    for task, running in vm["current_operations"].items():
        if not {operation, running} <= TOGETHER:
            return XapiError("OTHER_OPERATION_IN_PROGRESS", "VM", ref, running, task)
    return None


def _kind(ref: str, vm: Record, operation: str) -> XapiError | None:
    if vm["is_control_domain"]:
        return XapiError("OPERATION_NOT_ALLOWED", "This operation is not allowed on dom0")
    if vm["is_a_snapshot"] and operation not in ON_SNAPSHOTS:
        return XapiError("VM_IS_SNAPSHOT", ref, operation)
    if vm["is_a_template"] and not vm["is_a_snapshot"] and operation not in ON_TEMPLATES:
        return XapiError("VM_IS_TEMPLATE", ref, operation)
    return None


def _guest(ref: str, vm: Record, operation: str) -> XapiError | None:
    if operation in NEED_GUEST and vm["platform"].get("nomigrate") == "true":
        return XapiError("VM_IS_IMMOBILE", ref)
    return None


def _devices(ref: str, vm: Record, operation: str) -> XapiError | None:
    if operation in NEED_GUEST and vm["attached_PCIs"]:
        return XapiError("VM_HAS_PCI_ATTACHED", ref)
    if operation in NEED_GUEST and vm["VGPUs"]:
        return XapiError("VM_HAS_VGPU", ref)
    if operation in {"snapshot", "checkpoint", "suspend", "pool_migrate"} and vm["VUSBs"]:
        return XapiError("VM_HAS_VUSBS", ref)
    return None


def vdi_refusal(ref: str, vdi: Record, *, snapshots: bool) -> XapiError | None:
    """Why a disk cannot be snapshotted. ``snapshots``: whether its SR's driver has the feature at all."""
    for task, running in vdi["current_operations"].items():
        if running != "copy":
            return XapiError("OTHER_OPERATION_IN_PROGRESS", "VDI", ref, running, task)
    if not snapshots:
        return XapiError("SR_OPERATION_NOT_SUPPORTED", vdi["SR"])
    if vdi["type"] == "cbt_metadata":
        return XapiError("VDI_INCOMPATIBLE_TYPE", ref, vdi["type"])
    if vdi["sharable"]:
        return XapiError("VDI_IS_SHARABLE", ref)
    if vdi["on_boot"] == "reset":
        return XapiError("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION")
    if "copy" in vdi["current_operations"].values():
        return XapiError("OPERATION_NOT_ALLOWED", "Snapshot operation not allowed during copy.")
    return None


def storage_refusal(world: World, disk: XoObject, vdi: Record) -> XapiError | None:
    """What SM says to a snapshot of a disk before it looks at space: raw volumes, a chain at its limit, a volume that
    is still paused."""
    config = vdi["sm_config"]
    if config.get("type") == "raw" or config.get("vdi_type") == "aio" or config.get("image-format") == "raw":
        return XapiError("UNIMPLEMENTED_IN_SM_BACKEND", vdi["SR"])
    if depth(world, disk) >= CHAIN_LIMIT:
        return XapiError("SR_BACKEND_FAILURE_109", "", "The snapshot chain is too long", "")
    if "paused" in config:
        duplicate = f"['MAP_DUPLICATE_KEY', 'VDI', 'sm_config', '{disk['_xapiRef']}', 'paused']"
        return XapiError("SR_BACKEND_FAILURE_82", "", f"Failed to snapshot VDI [opterr={duplicate}]", "")
    return None
