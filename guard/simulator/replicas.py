"""Replicas: the copies a replication job keeps on a target SR (failure-modes.md 6.2 and 8.2). Bytes everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.simulator.shapes import XoObject
from guard.simulator.world import World

if TYPE_CHECKING:
    from guard.simulator.jobs import Run

NO_SPACE = ("SR_BACKEND_FAILURE_44", ["", "There is insufficient space", ""])
Refusal = tuple[str, list[str]] | None


def receive(world: World, vm: XoObject, sr: XoObject, run: Run, size: int, keep: int) -> Refusal:
    """Write ``size`` bytes to this job's copy of a VM, snapshot it, and keep ``keep`` snapshots. (code, params) when the
    SR is too full."""
    if sr["physical_usage"] + size > sr["size"]:
        return NO_SPACE
    copy = find(world, vm, sr, run) or create(world, vm, sr, run)
    disks = world.disks_of(copy)
    if disks:
        world.write(disks[0], size)
    world.snapshot(copy, name=f"{copy['name_label']} {run.log['id']}")
    for identity in copy["snapshots"][: max(0, len(copy["snapshots"]) - keep)]:
        world.delete_snapshot(world.get("VM-snapshot", identity))
    return None


def find(world: World, vm: XoObject, sr: XoObject, run: Run) -> XoObject | None:
    marks = {"xo:backup:job": run.job["id"], "xo:backup:vm": vm["id"], "xo:backup:sr": sr["id"]}
    for found in world.objects["VM"].values():
        if marks.items() <= found["other"].items():
            return found
    return None


def create(world: World, vm: XoObject, sr: XoObject, run: Run) -> XoObject:
    """A halted VM that may not be started, with this job's marks: what keeps it out of the job's own selection."""
    marks = {"xo:backup:job": run.job["id"], "xo:backup:vm": vm["id"], "xo:backup:sr": sr["id"]}
    name = f"{vm['name_label']} - {run.job['name']}"
    blocked = {"start": "a replica: clone it to start it"}
    copy = world.add_vm(
        world.get("pool", sr["$pool"]),
        name,
        tags=["Continuous Replication"],
        power_state="Halted",
        blockedOperations=blocked,
        other=marks,
    )
    for disk in world.disks_of(vm):
        world.add_disk(copy, sr, size=disk["size"], usage=0, data=0)
    return copy
