"""What is wrong around the demo's backups: a proxy that is away, a pool that is updated host by host, VMs in odd states."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

PLANTED: tuple[tuple[str, str], ...] = (
    ("PROXY_UNREACHABLE", "retired nightly"),
    ("XO_FEATURE_REFUSED", "retired nightly"),
    ("VM_BAD_POWER_STATE", "retired nightly"),
    ("HEALTH_CHECK_FAILED", "retired nightly"),
    ("VM_HAS_NO_DISKS", "retired nightly"),
    ("ROLLING_UPDATE", "retired nightly"),
    ("VM_BUSY", "warehouse evening"),
)
_UPDATE_TAKES = timedelta(minutes=10)  # it ends before the first run is due: guard claims nothing meanwhile
_REFUSED: XoObject = {"name": "XoError", "message": "feature Unauthorized", "code": 26}


def plant(world: World) -> None:
    """Change what the job nobody looks after takes, and keep a VM busy; no run becomes due by it."""
    retired = next(one for one in world.schedules.values() if one["name"] == "retired nightly")
    job = world.jobs[retired["jobId"]]
    job["proxy"] = world.add_proxy("attic", reachable=False)["id"]
    refused = world.now() - timedelta(hours=5)
    world.add_run(retired, refused, refused + timedelta(seconds=1), error=dict(_REFUSED))
    _vm(world, "retired-1").update(pvDriversDetected=False, tags=["xo-offline-backup"])
    brest = world.add_pool("brest")
    job["vms"]["id"]["__or"].append(world.add_vm(brest, "hollow-1")["id"])
    moment = world.milliseconds()
    update: XoObject = {
        "id": world.new_id("xo-task", "rolling", moment),
        "properties": {"name": "Rolling pool update", "objectId": brest["id"], "objectType": "pool"},
        "start": moment,
        "status": "pending",
        "updatedAt": moment,
    }
    world.xo_tasks[update["id"]] = update
    _vm(world, "warehouse-1")["current_operations"] = {world.new_id("task", "export"): "export"}


def settle(live: Live) -> None:
    """What ends by itself soon."""
    for task in list(live.world.xo_tasks.values()):
        live.timeline.after(_UPDATE_TAKES.total_seconds(), partial(live.end_xo_task, task, None), live.xo)


def _vm(world: World, name: str) -> XoObject:
    return next(one for one in world.objects["VM"].values() if one["name_label"] == name)
