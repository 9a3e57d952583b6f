"""Pools that go away and come back, by themselves or because a client wants it, and rolling pool updates, in driven time
(xo-api.md 3.5, failure-modes.md 3.9)."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from guard.simulator.calls import CallError, Work
from guard.simulator.log_tasks import failing
from guard.simulator.planted import KNOWN, SOCKET, Trouble
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import FOREVER, Event

if TYPE_CHECKING:
    from guard.simulator.live import Live

STALE_FOR = timedelta(minutes=5)
"""``xapiMarkDisconnectedDelay``: so long a lost pool still looks connected."""
RECONNECT = timedelta(seconds=10)
"""From the pool's return until its objects are there again: 10 to 30 s were seen."""
LOGIN, NO_ANSWER = 1.0, 10.0
"""Seconds until XAPI has taken a login, or XO has given up waiting for it."""
ERRNO = {"ECONNREFUSED": -111, "EHOSTUNREACH": -113, "ENETUNREACH": -101, "ETIMEDOUT": -110}


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

    # --- what a client asks for

    def enable(self, server: XoObject) -> Work:
        """``server.enable``: ends once XAPI has taken the login; the pool's objects come with its first events, and until
        then XO shows the server connected and nothing of the pool. Raises CallError, and keeps the error in the record.
        """
        live, pool_id = self._live, self._pool_of(server)
        server["enabled"] = True
        if server["status"] != "disconnected":
            raise CallError(failing("Error", "the server is already connected"))
        server["status"] = "connecting"
        objects_at = live.now() + RECONNECT
        trouble = live.planted.next_trouble(server["id"])
        if trouble is not None and trouble.hangs:
            yield FOREVER
        away = trouble.code in ERRNO if trouble is not None else not self.reachable(pool_id)
        yield NO_ANSWER if away else LOGIN
        if server["status"] != "connecting":
            return  # somebody disabled it meanwhile: XO says nothing of that
        if trouble is None and self.reachable(pool_id):
            live.world.connect(server, objects=False)
            live.timeline.at(objects_at, lambda: self._show(server), live.xo)
            return
        error = self._login_error(server, trouble)
        known = {key: value for key, value in error.items() if key not in {"message", "name"}}
        live.world.disconnect(server, "disconnected", enabled=server["enabled"], error=known)
        raise CallError(error)

    def disable(self, server: XoObject) -> None:
        """``server.disable``: all the pool's objects are gone from XO at once."""
        pending = self._to_notice.pop(self._pool_of(server), None)
        if pending is not None:
            pending.cancel()
        self._live.world.disconnect(server, "disconnected", enabled=False)

    def _show(self, server: XoObject) -> None:
        if server["status"] == "connected" and self.reachable(self._pool_of(server)):
            self._live.world.connect(server)

    def _login_error(self, server: XoObject, trouble: Trouble | None) -> XoObject:
        code = "ETIMEDOUT" if trouble is None else trouble.code
        if code not in ERRNO:
            params = [] if trouble is None else list(trouble.params)
            call = {"duration": 9, "method": "session.login_with_password", "params": "* obfuscated *"}
            return failing("XapiError", f"{code}({', '.join(params)})", code=code, params=params, call=call)
        where = {"syscall": "connect", "address": server["host"], "port": 443}
        return failing("Error", f"connect {code} {server['host']}:443", errno=ERRNO[code], code=code, **where)

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
