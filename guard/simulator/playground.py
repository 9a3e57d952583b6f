"""A small XO that lives in real time, to try guard on: what a person serves for an evening with ``guard demo --serve``.

States are planted, never findings: one job is well, two have a disk whose chain nobody merges, one has a thick SR without
room for a snapshot. The first two are due every three minutes, so that a person sees runs, predictions and their outcomes
without a night's wait; guard only watches what is due so often. The third is due every half hour: guard can act on it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from guard.simulator.live import Live
from guard.simulator.world import GIB, World, XoObject

TOKEN = "simulated-token"  # noqa: S105  opens a simulation only
OFTEN, OFTEN_TOO, HALF_HOURLY, NIGHTLY = "*/3 * * * *", "1-59/3 * * * *", "20,50 * * * *", "30 1 * * *"
_UNMERGED = 4  # base copies: more than XO's tolerance of one
_SPEED = 60 * 1024**2  # bytes/s of an export: a run takes about twenty seconds


def build(clock: Callable[[], datetime]) -> Live:
    """The world as it begins; from then on it follows ``clock``."""
    world = World(clock, token=TOKEN)
    paris = world.add_pool("paris")
    nfs = world.add_sr(paris, "NFS store", "nfs", size=2000 * GIB)
    old = world.add_sr(paris, "NFS old", "nfs", size=500 * GIB)
    san = world.add_sr(paris, "SAN LUN 1", "lvmoiscsi", size=110 * GIB)
    nas = world.add_repository("nas", "nfs://nas.example:/backups", size=4000 * GIB, available=3000 * GIB)

    def vm(name: str, sr: XoObject, size: int) -> XoObject:
        made = world.add_vm(paris, name)
        world.add_disk(made, sr, size)
        return made

    def planned(name: str, schedule: str, cron: str, vms: list[XoObject]) -> XoObject:
        job = world.add_job(name, vms=vms, remotes=[nas])
        world.add_schedule(job, cron, name=schedule, settings={"exportRetention": 3})
        return job

    web = planned("web", "often", OFTEN, [vm("web-01", nfs, GIB), vm("web-02", nfs, GIB)])
    database = vm("db-01", old, GIB)
    databases = planned("databases", "often too", OFTEN_TOO, [database, vm("db-02", nfs, GIB)])
    mail = vm("mail-01", old, GIB)
    shop = planned("shop", "half-hourly", HALF_HOURLY, [mail, vm("shop-01", nfs, GIB)])
    planned("files", "nightly", NIGHTLY, [vm("files-01", san, 100 * GIB)])
    vm("forgotten-01", nfs, 8 * GIB)
    for disk in (*world.disks_of(database), *world.disks_of(mail)):
        world.add_base_copies(disk, _UNMERGED)
    live = Live(world)
    live.collector.switch_off(old)
    for job in (web, databases, shop):
        live.rates.jobs[job["id"]] = _SPEED
    return live
