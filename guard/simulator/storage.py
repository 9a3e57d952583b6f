"""Disks and their chains, acted out as SM does it: snapshots, removals, guests that write.

A snapshot turns the leaf's node into a hidden base copy; a new leaf, which keeps the disk's uuid, and the snapshot hang
below it (SM LVHDSR.py ``_snapshot``, FileSR.py ``_snapshot``). Removing the snapshot leaves the base copy behind until
the garbage collector merges it (``collector``). Bytes everywhere.
"""

from __future__ import annotations

from datetime import datetime

from guard.simulator import shapes
from guard.simulator.inventory import Inventory
from guard.simulator.shapes import GIB, THICK_TYPES, XoObject

MIB = 1024**2
EMPTY_LVM_NODE = 8 * MIB  # header and block table of an empty VHD, rounded to LVM extents
EMPTY_FILE_NODE = 256 * 1024
JOURNALS = 8 * MIB  # two extents while an LVM snapshot is made
CHAINLESS_TYPES = frozenset({"iso", "udev", "zfs-vol", "gfs2"})  # drivers that publish no vhd-parent


class StorageRefusedError(Exception):
    """SM said no. ``code`` is XAPI's: SR_BACKEND_FAILURE_44 (LVM, before it starts), _81 (file SR, while it writes)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Storage(Inventory):
    """What happens on the SRs."""

    # --- disks

    def add_disk(
        self,
        vm: XoObject,
        sr: XoObject,
        size: int = 10 * GIB,
        usage: int | None = None,
        data: int | None = None,
        name: str | None = None,
        image_format: str | None = None,
    ) -> XoObject:
        """A disk of a VM. Returns the VDI.

        ``usage``: what XAPI reports; the whole volume on a thick SR and half of ``size`` on a thin one unless told.
        ``data``: bytes the guest has written to the leaf of a thick volume, which XAPI does not show; all of it unless
        told.
        """
        position = sum(1 for identity in vm["$VBDs"] if not self.get("VBD", identity)["is_cd_drive"])
        thick = sr["SR_type"] in THICK_TYPES
        if usage is None:
            usage = size + EMPTY_LVM_NODE if thick else size // 2
        label = name or f"{vm['name_label']}_disk{position}"
        vdi = self.add_object("VDI", sr["$pool"], shapes.vdi(label, sr["id"], size, usage), vm["id"], label)
        if image_format is not None:
            vdi["image_format"] = image_format
        if data is not None:
            self._written[vdi["id"]] = data
        self._add_vbd(vm, vdi, position if position < 3 else position + 1)
        if vm["$container"] == vm["$pool"] and not sr["shared"]:
            vm["$container"] = sr["$container"]  # XO shows a halted VM where its local disk is
        self.enter(sr, vdi, allocate=sr["id"] not in self._usage_given)
        return vdi

    def disks_of(self, vm: XoObject) -> list[XoObject]:
        """The VDIs of a VM or of a VM snapshot, CDs left out."""
        kind = "VDI-snapshot" if vm["type"] == "VM-snapshot" else "VDI"
        drives = [self.get("VBD", identity) for identity in vm["$VBDs"]]
        return [self.get(kind, drive["VDI"]) for drive in drives if not drive["is_cd_drive"] and "VDI" in drive]

    def sr_of(self, vdi: XoObject) -> XoObject:
        return self.get("SR", vdi["$SR"])

    def write(self, vdi: XoObject, amount: int) -> None:
        """The guest writes ``amount`` bytes it had not written since the last snapshot."""
        if self.sr_of(vdi)["SR_type"] in THICK_TYPES:
            self._written[vdi["id"]] = min(vdi["size"], self._written.get(vdi["id"], 0) + amount)
        else:
            self._resize(vdi, min(vdi["size"], vdi["usage"] + amount))
            self._refresh(vdi)

    def remove_vm(self, vm: XoObject) -> None:
        """Delete a VM with its snapshots and disks."""
        for identity in list(vm["snapshots"]):
            self.delete_snapshot(self.get("VM-snapshot", identity))
        disks = self.disks_of(vm)
        for identity in vm["$VBDs"]:
            self.remove_object(self.get("VBD", identity))
        for disk in disks:
            self.leave(disk)
        for host in self.objects["host"].values():
            if vm["id"] in host["residentVms"]:
                host["residentVms"].remove(vm["id"])
        self.remove_object(vm)

    def data_of(self, vdi: XoObject) -> int:
        """What really is in a node: its usage, or on a thick SR what its guest wrote."""
        return min(self._written.get(vdi["id"], int(vdi["usage"])), int(vdi["usage"]))

    # --- snapshots

    def snapshot(
        self,
        vm: XoObject,
        job: XoObject | None = None,
        schedule: XoObject | None = None,
        exported: bool = True,
        at: datetime | None = None,
        name: str | None = None,
    ) -> XoObject:
        """Take a snapshot of a VM, as a backup run of ``job`` and ``schedule`` would when they are given.

        Raises ``StorageRefusedError`` and leaves no trace when an SR is too full.
        """
        taken: dict[str, int] = {}
        for disk in self.disks_of(vm):
            self._refuse_when_full(self.sr_of(disk), disk, taken)
        moment = self.seconds(at)
        label = name or (f"[XO Backup {job['name']}] {vm['name_label']}" if job else f"{vm['name_label']} snapshot")
        snapshot = self.add_object("VM-snapshot", vm["$pool"], shapes.vm_snapshot(vm, label, moment), vm["id"], moment)
        markers: dict[str, str] = {}
        if job is not None and schedule is not None:
            when = (at or self.now()).strftime("%Y%m%dT%H:%M:%SZ")
            markers = {
                "xo:backup:datetime": when,
                "xo:backup:job": job["id"],
                "xo:backup:schedule": schedule["id"],
                "xo:backup:vm": vm["id"],
            }
            if exported:
                markers |= {"xo:backup:deltaChainLength": "0", "xo:backup:exported": "true"}
        snapshot["other"] = dict(markers)
        for position, disk in enumerate(self.disks_of(vm)):
            frozen = self._snapshot_disk(disk, moment)
            frozen["other_config"] = dict(markers)
            vbd = self._add_vbd(snapshot, frozen, position)
            vbd["device"] = None
        vm["snapshots"].append(snapshot["id"])
        return snapshot

    def _refuse_when_full(self, sr: XoObject, disk: XoObject, taken: dict[str, int]) -> None:
        """SM deflates the old leaf, then creates the new nodes; LVM looks first whether they fit."""
        thick = sr["SR_type"] in THICK_TYPES
        if sr["size"] == 0:
            return
        before = disk["usage"]
        after = self._base_usage(disk) + self._leaf_usage(disk) + self._snapshot_usage(disk)
        taken[sr["id"]] = taken.get(sr["id"], 0) + after - before
        journals = JOURNALS if thick else 0
        if sr["physical_usage"] + taken[sr["id"]] + journals > sr["size"]:
            raise StorageRefusedError("SR_BACKEND_FAILURE_44" if thick else "SR_BACKEND_FAILURE_81")

    def _base_usage(self, disk: XoObject) -> int:
        """What the old leaf keeps: its usage, or on a thick SR what was really written."""
        written = self._written.get(disk["id"])
        if written is None:
            return int(disk["usage"])
        extents = -(-(written + EMPTY_LVM_NODE) // (4 * MIB))
        return min(int(disk["usage"]), extents * 4 * MIB)

    def _leaf_usage(self, disk: XoObject) -> int:
        thick = self.sr_of(disk)["SR_type"] in THICK_TYPES
        return int(disk["size"]) + EMPTY_LVM_NODE if thick else EMPTY_FILE_NODE

    def _snapshot_usage(self, disk: XoObject) -> int:
        return EMPTY_LVM_NODE if self.sr_of(disk)["SR_type"] in THICK_TYPES else EMPTY_FILE_NODE

    def _snapshot_disk(self, disk: XoObject, moment: int) -> XoObject:
        sr = self.sr_of(disk)
        base = self._new_base_copy(sr, disk, self._base_usage(disk))
        frozen = self.add_object(
            "VDI-snapshot",
            disk["$pool"],
            shapes.vdi(disk["name_label"], sr["id"], disk["size"], self._snapshot_usage(disk)),
            disk["id"],
            moment,
        )
        frozen |= {"snapshot_time": moment, "$snapshot_of": disk["id"]}
        if "parent" in disk:
            base["parent"] = disk["parent"]
        if sr["SR_type"] not in CHAINLESS_TYPES:
            disk["parent"] = frozen["parent"] = base["id"]
        disk["snapshots"].append(frozen["id"])
        self.enter(sr, base)
        self.enter(sr, frozen)
        self._resize(disk, self._leaf_usage(disk))
        if sr["SR_type"] in THICK_TYPES:
            self._written[disk["id"]] = 0
        self._refresh(disk)
        return frozen

    def _new_base_copy(self, sr: XoObject, disk: XoObject, usage: int) -> XoObject:
        shape = shapes.vdi("base copy", sr["id"], disk["size"], usage)
        return self.add_object("VDI-unmanaged", sr["$pool"], shape, "base copy of", disk["id"])

    def delete_snapshot(self, snapshot: XoObject) -> None:
        """Remove a VM snapshot. Its base copies stay behind until something coalesces them."""
        disks = self.disks_of(snapshot)
        for identity in snapshot["$VBDs"]:
            self.remove_object(self.get("VBD", identity))
        for frozen in disks:
            owner = self.objects["VDI"].get(frozen["$snapshot_of"])
            if owner is not None:
                owner["snapshots"].remove(frozen["id"])
            self.leave(frozen)
            self.on_vdi_deleted(self.sr_of(frozen))
        vm = self.objects["VM"].get(snapshot["$snapshot_of"])
        if vm is not None:
            vm["snapshots"].remove(snapshot["id"])
        self.remove_object(snapshot)

    # --- book-keeping of the SR

    def enter(self, sr: XoObject, vdi: XoObject, *, allocate: bool = True) -> None:
        """Put a VDI into the SR's books; XO counts the virtual size of snapshots nowhere."""
        sr["VDIs"].append(vdi["id"])
        if vdi["type"] != "VDI-snapshot":
            sr["usage"] += vdi["size"]
        if allocate:
            sr["physical_usage"] += vdi["usage"]
        self._refresh(vdi)

    def leave(self, vdi: XoObject) -> None:
        """Take a VDI out of the SR's books and out of the world."""
        sr = self.sr_of(vdi)
        sr["VDIs"].remove(vdi["id"])
        if vdi["type"] != "VDI-snapshot":
            sr["usage"] -= vdi["size"]
        sr["physical_usage"] -= vdi["usage"]
        self._written.pop(vdi["id"], None)
        self.remove_object(vdi)

    def _resize(self, vdi: XoObject, usage: int) -> None:
        self.sr_of(vdi)["physical_usage"] += usage - vdi["usage"]
        vdi["usage"] = usage

    def _refresh(self, vdi: XoObject) -> None:
        """XO sums the usage along the chain of a managed VDI when XAPI tells it about that VDI."""
        if vdi["type"] != "VDI":
            return
        bases = self.objects.get("VDI-unmanaged", {})
        total, node = vdi["usage"], bases.get(vdi.get("parent", ""))
        while node is not None:
            total += node["usage"]
            node = bases.get(node.get("parent", ""))
        vdi["chainPhysicalUsage"] = total
