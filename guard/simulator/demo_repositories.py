"""What is wrong about the demo's backup repositories beyond their space: locks, protected backups, XO's own disk."""

from __future__ import annotations

from datetime import timedelta

from guard.simulator.runs import VmOutcome
from guard.simulator.shapes import GIB, XoObject
from guard.simulator.world import World

PLANTED: tuple[tuple[str, str], ...] = (
    ("REPOSITORY_LOCKED", "warehouse evening"),
    ("REPOSITORY_IMMUTABLE", "unsaved nightly"),
    ("XO_DISK_LOW", "warehouse evening"),
    ("REPOSITORY_ON_XO_DISK", "unsaved nightly"),
)
XO_DISK_SIZE, XO_DISK_AVAILABLE = 40 * GIB, 3 * GIB
"""The disk of XO's own machine (bytes), which no API of XO shows."""

_REFUSED: XoObject = {
    "errno": -1,
    "code": "EPERM",
    "syscall": "unlink",
    "message": "EPERM: operation not permitted, unlink",
    "name": "Error",
}


def plant(world: World) -> None:
    """Change what the demo's schedules write to, and add runs of the past; no run becomes due by it."""
    _merge_late(world, _schedule(world, "warehouse evening"))
    unsaved = _schedule(world, "unsaved nightly")
    job = world.jobs[unsaved["jobId"]]
    folder = world.add_repository("usb-folder", "file:///mnt/usb", size=XO_DISK_SIZE, available=XO_DISK_AVAILABLE)
    job["remotes"]["id"]["__or"].append(folder["id"])
    _refuse_deletion(world, unsaved)


def _merge_late(world: World, evening: XoObject) -> None:
    """By hand the same VMs were sent a second time every day, last just now and slowly: older deltas are still merged."""
    job = world.jobs[evening["jobId"]]
    vms = [world.get("VM", identity) for identity in _ids(job["vms"])]
    remotes = [world.repositories[identity] for identity in _ids(job["remotes"])]
    twice = world.add_job("warehouse by hand", vms=vms, remotes=remotes)
    schedule = world.add_schedule(twice, "0 0 1 jan *", name="warehouse by hand", enabled=False)
    for day in range(9, 0, -1):
        ended = world.now() - timedelta(days=day - 1, minutes=10)
        sent = {vm["id"]: VmOutcome(sizes=6 * GIB) for vm in vms}
        world.add_run(schedule, ended - timedelta(minutes=30), ended, sent)


def _refuse_deletion(world: World, schedule: XoObject) -> None:
    """In its last run the backup was written, and the storage refused to delete the oldest one."""
    vm = _ids(world.jobs[schedule["jobId"]]["vms"])[0]
    start = world.now() - timedelta(hours=7)
    log = world.add_run(schedule, start, start + timedelta(hours=1), {vm: VmOutcome(sizes=70 * GIB, is_full=True)})
    for task in log["tasks"]:
        for export in (one for one in task["tasks"] if one["message"] == "export"):
            export["tasks"][-1] |= {"status": "failure", "result": dict(_REFUSED)}
            export["status"] = "failure"
        task["status"] = "failure"
    log["status"] = "failure"


def _ids(pattern: XoObject) -> list[str]:
    wanted = pattern["id"]
    return [wanted] if isinstance(wanted, str) else wanted["__or"]


def _schedule(world: World, name: str) -> XoObject:
    return next(one for one in world.schedules.values() if one["name"] == name)
