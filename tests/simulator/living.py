"""A small world that lives, and ways to ask it without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from guard.simulator.live import Live
from guard.simulator.serve import Simulator
from guard.simulator.world import GIB, World, XoObject
from tests.contract.shapes import differences

MIB = 1024**2
EVENING = datetime(2026, 11, 24, 20, tzinfo=UTC)
RECORDINGS = Path(__file__).parents[1] / "recordings"
TOKEN = {"authenticationToken": "simulated-token"}


class Small:
    """One pool with an NFS and an LVM SR, two repositories, a VM on each SR, a nightly job at 02:00 UTC."""

    def __init__(self, now: Callable[[], datetime] = lambda: EVENING) -> None:
        self.world = world = World(now)
        self.pool = world.add_pool("paris")
        self.host = world.add_host(self.pool, "xcp-1")
        self.nfs = world.add_sr(self.pool, "NFS", "nfs", size=500 * GIB)
        self.lvm = world.add_sr(self.pool, "LVM", "lvm", size=100 * GIB)
        self.web, self.db = world.add_vm(self.pool, "web", ["prod"]), world.add_vm(self.pool, "db", ["prod"])
        self.web_disk = world.add_disk(self.web, self.nfs, 20 * GIB, usage=4 * GIB)
        self.db_disk = world.add_disk(self.db, self.lvm, 20 * GIB, data=2 * GIB)
        self.nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
        self.vault = world.add_repository("vault", size=1000 * GIB, available=900 * GIB)
        self.job = world.add_job("nightly", vms=[self.web], remotes=[self.nas])
        self.schedule = world.add_schedule(self.job, "0 2 * * *", settings={"exportRetention": 3})
        self._live: Live | None = None

    @property
    def live(self) -> Live:
        if self._live is None:
            self._live = Live(self.world)
        return self._live

    def another(self, name: str, cron: str, vms: Any, **settings: Any) -> tuple[XoObject, XoObject]:
        """One more job on the nas, with its schedule."""
        job = self.world.add_job(name, vms=vms, remotes=[self.nas])
        return job, self.world.add_schedule(job, cron, settings=settings)

    def run(self, schedule: XoObject | None = None, **options: Any) -> XoObject:
        """Start a schedule now and let time go by until it is over; its log."""
        run = self.live.jobs.run_schedule(schedule or self.schedule, "rpc", **options)
        for _ in range(200):
            if run.ended:
                return run.log
            self.live.advance(timedelta(minutes=5))
        raise AssertionError("the run does not end")

    def logs(self, schedule: XoObject | None = None) -> list[XoObject]:
        """The logs of a schedule, oldest first, straight from the world."""
        wanted = (schedule or self.schedule)["id"]
        return [log for log in self.world.logs.values() if log["scheduleId"] == wanted]


def utc(day: int, hour: int, minute: int = 0, second: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=UTC)


def steps(log: XoObject) -> list[tuple[str, list[str]]]:
    """Per VM: status and the messages of its tasks."""
    return [(vm["status"], [step["message"] for step in vm.get("tasks", [])]) for vm in log.get("tasks", [])]


# --- recordings


def recorded(name: str, number: int = 0) -> XoObject:
    """One backup log of a real xo-server, without the key that REST adds."""
    logs = json.loads((RECORDINGS / "logs" / f"{name}.json").read_text())
    log = dict((logs if isinstance(logs, list) else logs["restBackupLogs"])[number])
    log.pop("href", None)
    return log


def recorded_runs(job_name: str) -> list[XoObject]:
    """The logs of a job that only the recorded list has, oldest first."""
    rows = json.loads((RECORDINGS / "rest" / "backup-logs.json").read_text())["response"]["body"]
    return [{key: row[key] for key in row if key != "href"} for row in rows if row["jobName"] == job_name]


def recorded_elsewhere(job_name: str, status: str) -> XoObject:
    """The first of them with a status."""
    return next(log for log in recorded_runs(job_name) if log["status"] == status)


def outline(task: XoObject) -> XoObject:
    """What has to be the same to the letter: messages, statuses, error texts and codes, in order, all the way down."""
    result = task.get("result")
    told = {key: task[key] for key in ("message", "status") if key in task}
    if isinstance(result, dict) and "message" in result:
        told["error"] = {key: result.get(key) for key in ("message", "code", "name", "params", "errno", "syscall")}
        for identity in filter(None, (task.get("jobId"), task.get("data", {}).get("id"))):
            told["error"]["message"] = told["error"]["message"].replace(identity, "<id>")
    elif result is not None:
        told["result"] = sorted(result) if isinstance(result, dict) else type(result).__name__
    told["keys"] = sorted(task.keys() - {"warnings", "tasks"})
    told["data"] = sorted(task.get("data", {}))
    told["warnings"] = [warning["message"] for warning in task.get("warnings", [])]
    told["tasks"] = sorted((outline(inner) for inner in task.get("tasks", [])), key=json.dumps)
    return told


def check_like(real: XoObject, ours: XoObject) -> None:
    """The same keys and types, and the same outline."""
    assert differences([real], [ours]) == set()
    assert outline(ours) == outline(real)


# --- faces in memory


@asynccontextmanager
async def rest(world: World, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """XO's REST API without a socket."""
    transport = httpx.ASGITransport(Simulator(world))
    async with httpx.AsyncClient(transport=transport, base_url="http://xo", cookies=TOKEN, **options) as client:
        yield client


class Socket:
    """A JSON-RPC socket without a socket. Raises EOFError once XO is gone."""

    def __init__(self, world: World) -> None:
        self._to_xo: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_xo: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "websocket", "path": "/api/", "query_string": b"", "headers": [], "scheme": "ws"}
        self._to_xo.put_nowait({"type": "websocket.connect"})
        self.served = asyncio.create_task(Simulator(world)(scope, self._to_xo.get, self._from_xo.put))
        self._number = 0

    async def open(self) -> dict[str, Any]:
        """Wait for the handshake and sign in; the answer to the latter."""
        assert (await self.receive())["type"] == "websocket.accept"
        return await self.call("session.signIn", token="simulated-token")

    async def receive(self) -> dict[str, Any]:
        waiting = asyncio.create_task(self._from_xo.get())
        try:
            await asyncio.wait({waiting, self.served}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            raise EOFError("the socket was closed")
        finally:
            waiting.cancel()

    async def send(self, method: str, **params: Any) -> None:
        self._number += 1
        text = json.dumps({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        await self._to_xo.put({"type": "websocket.receive", "text": text})

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer: an object with ``result`` or ``error``."""
        await self.send(method, **params)
        return json.loads((await self.receive())["text"])

    async def close(self) -> None:
        await self._to_xo.put({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(self.served, 5)


@asynccontextmanager
async def rpc(world: World) -> AsyncIterator[Socket]:
    """XO's JSON-RPC API, signed in."""
    socket = Socket(world)
    assert "result" in await socket.open()
    try:
        yield socket
    finally:
        await socket.close()
