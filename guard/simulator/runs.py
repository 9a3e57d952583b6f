"""Backup runs as XO logs them (xo-api.md 3.3 and logs of a real xo-server). All times in logs are milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from guard.simulator.journal import Journal, Start
from guard.simulator.shapes import XoObject

SKIPPING_MESSAGES = frozenset({"no disks found", "no VMs match this pattern", "unhealthy VDI chain"})
"""Errors XO shows as skipped instead of failure (packages/xo-server/src/xo-mixins/backups-ng-logs.mjs)."""


@dataclass(frozen=True)
class VmOutcome:
    """How one VM fared in a run.

    ``error``: message, or a whole result object (``code``, ``params``, ``message``); None for success.
    ``failed_at``: the step that raised it: ``snapshot``, ``transfer``, or ``start`` (before any step).
    ``sizes``: bytes sent to each target, by repository or SR id; one number is sent to every target of the job.
    ``duration_ms``: of this VM's task; None: it takes the whole run. ``warnings``: as XO logs them.
    """

    sizes: int | Mapping[str, int] = 0
    is_full: bool = False
    error: str | XoObject | None = None
    failed_at: str = "snapshot"
    duration_ms: int | None = None
    warnings: Sequence[XoObject] = field(default_factory=tuple)


def result_of(error: str | XoObject) -> XoObject:
    return {"message": error, "name": "Error"} if isinstance(error, str) else dict(error)


def failed_status(result: XoObject) -> str:
    return "skipped" if result.get("message") in SKIPPING_MESSAGES else "failure"


def worst(statuses: Sequence[str]) -> str:
    """XO: failure if anything failed, else skipped if anything was skipped (success + skipped is skipped)."""
    return next((status for status in ("failure", "skipped") if status in statuses), "success")


def targets_of(job: XoObject) -> list[tuple[str, str]]:
    """(type, id) of every target of a job, from its id patterns."""
    found = []
    for key, kind in (("remotes", "remote"), ("srs", "SR")):
        wanted = job.get(key, {}).get("id", [])
        ids = [wanted] if isinstance(wanted, str) else wanted.get("__or", []) if isinstance(wanted, dict) else wanted
        found += [(kind, identity) for identity in ids]
    return found


class Runs(Journal):
    """Adds the log of backup runs, and the starts it was asked for."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.logs: dict[str, XoObject] = {}
        self.xo_tasks: dict[str, XoObject] = {}

    def shown_logs(self, *, refresh: bool = False) -> list[XoObject]:
        """All logs as a list shows them: in a live world up to 10 s old, unless ``refresh``."""
        return list(self.logs.values()) if self.live is None else self.live.cache.all(refresh=refresh)

    def shown_log(self, identity: str) -> XoObject | None:
        """One log as it is shown when asked for alone, which has a cache of its own."""
        return self.logs.get(identity) if self.live is None else self.live.cache.one(identity)

    def add_run(
        self,
        schedule: XoObject,
        start: datetime,
        end: datetime,
        vms: Mapping[str, VmOutcome] | None = None,
        status: str | None = None,
        error: str | XoObject | None = None,
    ) -> XoObject:
        """The log of a finished run. ``vms``: outcome by VM id; ``error``: a job-level error, which leaves no tasks.

        ``status`` None: as XO derives it. ``interrupted`` leaves no end and the tasks pending.
        """
        log = self.new_log(schedule, start)
        if error is not None:
            result = result_of(error)
            log |= {"status": status or failed_status(result), "end": self.milliseconds(end), "result": result}
            return log
        outcomes = vms or {}
        stop = self.milliseconds(end)
        log["tasks"] = [self._vm_task(schedule, log["start"], stop, vm, outcome) for vm, outcome in outcomes.items()]
        log["infos"] = [{"data": {"vms": list(outcomes)}, "message": "vms"}]
        log["status"] = status or worst([task["status"] for task in log["tasks"]])
        if status == "interrupted":
            for task in log["tasks"]:
                leave_pending(task)
        else:
            log["end"] = stop
        return log

    def start_run(self, schedule: XoObject, vms: Sequence[XoObject] = (), at: datetime | None = None) -> XoObject:
        """A run begins: a pending log, and its id as the job's ``runId`` until ``finish_run``."""
        log = self.new_log(schedule, at or self.now())
        job = self.jobs.get(schedule["jobId"]) or self.call_jobs[schedule["jobId"]]
        job["runId"] = log["id"]
        log["tasks"] = [
            self._task(log["start"], "backup VM", data={"id": vm["id"], "type": "VM", "name_label": vm["name_label"]})
            for vm in vms
        ]
        log["infos"] = [{"data": {"vms": [vm["id"] for vm in vms]}, "message": "vms"}]
        return log

    def finish_run(self, log: XoObject, status: str = "success") -> None:
        """The run ends: ``runId`` goes, the log gets its end and status."""
        stop = self.milliseconds()
        for task in [*log.get("tasks", []), log]:
            task |= {"status": status, "end": stop}
        job = self.jobs.get(log["jobId"]) or self.call_jobs[log["jobId"]]
        job.pop("runId", None)
        if self.live is not None:
            self.live.jobs.forget(log)

    def request_start(self, schedule: XoObject, user_id: str) -> XoObject:
        """Somebody asked XO to run a schedule: recorded in ``starts``, answered with an XO task.

        A world that is not alive moves no data: there the task stays pending.
        """
        moment = self.milliseconds()
        task: XoObject = {
            "id": self._task_id(moment),
            "properties": {
                "objectType": "schedule",
                "name": "REST API: run schedule",
                "objectId": schedule["id"],
                "userId": user_id,
                "type": "xo:rest-api:action",
            },
            "start": moment,
            "status": "pending",
            "updatedAt": moment,
        }
        self.xo_tasks[task["id"]] = task
        if self.live is None:
            self.starts.append(Start(self.now(), schedule["id"], schedule["jobId"], "rest"))
        else:
            self.live.run_for_task(schedule, task)
        return task

    # --- pieces of a log

    def new_log(self, schedule: XoObject, start: datetime, job: XoObject | None = None) -> XoObject:
        """The pending log of a run that starts. ``job``: when it is not the schedule's own."""
        job = job or self.jobs.get(schedule["jobId"]) or self.call_jobs[schedule["jobId"]]
        moment = self.milliseconds(start)
        identity, count = str(moment), 0
        while identity in self.logs:
            count += 1
            identity = f"{moment}:{count}"
        data = {"reportWhen": job.get("settings", {}).get("", {}).get("reportWhen", "failure")}
        if "mode" in job:
            data = {"mode": job["mode"], **data}
        log: XoObject = {
            "data": data,
            "id": identity,
            "jobId": job["id"],
            "jobName": job["name"],
            "message": "backup",
            "scheduleId": schedule["id"],
            "start": moment,
            "status": "pending",
        }
        self.logs[identity] = log
        return log

    def _task_id(self, moment: int) -> str:
        return f"{base36(moment)}-{self.new_id('xo-task', moment).replace('-', '')[:11]}"

    def _task(self, start: int, message: str, end: int | None = None, **parts: object) -> XoObject:
        task: XoObject = {"id": self._task_id(start), "start": start, "status": "pending", "message": message, **parts}
        return task if end is None else task | {"end": end, "status": parts.get("status", "success")}

    def _vm_task(self, schedule: XoObject, start: int, stop: int, vm_id: str, outcome: VmOutcome) -> XoObject:
        end = stop if outcome.duration_ms is None else min(stop, start + outcome.duration_ms)
        vm = self.objects.get("VM", {}).get(vm_id)
        task = self._task(start, "backup VM", end, data={"id": vm_id, "type": "VM"})
        if vm is not None:
            task["data"]["name_label"] = vm["name_label"]
        if outcome.warnings:
            task["warnings"] = list(outcome.warnings)
        result = None if outcome.error is None else result_of(outcome.error)
        if outcome.failed_at != "start" or result is None:
            task["tasks"] = self._steps(schedule, start, end, vm_id, outcome, result)
        if result is not None:
            task |= {"result": result, "status": failed_status(result)}
        if any(step["message"] == "export" for step in task.get("tasks", [])):
            task["data"]["progress"] = 0
        return task

    def _steps(
        self, schedule: XoObject, start: int, end: int, vm_id: str, outcome: VmOutcome, result: XoObject | None
    ) -> list[XoObject]:
        """clean-vm, snapshot, then one export per target; a failing step ends the list."""
        cleaned = {"merge": False, "size": 0}
        snapped = start + min(1000, end - start)
        steps = [self._task(start, "clean-vm", start, result=dict(cleaned))]
        failed = {} if result is None else {"result": result, "status": failed_status(result)}
        if failed and outcome.failed_at == "snapshot":
            steps.append(self._task(start, "snapshot", snapped, **failed))
            return [*steps, self._task(snapped, "clean-vm", end, result=dict(cleaned))]
        steps.append(self._task(start, "snapshot", snapped, result=self.new_id("VM-snapshot", vm_id, start)))
        for kind, target in targets_of(self.jobs[schedule["jobId"]]):
            sizes = outcome.sizes
            size = sizes if isinstance(sizes, int) else sizes.get(target, 0)
            parts = failed or {"result": {"size": size}}
            transfer = self._task(snapped, "transfer", end, data={"progress": 0 if failed else 100}, **parts)
            data = {"id": target, "isFull": outcome.is_full, "type": kind}
            inner = [transfer]
            if kind == "remote" and not failed:
                inner.append(self._task(end, "clean-vm", end, result=dict(cleaned)))
            steps.append(self._task(snapped, "export", end, data=data, tasks=inner, **failed))
        return steps


def leave_pending(task: XoObject) -> None:
    """What a killed xo-server leaves: the unfinished tasks stay pending for ever."""
    for key in ("end", "result"):
        task.pop(key, None)
    task["status"] = "pending"
    if task["message"] == "export":
        del task["tasks"][1:]  # the transfer never ended, so nothing came after it
    for inner in task.get("tasks", [])[-1:]:
        leave_pending(inner)


def base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
