"""JSON-RPC methods that change or start something (xo-api.md 3.2, 5.1, 5.2 and 6)."""

from __future__ import annotations

from guard.mechanics.cron import CronError
from guard.simulator.jobs import Run
from guard.simulator.journal import Start
from guard.simulator.rpc_protocol import SERVER_ERROR, JsonValue, Method, RpcError, Session
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

RUN_PARAMS = ("id", "schedule", "vms?", "vm?", "settings?")


def error_of(result: XoObject) -> RpcError:
    """The answer to a call that ended with an error, from what XO logs of it."""
    code = result.get("code")
    if isinstance(code, int):
        return RpcError(code, result["message"], result.get("data"))
    return RpcError(SERVER_ERROR, result["message"], dict(result))


def no_such(kind: str, identity: str) -> RpcError:
    return RpcError(1, f"no such {kind} {identity}", {"id": identity, "type": kind})


class RpcWrites:
    """Writes to one world. In a world that is not alive a run is recorded as started and nothing moves."""

    def __init__(self, world: World) -> None:
        self.world = world

    def methods(self) -> dict[str, Method]:
        changes = ("id", "cron?", "enabled?", "jobId?", "name?", "timezone?")
        return {
            "backupNg.runJob": Method(self._run_job, params=RUN_PARAMS, writes=True),
            "job.create": Method(self._create_job, params=("job",), writes=True),
            "job.delete": Method(self._delete_job, params=("id",), writes=True),
            "metadataBackup.runJob": Method(self._run_job, params=("id", "schedule"), writes=True),
            "mirrorBackup.runJob": Method(self._run_job, params=RUN_PARAMS, writes=True),
            "schedule.create": Method(
                self._create_schedule, params=("jobId", "cron", "enabled?", "name?", "timezone?"), writes=True
            ),
            "schedule.delete": Method(self._delete_schedule, params=("id",), writes=True),
            "schedule.runSequence": Method(self._run_sequence, params=("schedules",), writes=True),
            "schedule.set": Method(self._set_schedule, params=changes, writes=True),
        }

    # --- schedules

    def _schedule(self, identity: str) -> XoObject:
        if identity not in self.world.schedules:
            raise no_such("schedule", identity)
        return self.world.schedules[identity]

    def _set_schedule(self, _session: Session, params: XoObject) -> None:
        schedule = self._schedule(params["id"])
        if self.world.live is None:
            schedule |= params
            return
        try:
            self.world.live.set_schedule(params)
        except CronError as error:
            raise RpcError(SERVER_ERROR, str(error), {"message": str(error), "name": "Error"}) from None

    def _create_schedule(self, session: Session, params: XoObject) -> XoObject:
        schedule: XoObject = {
            "cron": params["cron"],
            "enabled": bool(params.get("enabled", False)),
            "jobId": params["jobId"],
            "name": params.get("name") or "",
            **({"timezone": params["timezone"]} if "timezone" in params else {}),
            "userId": (session.user or {}).get("id"),
            "id": self.world.new_id("schedule", params["jobId"], params["cron"]),
        }
        self.world.schedules[schedule["id"]] = schedule
        self._set_schedule(session, {"id": schedule["id"]})
        return schedule

    def _delete_schedule(self, _session: Session, params: XoObject) -> None:
        self._schedule(params["id"])
        del self.world.schedules[params["id"]]
        if self.world.live is not None:
            self.world.live.scheduler.disarm(params["id"])

    # --- jobs

    def _create_job(self, session: Session, params: XoObject) -> str:
        job: XoObject = {"userId": (session.user or {}).get("id"), **params["job"]}
        job["id"] = self.world.new_id("job", job.get("name", ""))
        (self.world.call_jobs if job.get("type") == "call" else self.world.jobs)[job["id"]] = job
        return str(job["id"])

    def _delete_job(self, session: Session, params: XoObject) -> None:
        identity = params["id"]
        if self.world.call_jobs.pop(identity, None) is None and self.world.jobs.pop(identity, None) is None:
            raise no_such("job", identity)
        for schedule in [one for one in self.world.schedules.values() if one["jobId"] == identity]:
            self._delete_schedule(session, {"id": schedule["id"]})

    def _run_job(self, _session: Session, params: XoObject) -> Run | JsonValue:
        """Ends when the run ends; ``vms`` and ``settings`` mean something for VM backup jobs only."""
        job = self.world.jobs.get(params["id"])
        if job is None:
            raise no_such("job", params["id"])
        schedule = self._schedule(params["schedule"])
        vms = [params["vm"]] if "vm" in params else params.get("vms")
        if job["type"] != "backup":
            vms, params = None, {**params, "settings": {}}
        if self.world.live is None:
            chosen = None if vms is None else tuple(vms)
            self.world.starts.append(Start(self.world.now(), schedule["id"], job["id"], "rpc", vms=chosen))
            return True
        return self.world.live.jobs.run_schedule(
            schedule, "rpc", vms=vms, settings=params.get("settings"), job_id=job["id"]
        )

    def _run_sequence(self, _session: Session, params: XoObject) -> Run | JsonValue:
        if self.world.live is None:
            return True
        return self.world.live.run_sequence(params["schedules"])
