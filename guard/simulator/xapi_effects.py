"""Calls that change the pool: snapshots, removals, power, storage. Each one either happens to the world whole or raises
XapiError and leaves no trace.

A deletion over XAPI comes in parts that the world does at once (``delete_snapshot``): ``VM.destroy`` takes the VM with
its drives, ``VDI.destroy`` one disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from guard.simulator import shapes, xapi_rules
from guard.simulator.collector import DISK_TYPES
from guard.simulator.shapes import XoObject
from guard.simulator.vm_backup import REFUSALS
from guard.simulator.world import StorageRefusedError, World
from guard.simulator.xapi_records import Tables
from guard.simulator.xapi_wire import NULL, Record, Value, XapiError, ref_of

SUSPEND_SPARE = 104_857_600


class Effects:
    """Changes to one pool."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._world: World = tables.world

    # --- VMs

    def assert_valid(self, vm: str, operation: str) -> Value:
        """``VM.assert_operation_valid``."""
        refusal = self._tables.vm_refusal(vm, self._tables.record("VM", vm), operation)
        if refusal is not None:
            raise refusal
        return ""

    def snapshot(self, vm: str, name: str, ignored: Iterable[str] = ()) -> str:
        """``VM.snapshot``; ``ignored``: references of disks left out."""
        self.assert_valid(vm, "snapshot")
        return ref_of(self._snapshot(vm, name, frozenset(ignored))["id"])

    def _snapshot(self, vm: str, name: str, ignored: frozenset[str]) -> XoObject:
        owner = self._tables.object("VM", vm)
        drives = [self._world.get("VBD", identity) for identity in owner["$VBDs"]]
        kept = [one for one in drives if "VDI" not in one or ref_of(one["VDI"]) not in ignored]
        self._place(owner, kept)
        disks = [self._world.get("VDI", one["VDI"]) for one in kept if "VDI" in one and not one["is_cd_drive"]]
        for disk in disks:
            self._refuse_disk(disk)
        if self._world.live is not None:
            self._world.live.guests.write(owner)
        owner["$VBDs"] = [one["id"] for one in kept]  # the world snapshots the disks a VM has
        try:
            taken = self._world.snapshot(owner, name=name)
        except StorageRefusedError as refused:
            raise XapiError(refused.code, *REFUSALS[refused.code]) from refused
        finally:
            owner["$VBDs"] = [one["id"] for one in drives]
        taken["other"] = dict(owner["other"])
        for frozen in self._world.disks_of(taken):
            frozen["other_config"] = dict(self._world.get("VDI", frozen["$snapshot_of"])["other_config"])
        return taken

    def _place(self, vm: XoObject, drives: list[XoObject]) -> None:
        """XAPI needs a host that sees the SR of every drive, CDs included; a running VM's disks are on its own host."""
        hosts = {host["id"] for host in self._world.hosts_of(self._tables.pool)}
        for drive in drives:
            if "VDI" not in drive:
                continue
            sr = self._sr_of(drive["VDI"])
            seeing = {pbd["host"] for pbd in map(self._pbd, sr["$PBDs"]) if pbd["attached"]}
            own = vm["power_state"] != "Running" or vm["$container"] in seeing
            if not seeing or not (own or drive["is_cd_drive"]):
                raise XapiError("SR_HAS_NO_PBDS", ref_of(sr["id"]))
            hosts &= seeing
        if not hosts:
            raise XapiError("NO_HOSTS_AVAILABLE")

    def _pbd(self, identity: str) -> XoObject:
        return self._world.get("PBD", identity)

    def _sr_of(self, disk_id: str) -> XoObject:
        return self._world.sr_of(self._tables.object("VDI", ref_of(disk_id)))

    def _refuse_disk(self, disk: XoObject) -> None:
        ref = ref_of(disk["id"])
        record = self._tables.record("VDI", ref)
        able = self._tables.takes_snapshots(self._world.sr_of(disk))
        refusal = xapi_rules.vdi_refusal(ref, record, snapshots=able) or xapi_rules.storage_refusal(
            self._world, disk, record
        )
        if refusal is not None:
            raise refusal

    def checkpoint(self, vm: str, name: str) -> str:
        """``VM.checkpoint``: the memory goes to a disk on the suspend SR (xapi-storage.md 1.6)."""
        self.assert_valid(vm, "checkpoint")
        record = self._tables.record("VM", vm)
        target = record["suspend_SR"]
        if target == NULL:
            target = ref_of(self._tables.pool["suspendSr"]) if "suspendSr" in self._tables.pool else NULL
        if target == NULL:
            raise XapiError("VM_NO_SUSPEND_SR", vm)
        sr = self._tables.object("SR", target)
        needed = int(record["memory_static_max"] * 1.2 * 1.05) + SUSPEND_SPARE
        if sr["physical_usage"] + needed > sr["size"]:
            raise XapiError("SR_SUSPEND_SPACE_INSUFFICIENT", target)
        sr["physical_usage"] += needed  # the memory is written before the disks are snapshotted
        try:
            taken = self._snapshot(vm, name, frozenset())
        finally:
            sr["physical_usage"] -= needed
        shape = shapes.vdi("Suspend image", sr["id"], needed, needed) | {"VDI_type": "suspend"}
        image = self._world.add_object("VDI", sr["$pool"], shape, "suspend image", taken["id"])
        self._world.enter(sr, image)
        taken["power_state"] = "Suspended"
        self._note(taken["id"], {"suspend_VDI": ref_of(image["id"])})
        return ref_of(taken["id"])

    def _note(self, identity: str, facts: Record) -> None:
        self._tables.extra.setdefault(identity, {}).update(facts)

    def destroy_vm(self, vm: str) -> Value:
        """``VM.destroy``: the VM or snapshot with its drives. Its disks and its own snapshots stay."""
        self.assert_valid(vm, "destroy")
        found = self._tables.object("VM", vm)
        for identity in list(found["$VBDs"]):
            self._remove_drive(self._world.get("VBD", identity))
        owner = self._world.objects["VM"].get(found.get("$snapshot_of", ""))
        if owner is not None:
            owner["snapshots"].remove(found["id"])
        self._world.remove_object(found)
        self._tables.extra.pop(found["id"], None)
        return ""

    def power(self, vm: str, operation: str, state: str) -> Value:
        """A VM changes its state: ``start``, ``clean_shutdown``, ``hard_shutdown``."""
        self.assert_valid(vm, operation)
        found = self._tables.object("VM", vm)
        image = self._tables.record("VM", vm)["suspend_VDI"]
        if image != NULL:
            self._tables.extra[found["id"]].pop("suspend_VDI")
            self.destroy_vdi(image)
        found["power_state"] = state
        for identity in found["$VBDs"]:
            drive = self._world.get("VBD", identity)
            drive["attached"] = state == "Running" and "VDI" in drive
        if found["type"] == "VM":
            self._move(found, state)
        return ""

    def _move(self, vm: XoObject, state: str) -> None:
        """A running VM is on its host; XO shows a halted one where its local disk is, else in its pool."""
        hosts = self._world.hosts_of(self._tables.pool)
        for host in (host for host in hosts if vm["id"] in host["residentVms"]):
            host["residentVms"].remove(vm["id"])
        if state == "Running":
            home = next((host for host in hosts if host["id"] == vm["affinityHost"]), hosts[0])
            home["residentVms"].append(vm["id"])
            vm["$container"] = home["id"]
        else:
            local = [sr for sr in map(self._world.sr_of, self._world.disks_of(vm)) if not sr["shared"]]
            vm["$container"] = local[0]["$container"] if local else vm["$pool"]

    # --- drives and disks

    def _remove_drive(self, drive: XoObject) -> None:
        ends = (self._any(("VM", "VM-snapshot"), drive["VM"]), self._any(DISK_TYPES, drive.get("VDI", "")))
        for end in ends:
            if end is not None and drive["id"] in end["$VBDs"]:
                end["$VBDs"].remove(drive["id"])
        self._world.remove_object(drive)

    def _any(self, kinds: Iterable[str], identity: str) -> XoObject | None:
        found = (self._world.objects.get(kind, {}).get(identity) for kind in kinds)
        return next((one for one in found if one is not None), None)

    def unplug_drive(self, vbd: str) -> Value:
        self._tables.object("VBD", vbd)["attached"] = False
        return ""

    def destroy_drive(self, vbd: str) -> Value:
        drive = self._tables.object("VBD", vbd)
        if drive["attached"]:
            raise XapiError("OPERATION_NOT_ALLOWED", f"VBD '{drive['id']}' still attached to '{drive['VM']}'")
        self._remove_drive(drive)
        return ""

    def destroy_vdi(self, vdi: str) -> Value:
        """``VDI.destroy``. A snapshot's base copy stays until the collector comes, which is woken."""
        disk = self._idle(vdi, "destroy")
        sr = self._world.sr_of(disk)
        if not any(self._pbd(identity)["attached"] for identity in sr["$PBDs"]):
            raise XapiError("SR_HAS_NO_PBDS", ref_of(sr["id"]))
        for drive in self._tables.drives_of(disk):
            self._remove_drive(drive)
        owner = self._world.objects["VDI"].get(disk.get("$snapshot_of", ""))
        if owner is not None:
            owner["snapshots"].remove(disk["id"])
        self._world.leave(disk)
        self._tables.extra.pop(disk["id"], None)
        self._world.on_vdi_deleted(sr)
        return ""

    def _idle(self, vdi: str, operation: str) -> XoObject:
        """The disk, if nothing uses it. Base copies are the collector's."""
        disk = self._tables.object("VDI", vdi)
        if disk["type"] == "VDI-unmanaged":
            raise XapiError("VDI_NOT_MANAGED", vdi)
        for task, running in disk["current_operations"].items():
            raise XapiError("OTHER_OPERATION_IN_PROGRESS", "VDI", vdi, running, task)
        if any(drive["attached"] for drive in self._tables.drives_of(disk)):
            raise XapiError("VDI_IN_USE", vdi, operation)
        return disk

    def destroy_data(self, vdi: str) -> Value:
        """``VDI.data_destroy``: of a snapshot with changed block tracking only the list of changes is kept."""
        disk = self._idle(vdi, "data_destroy")
        if disk["type"] != "VDI-snapshot":
            raise XapiError("OPERATION_NOT_ALLOWED", f"VDI is not a snapshot: {vdi}")
        if not disk["cbt_enabled"]:
            raise XapiError("VDI_NO_CBT_METADATA", vdi)
        sr = self._world.sr_of(disk)
        sr["physical_usage"] -= disk["usage"]
        disk |= {"usage": 0, "VDI_type": "cbt_metadata"}
        disk.pop("parent", None)
        self._world.on_vdi_deleted(sr)
        return ""

    def track_changes(self, vdi: str, *, on: bool) -> Value:
        """``VDI.enable_cbt`` and ``VDI.disable_cbt``."""
        disk = self._tables.object("VDI", vdi)
        if disk["type"] == "VDI-snapshot":
            raise XapiError("OPERATION_NOT_ALLOWED", f"VDI is a snapshot: {vdi}")
        disk["cbt_enabled"] = on
        return ""

    # --- storage and USB

    def scan(self, sr: str) -> Value:
        """``SR.scan``: wakes the collector."""
        found = self._tables.object("SR", sr)
        if not any(self._pbd(identity)["attached"] for identity in found["$PBDs"]):
            raise XapiError("SR_HAS_NO_PBDS", sr)
        if self._world.live is not None:
            self._world.live.collector.wake(found)
        return ""

    def plug(self, pbd: str, *, on: bool) -> Value:
        self._tables.object("PBD", pbd)["attached"] = on
        return ""

    def destroy_usb(self, vusb: str) -> Value:
        self._world.remove_object(self._tables.object("VUSB", vusb))
        return ""

    def create_usb(self, vm: str, group: str, _other_config: Value) -> Value:
        """``VUSB.create``, detached. XO shows a group of its own here, XAPI the one that was asked for."""
        found = self._world.add_vusb(self._tables.object("VM", vm), attached=False)
        self._note(found["id"], {"USB_group": group})
        return ref_of(found["id"])
