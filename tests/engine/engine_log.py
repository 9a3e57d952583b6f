"""The engine's own task tree as the backup log that xo-server makes of it (failure-modes.md 2).

xo-server is not published: which status a run gets, and that three errors count as skipped, is restated here from the
reference. Times, places, errors, warnings and sizes are the engine's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from guard.estate.xo_records import BackupLog

SKIPPING = frozenset({"unhealthy VDI chain", "no VMs match this pattern", "no disks found"})

Json = dict[str, Any]


def xo_log(raw: Json, job: Json, schedule: str, run_id: str) -> Json:
    """The log as ``GET /rest/v0/backup-logs`` shows it."""
    tasks = [_with_status(task) for task in raw["tasks"]]
    log = {
        "id": run_id,
        "message": "backup",
        "jobId": job["id"],
        "jobName": job["name"],
        "scheduleId": schedule,
        "data": {"mode": job["mode"], "reportWhen": "failure"},
        "start": raw["start"],
        "end": raw["end"],
        "infos": raw.get("infos", []),
        "tasks": tasks,
        "status": _worst([raw["status"], *(task["status"] for task in tasks)]),
    }
    if raw["status"] == "failure":
        log["result"] = raw["result"]
        log["status"] = _status(raw)
    return log


def read_log(log: Json) -> BackupLog:
    """Through guard's own decoder."""
    return msgspec.convert(log, BackupLog, strict=False)


def _status(task: Json) -> str:
    result = task.get("result")
    message = result.get("message") if isinstance(result, dict) else None
    return "skipped" if task["status"] == "failure" and message in SKIPPING else str(task["status"])


def _with_status(task: Json) -> Json:
    """A failed step makes its task a failure, unless one of the same name and subject was good: a later attempt."""
    tasks = [_with_status(one) for one in task["tasks"]]
    good = {_name_and_id(one) for one in tasks if one["status"] == "success"}
    standing = [one["status"] for one in tasks if _name_and_id(one) not in good]
    return {**task, "status": _worst([_status(task), *standing]), "tasks": tasks}


def _name_and_id(task: Json) -> tuple[str, str]:
    return task["message"], task["data"].get("id", "")


def _worst(statuses: list[str]) -> str:
    return next((one for one in ("failure", "skipped") if one in statuses), "success")
