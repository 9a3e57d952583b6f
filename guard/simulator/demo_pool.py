"""What only the demo's pool itself knows of its disks, for a guard that may ask it."""

from __future__ import annotations

from guard.simulator.shapes import XoObject
from guard.simulator.world import World
from guard.simulator.xapi import XapiFace

POOL = "paris"
PASSWORD = "simulated-password"  # noqa: S105  opens a simulation only
PLANTED: tuple[tuple[str, str], ...] = (
    ("SNAPSHOT_REFUSED", "retired nightly"),
    ("SR_FAILURE", "retired nightly"),
)


def face(world: World) -> XapiFace:
    """The pool's master: the disk of one VM is reset at every boot, and a coalesce left another one's paused."""
    pool = next(one for one in world.objects["pool"].values() if one["name_label"] == POOL)
    found = XapiFace(world, pool, password=PASSWORD)
    found.extra[_disk(world, "kiosk-1")["id"]] = {"on_boot": "reset"}
    found.extra[_disk(world, "retired-1")["id"]] = {"sm_config": {"paused": "true"}}
    return found


def _disk(world: World, vm: str) -> XoObject:
    found = next(one for one in world.objects["VM"].values() if one["name_label"] == vm)
    return world.disks_of(found)[0]
