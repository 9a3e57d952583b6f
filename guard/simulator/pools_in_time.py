"""Pools that go away and come back, and rolling pool updates, in driven time (xo-api.md 3.5, failure-modes.md 3.9)."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from guard.simulator.log_tasks import failing
from guard.simulator.planted import KNOWN, SOCKET
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Event

if TYPE_CHECKING:
    from guard.simulator.live import Live

STALE_FOR = timedelta(minutes=5)
"""``xapiMarkDisconnectedDelay``: so long a lost pool still looks connected."""
RECONNECT = timedelta(seconds=10)
"""From the pool's return until its objects are there again: 10 to 30 s were seen."""


class Pools:
    """Which pools can be reached. What XO shows of them follows later."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lost: set[str] = set()
        self._to_notice: dict[str, Event] = {}

    def reachable(self, pool_id: str) -> bool:
        """Whether XAPI answers, whatever XO believes."""
        return pool_id not in self._lost

    def lose(self, server: XoObject) -> None:
        """XAPI stops answering. Five minutes later XO shows the server as ``connecting`` and none of its objects."""
        live, pool_id = self._live, self._pool_of(server)
        self._lost.add(pool_id)
        # XO notices when its event poll times out and five minutes have passed: here the five minutes only
        self._to_notice[pool_id] = live.timeline.at(live.now() + STALE_FOR, lambda: self._vanish(server), live.xo)

    def regain(self, server: XoObject) -> None:
        """XAPI answers again; what XO had lost is back 10 s later."""
        live, pool_id = self._live, self._pool_of(server)
        self._lost.discard(pool_id)
        pending = self._to_notice.pop(pool_id, None)
        if pending is not None:
            pending.cancel()
        if server["status"] != "connected":
            live.timeline.at(live.now() + RECONNECT, lambda: self._come_back(server), live.xo)

    def boot(self) -> None:
        """XO connects to its enabled servers anew: until then their lists are empty."""
        live = self._live
        for server in live.world.servers.values():
            if server["enabled"]:
                live.world.disconnect(server, "connecting")
                live.timeline.at(live.now() + RECONNECT, partial(self._come_back, server), live.xo)

    def _pool_of(self, server: XoObject) -> str:
        return self._live.world.pool_of(server)

    def _vanish(self, server: XoObject) -> None:
        self._to_notice.pop(self._pool_of(server), None)
        error = {"errno": -110, "code": "ETIMEDOUT", "syscall": "connect", "address": server["host"], "port": 443}
        self._live.world.disconnect(server, "connecting", error=error)

    def _come_back(self, server: XoObject) -> None:
        if self.reachable(self._pool_of(server)) and server["enabled"]:
            self._live.world.connect(server)

    # --- what runs see of it

    def refused_login(self) -> XoObject:
        """The worker cannot log in to the pool (xapi_offline_at_start.json)."""
        call = {"duration": 9, "method": "session.login_with_password", "params": "* obfuscated *"}
        socket = SOCKET | {"bytesWritten": 233, "bytesRead": 0}
        return failing("SocketError", "other side closed", code="UND_ERR_SOCKET", socket=socket, call=call)

    def cut_connection(self) -> XoObject:
        """A transfer breaks off (export_cut.json)."""
        return {"message": "other side closed", **KNOWN["other side closed"]}


class RollingUpdates:
    """Rolling pool updates: XO disables the enabled schedules of the pool's jobs, and at the end writes back the
    records as it had read them, whatever was changed meanwhile (xo-api.md 3.2)."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def start(self, pool: XoObject, lasting: timedelta) -> XoObject:
        """Returns the XO task. Raises ValueError when one of the pool's jobs runs: XO refuses then."""
        live, world = self._live, self._live.world
        jobs = {job["id"] for job in world.jobs.values() if job["type"] == "backup" and self._touches(job, pool)}
        if jobs & set(live.jobs.running):
            raise ValueError("a backup job of this pool is running: XO starts no rolling pool update")
        kept = [deepcopy(one) for one in world.schedules.values() if one["jobId"] in jobs and one["enabled"]]
        moment = live.tasks.moment()
        task: XoObject = {
            "id": live.tasks.new_id(moment),
            "properties": {"name": "Rolling pool update", "objectId": pool["id"], "objectType": "pool"},
            "start": moment,
            "status": "pending",
            "updatedAt": moment,
        }
        world.xo_tasks[task["id"]] = task
        for schedule in kept:
            world.record_write("rpu", "schedule.set", {"id": schedule["id"], "enabled": False})
            live.set_schedule({"id": schedule["id"], "enabled": False})
        live.timeline.at(live.now() + lasting, lambda: self._finish(kept, task), live.xo)
        return task

    def _finish(self, kept: list[XoObject], task: XoObject) -> None:
        for schedule in kept:
            if schedule["id"] in self._live.world.schedules:
                self._live.world.record_write("rpu", "schedule.set", schedule)
                self._live.set_schedule(schedule)
        self._live.end_xo_task(task, None)

    def _touches(self, job: XoObject, pool: XoObject) -> bool:
        vms = self._live.vms_of(job)
        return any(self._live.world.objects["VM"].get(vm, {}).get("$pool") == pool["id"] for vm in vms)
