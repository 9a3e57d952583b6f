"""Troubles of SRs and hosts in the demo's world, on VMs of a job that never really starts."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.simulator import shapes
from guard.simulator.shapes import GIB
from guard.simulator.world import World

_SCHEDULE = "retired nightly"

PLANTED: tuple[tuple[str, str], ...] = (
    ("NO_HOST_SEES_DISKS", _SCHEDULE),
    ("SNAPSHOT_STUCK", _SCHEDULE),
    ("DISK_TOO_LARGE", _SCHEDULE),
)


def plant(world: World, now: datetime) -> None:
    """An ISO of an SR that is gone, an old snapshot that dom0 still holds, a disk that no VHD holds."""
    vms = {vm["name_label"]: vm for vm in world.objects["VM"].values()}
    lasting, large = vms["replica-1"], vms["gpu-1"]
    pool, home = world.get("pool", lasting["$pool"]), world.get("host", lasting["$container"])
    schedule = next(one for one in world.schedules.values() if one["name"] == _SCHEDULE)
    job = world.jobs[schedule["jobId"]]
    cinema = world.add_vm(pool, "cinema-1", host=home)
    world.add_disk(cinema, world.sr_of(world.disks_of(lasting)[0]), size=GIB)
    job["vms"]["id"]["__or"].append(cinema["id"])
    isos = world.add_sr(pool, "ISO library (gone)", SR_type="iso")
    disc = world.add_object("VDI", pool["id"], shapes.vdi("rescue.iso", isos["id"], GIB, GIB), "rescue.iso")
    world.enter(isos, disc)
    world.add_cd(cinema, disc)
    world.unplug(isos)
    old, _ = (world.snapshot(lasting, job, schedule, exported=True, at=now - timedelta(days=days)) for days in (2, 1))
    frozen = world.disks_of(old)[0]
    plugged = shapes.vbd(home["controlDomain"], 0, attached=True, vdi_id=frozen["id"])
    frozen["$VBDs"].append(world.add_object("VBD", pool["id"], plugged, "left in dom0", frozen["id"])["id"])
    world.disks_of(large)[0] |= {"size": 3000 * GIB, "image_format": "vhd"}
