"""What the demo's nights before left behind: old failures of schedules that are well again, and a run that hangs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.simulator.planted import error_of
from guard.simulator.runs import VmOutcome
from guard.simulator.shapes import GIB, XoObject
from guard.simulator.world import World

PLANTED: tuple[tuple[str, str], ...] = (
    ("EXPORT_TIMEOUT", "no figures nightly"),
    ("EXPORT_INCOMPLETE", "number"),
    ("JOB_STUCK", "archive nightly"),
)
_LOST = {
    "no figures nightly": ("Body Timeout Error", "Headers Timeout Error"),
    "number": ("other side closed", "stream has ended with not enough data (actual: 4096, expected: 2097152)"),
}


def plant(world: World) -> None:
    """Change the past that the demo's schedules have already; what their disks look like stays as it is."""
    for name, texts in _LOST.items():
        _fail_twice(world, _schedule(world, name), texts)
    _hang(world, _schedule(world, "archive nightly"))


def _fail_twice(world: World, schedule: XoObject, texts: tuple[str, str]) -> None:
    """Two of the nights failed, the one after them was a full, as XO needs it then, and the last was well again."""
    first, second, after, _ = _past(world, schedule)[-4:]
    for log, text in zip((first, second), texts, strict=True):
        _replace(world, schedule, log, VmOutcome(error=error_of(text), failed_at="transfer"))
    _replace(world, schedule, after, VmOutcome(sizes=12 * GIB, is_full=True))


def _hang(world: World, schedule: XoObject) -> None:
    """The night before the last, a run began that never ended; the last one found the job running."""
    hanging, refused = _past(world, schedule)[-2:]
    vms = [world.get("VM", identity) for identity in hanging["infos"][0]["data"]["vms"]]
    for log in (hanging, refused):
        del world.logs[log["id"]]
    world.start_run(schedule, vms, at=_time(hanging["start"]))
    began = _time(refused["start"])
    error = f"the job ({schedule['jobId']}) is already running"
    world.add_run(schedule, began, began + timedelta(seconds=1), error=error)


def _replace(world: World, schedule: XoObject, log: XoObject, outcome: VmOutcome) -> None:
    """The same run, with another outcome of its VMs."""
    del world.logs[log["id"]]
    vms = log["infos"][0]["data"]["vms"]
    world.add_run(schedule, _time(log["start"]), _time(log["end"]), dict.fromkeys(vms, outcome))


def _past(world: World, schedule: XoObject) -> list[XoObject]:
    return sorted(
        (log for log in world.logs.values() if log["scheduleId"] == schedule["id"]), key=lambda one: one["start"]
    )


def _schedule(world: World, name: str) -> XoObject:
    return next(one for one in world.schedules.values() if one["name"] == name)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
