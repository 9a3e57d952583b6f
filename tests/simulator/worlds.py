"""A small world for the simulator's own tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from guard.simulator.world import GIB, World, XoObject

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)


@dataclass
class Small:
    """One pool, one LVM and one NFS SR, a VM with a disk on each."""

    world: World
    pool: XoObject
    lvm: XoObject
    nfs: XoObject
    thick: XoObject
    thin: XoObject
    thick_disk: XoObject
    thin_disk: XoObject
    job: XoObject
    schedule: XoObject


def small_world() -> Small:
    world = World(lambda: NOW)
    pool = world.add_pool("paris")
    world.add_host(pool, "xcp-1")
    lvm = world.add_sr(pool, "Local LVM", "lvm", size=100 * GIB)
    nfs = world.add_sr(pool, "NFS", "nfs", size=100 * GIB)
    thick, thin = world.add_vm(pool, "thick-01", ["prod"]), world.add_vm(pool, "thin-01")
    thick_disk, thin_disk = world.add_disk(thick, lvm, 20 * GIB), world.add_disk(thin, nfs, 20 * GIB, usage=5 * GIB)
    nas = world.add_repository("nas")
    job = world.add_job("nightly", vms=[thick, thin], remotes=[nas])
    schedule = world.add_schedule(job, "0 3 * * *", "Europe/Paris")
    return Small(world, pool, lvm, nfs, thick, thin, thick_disk, thin_disk, job, schedule)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)
