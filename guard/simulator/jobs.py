"""XO's job runner: one run per job at a time, jobs of every type, sequences (xo-api.md 5.1 and 6, failure-modes.md 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from guard.simulator import engine, other_jobs
from guard.simulator.config import DEFAULT_INACTIVITY
from guard.simulator.journal import Start
from guard.simulator.log_tasks import failing
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Steps

if TYPE_CHECKING:
    from guard.simulator.live import Live

REFUSAL = 0.01
"""Seconds a refused start takes: seen with "already running"."""
NO_MATCH = 27
"""XO's code for "no VMs match this pattern" (xo-common)."""


class Run:
    """One run of one job. ``error``: the job-level error as XO logs it, None while it runs and when there was none.

    ``vms`` and ``settings``: what ``backupNg.runJob`` was given for this run only. ``inactivity``: seconds a transfer may
    stand still, as XO's configuration had it when the run's worker was forked. ``result``: what a client that waits for
    the end is answered.
    """

    def __init__(self, job: XoObject, schedule: XoObject, vms: list[str] | None, settings: XoObject) -> None:
        self.job = job
        self.schedule = schedule
        self.vms = vms
        self.settings = settings
        self.log: XoObject = {}
        self.error: XoObject | None = None
        self.result: Any = True
        self.inactivity = DEFAULT_INACTIVITY
        self.ended = False
        self._waiters: list[Callable[[], None]] = []

    def on_end(self, action: Callable[[], None]) -> None:
        """Do something when the run ends; at once when it has. Never, when XO is killed first."""
        if self.ended:
            action()
        else:
            self._waiters.append(action)

    def end(self, error: XoObject | None = None) -> None:
        self.error, self.ended = error, True
        waiters, self._waiters = self._waiters, []
        for action in waiters:
            action()


class Jobs:
    """What runs in one xo-server process."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self.running: dict[str, Run] = {}
        """By job id: in XO's memory only."""

    def run_schedule(
        self,
        schedule: XoObject,
        origin: str,
        via: str = "",
        vms: Iterable[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> Run:
        """Run a job as XO does when anybody asks; the run may be over when this returns. Raises JobError: no such job.

        ``job_id``: when it is not the schedule's own; XO does not check that they belong together.
        """
        world, live = self._live.world, self._live
        identity = job_id or schedule["jobId"]
        job = world.jobs.get(identity) or world.call_jobs.get(identity)
        if job is None:
            raise engine.JobError(no_such("job", identity))
        chosen = None if vms is None else list(vms)
        run = Run(job, schedule, chosen, merged(job.get("settings", {}), settings or {}))
        start = Start(world.now(), schedule["id"], identity, origin, via, vms=None if chosen is None else tuple(chosen))
        world.starts.append(start)
        if job["type"] == "call":
            start.origin, start.via = "call", origin
        else:
            run.log = world.new_log(schedule, world.now(), job)
            start.run_id = run.log["id"]
        if identity in self.running:
            error = failing("Error", f"the job ({identity}) is already running")
            live.timeline.after(REFUSAL, lambda: self._finish(run, error), live.xo)
            return run
        self.running[identity] = run
        job["runId"] = run.log.get("id") or live.tasks.new_id(live.tasks.moment())
        live.timeline.spawn(self._act(run), live.xo)
        return run

    def adopt(self) -> None:
        """Take over the runs that were planted as running: they go on until ``finish_run`` or a restart."""
        world = self._live.world
        for log in world.logs.values():
            job = world.jobs.get(log["jobId"], {})
            if log["status"] == "pending" and job.get("runId") == log["id"]:
                run = Run(job, world.schedules.get(log["scheduleId"], {}), None, {})
                run.log = log
                self.running[job["id"]] = run

    def forget(self, log: XoObject) -> None:
        """A planted run was finished by hand."""
        run = self.running.get(log["jobId"])
        if run is not None and run.log is log:
            del self.running[log["jobId"]]
            run.end()

    def _act(self, run: Run) -> Steps:
        """A job-level error ends the run; what happens to a VM does not."""
        kinds: dict[str, Callable[[Live, Run], Steps]] = {
            "backup": engine.backup,
            "metadataBackup": other_jobs.metadata,
            "mirrorBackup": other_jobs.mirror,
            "call": self._call,
        }
        error = None
        try:
            yield from kinds[run.job["type"]](self._live, run)
        except engine.JobError as failed:
            yield failed.seconds
            error = failed.result
        self.running.pop(run.job["id"], None)
        run.job.pop("runId", None)
        self._finish(run, error)

    def _finish(self, run: Run, error: XoObject | None) -> None:
        if run.log:
            self._live.tasks.close(run.log, error=error)
        run.end(error)

    # --- jobs of type call

    def _call(self, live: Live, run: Run) -> Steps:
        """A call job's own outcome tells nothing of what it called: XO swallows the error."""
        for values in parameters(run.job):
            if run.job["method"] == "schedule.set" and values.get("id") in live.world.schedules:
                live.world.record_write("call", "schedule.set", values)
                live.set_schedule(values)
            elif run.job["method"] == "schedule.runSequence":
                try:
                    yield from self.sequence(values.get("schedules", []), run.schedule["id"])
                except engine.JobError:
                    return

    def sequence(self, schedule_ids: Iterable[str], via: str) -> Steps:
        """Run schedules one after another. Raises JobError at the first job-level error, "no match" excepted."""
        tasks, ids = self._live.tasks, list(schedule_ids)
        moment = tasks.moment()
        task: XoObject = {
            "id": tasks.new_id(moment),
            "properties": {"name": "Schedule sequence", "type": "xo:schedule:sequence", "progress": 0},
            "start": moment,
            "status": "pending",
            "updatedAt": moment,
        }
        self._live.world.xo_tasks[task["id"]] = task
        error: XoObject | None = None
        for number, identity in enumerate(ids):
            schedule = self._live.world.schedules.get(identity)
            if schedule is None:
                error = no_such("schedule", identity)
                break
            try:
                member = self.run_schedule(schedule, "sequence", via)
            except engine.JobError as unknown:
                error = unknown.result
                break
            yield member
            if member.error is not None and member.error.get("code") != NO_MATCH:
                error = member.error
                break
            task["properties"]["progress"] = round(100 * (number + 1) / len(ids))
        self._live.end_xo_task(task, error)
        if error is not None:
            raise engine.JobError(error, 0)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> XoObject:
    """A deep copy of one object with another laid over it, level by level."""
    result = dict(deepcopy(dict(below)))
    for key, value in above.items():
        inside = result.get(key)
        result[key] = merged(inside, value) if isinstance(inside, dict) and isinstance(value, Mapping) else value
    return result


def no_such(kind: str, identity: str) -> XoObject:
    """XO's error for an unknown id (code 1)."""
    return failing("XoError", f"no such {kind} {identity}", code=1, data={"id": identity, "type": kind})


def parameters(job: XoObject) -> list[XoObject]:
    """What a call job calls its method with: each set of values once."""
    items = job.get("paramsVector", {}).get("items", [])
    return [values for item in items for values in item.get("values", []) if isinstance(values, dict)]
