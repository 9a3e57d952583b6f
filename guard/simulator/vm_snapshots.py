"""Snapshots of a backup job on one VM: which there are, which go, which is the base, what a transfer has to move.

Everything is read off the world's own records (failure-modes.md 3.1, 3.6, 8.1). Bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from guard.simulator.collector import DISK_TYPES
from guard.simulator.runs import Runs
from guard.simulator.shapes import THICK_TYPES, XoObject
from guard.simulator.storage import EMPTY_FILE_NODE, EMPTY_LVM_NODE

TOLERANCE = 1
"""``xapiOptions.maxUncoalescedVdis`` as XO comes."""
BLOCK = 2 * 1024**2


def job_snapshots(world: Runs, vm: XoObject, job_id: str) -> list[XoObject]:
    """The VM's snapshots that runs of the job took, oldest first."""
    found = [world.get("VM-snapshot", identity) for identity in vm["snapshots"]]
    return [snapshot for snapshot in found if snapshot["other"].get("xo:backup:job") == job_id]


def to_delete(snapshots: list[XoObject], settings: XoObject, *, delta: bool, base: XoObject | None) -> list[XoObject]:
    """Those beyond retention: kept are the newest of each schedule as its settings say, and in delta mode the newest
    of the job; before the run also the base that was chosen."""
    kept = [] if base is None else [base["id"]]
    by_schedule: dict[str, list[XoObject]] = {}
    for snapshot in snapshots:
        by_schedule.setdefault(snapshot["other"]["xo:backup:schedule"], []).append(snapshot)
    for schedule_id, own in by_schedule.items():
        retention = (settings.get(schedule_id) or {}).get("snapshotRetention", 0)
        kept += [snapshot["id"] for snapshot in own[max(0, len(own) - retention) :]]
    if delta and snapshots:
        kept.append(snapshots[-1]["id"])
    return [snapshot for snapshot in snapshots if snapshot["id"] not in kept]


def base_of(snapshots: list[XoObject]) -> XoObject | None:
    """The newest snapshot, if it was exported: after a failed transfer there is no base."""
    exported = [snapshot for snapshot in snapshots if "xo:backup:exported" in snapshot["other"]]
    return exported[-1] if exported else None


def is_unhealthy(world: Runs, vm: XoObject, tolerance: int = TOLERANCE) -> bool:
    """XO's chain check before a snapshot: walks up from every disk of the VM, CDs included."""
    children: dict[str, list[XoObject]] = {}
    for kind in DISK_TYPES:
        for node in world.objects.get(kind, {}).values():
            if "parent" in node:
                children.setdefault(node["parent"], []).append(node)
    for drive in (world.get("VBD", identity) for identity in vm["$VBDs"]):
        disk = world.objects["VDI"].get(drive.get("VDI", "")) if "VDI" in drive else None
        if disk is None:
            continue
        pending = 0
        for node in above(world, disk):
            below = [child for child in children.get(node["id"], []) if child["$SR"] == node["$SR"]]
            pending += len(below) == 1 and below[0]["type"] == "VDI-unmanaged"
        if pending > tolerance:
            return True
    return False


def above(world: Runs, node: XoObject) -> Iterator[XoObject]:
    """The base copies above a disk, nearest first; a missing parent ends the walk."""
    bases = world.objects.get("VDI-unmanaged", {})
    found = bases.get(node.get("parent", ""))
    while found is not None:
        yield found
        found = bases.get(found.get("parent", ""))


def depth(world: Runs, node: XoObject) -> int:
    """Nodes from a disk up to its root, itself counted."""
    return 1 + sum(1 for _ in above(world, node))


def bytes_to_move(world: Runs, snapshot: XoObject, base: XoObject | None) -> int:
    """Size of the VHDs written: of each disk what lies above its state in ``base``, or all of it."""
    bases = {} if base is None else {disk["$snapshot_of"]: disk for disk in world.disks_of(base)}
    total = 0
    for disk in world.disks_of(snapshot):
        older = bases.get(disk["$snapshot_of"])
        total += vhd_size(disk["size"], data_above(world, disk, None if older is None else older.get("parent")))
    return total


def data_above(world: Runs, disk: XoObject, stop: str | None) -> int:
    """Data in the nodes of a chain from a snapshot's disk up to, and without, the node ``stop``."""
    thick = world.sr_of(disk)["SR_type"] in THICK_TYPES
    empty = EMPTY_LVM_NODE if thick else EMPTY_FILE_NODE
    data = max(0, disk["usage"] - empty)
    for node in above(world, disk):
        if node["id"] == stop:
            break
        data += max(0, node["usage"] - empty)
    return min(int(disk["size"]), int(data))


def vhd_size(size: int, data: int) -> int:
    """A VHD of whole 2 MiB blocks: header, block table, blocks with their bitmaps (failure-modes.md 9.1)."""
    table = -(-4 * -(-size // BLOCK) // 512) * 512
    return 1536 + table + -(-data // BLOCK) * (BLOCK + 512) + 512


def mark_exported(world: Runs, snapshot: XoObject, chain_length: int) -> None:
    """XO's marks on a snapshot that is a base from now on."""
    marks = {"xo:backup:deltaChainLength": str(chain_length), "xo:backup:exported": "true"}
    snapshot["other"] |= marks
    for disk in world.disks_of(snapshot):
        disk["other_config"] |= marks
