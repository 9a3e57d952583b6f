"""Past nights for the checks that only the past can warn: logs as XO writes them, read by guard's own classifier."""

from __future__ import annotations

from datetime import timedelta

from guard.outcomes.past import past_failures
from tests.builders import GIB, LAST_NIGHT, found, make_estate, make_log, make_transfer, make_view, make_vm_task
from tests.outcomes.tables import export, failed_vm, node, said, task, xapi

TIMED_OUT = node("UND_ERR_BODY_TIMEOUT", "Body Timeout Error")
CUT = said("stream has ended with not enough data (actual: 4096, expected: 2097152)")
IO_ERROR = xapi("VDI_IO_ERROR", "Device I/O errors")


def fine(vm="vm"):
    """A VM that was sent."""
    return make_vm_task(vm, make_transfer(GIB))


def lost(error, vm="vm", *, target=None):
    """A VM whose transfer failed. ``target``: the SR of its replica, else its copy on "repo"."""
    where = {} if target is None else {"data": {"type": "SR", "id": target}}
    return failed_vm(error, export(task("transfer", result=error), result=error, **where), id_=vm)


def retried(error, vm="vm"):
    """A VM whose transfer failed and was made good by XO's own second try."""
    again = {"message": "Retry the VM backup due to an error", "data": {"attempt": 1, "isRetry": True}}
    again["data"]["error"] = error["message"]
    failed = export(task("transfer", result=error), result=error)
    return make_vm_task(vm, failed, make_transfer(GIB), warnings=[again])


def night(ago, *tasks, schedule="schedule", job="job", **more):
    """The log of the run so many nights before the last one (0)."""
    status = "failure" if any(one["status"] == "failure" for one in tasks) else "success"
    start = LAST_NIGHT - timedelta(days=ago)
    return make_log(
        *tasks, start=start, id=f"{schedule}-{ago}", schedule=schedule, job=job, **{"status": status} | more
    )


def nights(*runs):
    """One run of one VM each, the newest first."""
    return [night(ago, one) for ago, one in enumerate(runs)]


def view_of(due=None, **world):
    estate = make_estate(**world)
    return make_view(estate, due=due, past=lambda: past_failures(estate.logs))


def told(check, options=None, **world):
    """What a check says of the next run of the world's schedule."""
    return found(check, view_of(**world), **(options or {}))
