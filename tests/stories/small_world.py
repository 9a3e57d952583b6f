"""A small company for many nights: every kind of schedule once, some trouble, short runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import GIB, World

EVENING = datetime(2026, 11, 23, 20, 0, 20, tzinfo=UTC)


def small_world(long_minutes: int = 43) -> Live:
    """Two pools; a nightly job, one that takes long, one that fails, a sequence of two, one every three hours."""
    world = World(lambda: EVENING)
    paris, lyon = world.add_pool("paris"), world.add_pool("lyon")
    nfs = world.add_sr(paris, "NFS", "nfs", size=500 * GIB)
    away = world.add_sr(lyon, "Local", "ext", size=500 * GIB)
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)

    def planned(name: str, cron: str, sr: XoObject, *, enabled: bool = True) -> XoObject:
        vm = world.add_vm(lyon if sr is away else paris, f"{name} VM")
        world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
        job = world.add_job(name, vms=[vm], remotes=[nas])
        return world.add_schedule(job, cron, name=name, enabled=enabled, settings={"exportRetention": 3})

    planned("nightly", "0 2 * * *", nfs)
    long = planned("long", "30 1 * * *", nfs)
    planned("lyon", "0 3 * * *", away)
    planned("often", "0 5,11,17,23 * * *", nfs)
    members = [planned(name, "0 0 1 jan *", nfs, enabled=False) for name in ("first", "second")]
    world.add_sequence("sequence", members, cron="0 4 * * *")
    live = Live(world)
    live.rates.jobs[long["jobId"]] = GIB / (60 * long_minutes)
    return live


def schedule(live: Live, name: str) -> XoObject:
    return next(one for one in live.world.schedules.values() if one["name"] == name)


def happens(live: Live, when: datetime, action) -> None:
    """Plan something that no guard can know of."""
    live.timeline.at(when, lambda: action() and None, live.outside)


def with_trouble(live: Live, nights: int) -> Live:
    """XO restarts in the middle of a run, is down for a while, a pool is lost for a night, persons run things."""
    world = live.world
    lyon = next(server for server in world.servers.values() if server["label"] == "lyon")
    for night in range(nights):
        midnight = EVENING.replace(hour=0, minute=0) + timedelta(days=night + 1)
        if night % 3 == 0:
            happens(live, midnight + timedelta(hours=1, minutes=40), live.restart_xo)
        if night % 3 == 1:
            happens(live, midnight + timedelta(hours=1, minutes=50), live.stop_xo)
            happens(live, midnight + timedelta(hours=2, minutes=20), live.start_xo)
        if night % 3 == 2:
            happens(live, midnight + timedelta(hours=2, minutes=30), lambda: live.lose_pool(lyon))
            happens(live, midnight + timedelta(hours=5), lambda: live.regain_pool(lyon))
        name = ("nightly", "first", "often")[night % 3]
        happens(
            live,
            midnight + timedelta(hours=8, minutes=7),
            lambda name=name: live.jobs.run_schedule(schedule(live, name), "rpc"),
        )
    return live
