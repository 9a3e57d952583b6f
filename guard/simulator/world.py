"""The world behind the simulated XO: build it, let things happen to it, serve it.

A world holds plain dictionaries in XO's own shape and changes them as XAPI, SM and XO would. Every builder returns the
dictionary it added, which may be changed freely (``vm["tags"].append("prod")``) and is what other builders take. Ids
are derived from names, so the same script gives the same world. Sizes are bytes. ::

    world = World(now=clock)                          # an admin with the token "simulated-token" is there already
    pool = world.add_pool("paris")                    # with its server: world.server_of(pool)
    host = world.add_host(pool, "xcp-1")              # the first host is the master
    sr = world.add_sr(pool, "Local LVM", SR_type="lvm", size=500 * GIB, physical_usage=480 * GIB)
    vm = world.add_vm(pool, "web-01", tags=["prod"])
    disk = world.add_disk(vm, sr, size=20 * GIB)
    world.add_cd(vm)

    nas = world.add_repository("nas", "nfs://nas.example:/backups", size=4000 * GIB, available=900 * GIB)
    job = world.add_job("nightly", mode="delta", vms=[vm], remotes=[nas])            # or vms={"tags": {...}}
    schedule = world.add_schedule(job, "0 3 * * *", timezone="Europe/Paris")
    world.add_sequence("weekend", [schedule], cron="0 1 * * 6")
    world.add_run(schedule, start, end, {vm["id"]: VmOutcome(sizes=30 * GIB, is_full=True)})
    world.add_run(schedule, start, end, error="no VMs match this pattern")           # a job-level error

Things that happen: ``snapshot``, ``delete_snapshot``, ``write``, ``coalesce``, ``add_base_copies`` (what is left of
snapshots nobody coalesced), ``remove_vm``, ``unplug``, ``disconnect``/``connect`` a server,
``start_run``/``finish_run``, ``set_repository_space``, ``add_xapi_task``, ``add_vusb``, ``add_message``.

Parts: ``inventory`` (pools, hosts, SRs, VMs), ``storage`` and ``collector`` (disks and chains), ``backups`` (XO's
configuration), ``journal`` (starts and writes), ``runs`` (logs). What the clock shows is decided by ``now``; nothing
happens by itself until the world is made to live (``guard.simulator.live``).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from guard.simulator.runs import Runs, VmOutcome
from guard.simulator.shapes import GIB, XoObject
from guard.simulator.storage import StorageRefusedError

__all__ = ["GIB", "StorageRefusedError", "VmOutcome", "World", "XoObject"]


class World(Runs):
    """One XO with everything it knows. ``version``: what ``system.getServerVersion`` answers."""

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        token: str = "simulated-token",  # noqa: S107 - opens a simulation only
        version: str = "5.207.2",
    ) -> None:
        super().__init__(now)
        self.version = version
        self.rest_version = "0.39.0"
        self.add_user("admin@example.org", token, password="simulated-password")  # noqa: S106 - opens a simulation only
