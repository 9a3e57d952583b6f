"""The simulated pool master: what XAPI itself answers about one pool of the world, next to XO's face of it.

::

    face = XapiFace(world, pool)                            # root / simulated-password
    async with serve_xapi(face) as url: ...                 # XML-RPC at {url}, JSON-RPC at {url}/jsonrpc
    with serving_xapi(face) as url: ...                     # the same from code that is not asynchronous
    XapiFace(world, pool, slave_of="192.0.2.1")             # answers every sign-in with HOST_IS_SLAVE

    face.extra[disk["id"]] = {"sm_config": {"type": "raw"}}     # what only XAPI knows (``xapi_records``)
    face.faults["VM.snapshot"] = [Fault(error=[...])]           # what goes wrong (``xapi_faults``)
    face.role = "read-only"                                     # everything that changes something is refused
    face.forget_sessions()                                      # as after a restart: SESSION_INVALID

Both faces read and change the same records: a snapshot taken here is in XO's lists at once, and the other way round.
Who changes a world that is being served does it in a turn of its own (``with world.turn(): world.write(...)``).
``face.calls`` counts calls by method and path.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guard.simulator import xapi_wire as wire
from guard.simulator.faults import until_gone
from guard.simulator.serve import serve, serving
from guard.simulator.shapes import XoObject
from guard.simulator.world import World
from guard.simulator.xapi_calls import READING, Calls
from guard.simulator.xapi_delivery import Delivery
from guard.simulator.xapi_events import EventLog
from guard.simulator.xapi_faults import Fault, Faults, take
from guard.simulator.xapi_records import Tables
from guard.simulator.xapi_wire import Record, Value, XapiError

__all__ = ["Fault", "XapiFace", "serve_xapi", "serving_xapi"]

LOOK_AGAIN = 0.1
"""Seconds after which a waiting ``event.from`` looks whether the world was changed by somebody else."""
LOOK_SHARE = 10
"""A look at a large pool takes time: the pause before the next one is at least so many times as long."""
XML_PATHS = frozenset({"", "/RPC2", "/xmlrpc"})
OPEN = frozenset({"system.listMethods"})
LOGINS = frozenset({"session.login_with_password", "session.slave_local_login_with_password"})


class XapiFace:
    """The ASGI application of one pool master."""

    def __init__(
        self,
        world: World,
        pool: XoObject,
        *,
        user: str = "root",
        password: str = "simulated-password",  # noqa: S107 - opens a simulation only
        slave_of: str = "",
    ) -> None:
        self.world = world
        self.pool = pool
        self.user = user
        self.password = password
        self.slave_of = slave_of
        self.role = "pool-admin"
        self.faults: Faults = {}
        self.calls: Counter[str] = Counter()
        self.sessions: dict[str, str] = {}
        """Reference -> originator of the client that signed in."""
        self.task_seconds = 0.001
        """How long an ``Async`` call takes."""
        self.tables = Tables(world, pool, {})
        self._calls = Calls(self.tables)
        self._events = EventLog(self.tables)
        self._delivery = Delivery(self.tables, self._calls, self._changed)
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._drop: Callable[[], None] = lambda: None
        self._on_sockets = False

    @property
    def extra(self) -> dict[str, Record]:
        """What only XAPI knows, by uuid; filled in place (``xapi_records``)."""
        return self.tables.extra

    def served_by(self, drop: Callable[[], None]) -> None:
        """Whoever serves gives what aborts every open connection."""
        self._drop = drop
        self._on_sockets = True

    def forget_sessions(self) -> None:
        self.sessions.clear()

    def _changed(self) -> None:
        """Wake every ``event.from`` that waits."""
        for loop, event in list(self._waiting):
            with suppress(RuntimeError):  # a loop that is closed waits for nothing
                loop.call_soon_threadsafe(event.set)

    # --- HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if not self._reachable():
            self._lose()
            await until_gone(receive)
            return
        request = Request(scope, receive)
        path = request.url.path.rstrip("/")
        if request.method == "POST" and path in XML_PATHS | {"/jsonrpc"}:
            body = await request.body()
            answer = await (self._json(body, receive) if path == "/jsonrpc" else self._xml(body, receive))
            if answer is not None:
                await answer(scope, receive, send)
        elif request.method == "GET" and path in {"/export_raw_vdi", "/export"}:
            await self._export(request, path, send)
        else:
            await Response("", 404)(scope, receive, send)

    def _reachable(self) -> bool:
        with self.world.turn():
            return self.world.live is None or self.world.live.pools.reachable(self.pool["id"])

    def _lose(self) -> None:
        """All connections break. Raises ConnectionResetError in memory, where there are none."""
        if not self._on_sockets:
            raise ConnectionResetError("the simulated pool master does not answer")
        self._drop()

    async def _xml(self, body: bytes, receive: Receive) -> Response | None:
        status, content = 200, b""
        try:
            method, params = wire.xml_call(body)
            answered = await self._answer(method, params, receive)
            if answered is None:
                return None
            status, value = answered
            content = wire.xml_success(value)
        except XapiError as error:
            content = wire.xml_failure(error)
        return Response(content if status == 200 else b"", status, {"content-type": wire.XML_TYPE})

    async def _json(self, body: bytes, receive: Receive) -> Response | None:
        status, content, identity = 200, b"", None
        try:
            identity, method, params = wire.json_call(body)
            answered = await self._answer(method, params, receive)
            if answered is None:
                return None
            status, value = answered
            content = wire.json_success(identity, value)
        except XapiError as error:
            content = wire.json_failure(identity, error)
        return Response(content if status == 200 else b"", status, {"content-type": wire.JSON_TYPE})

    # --- calls

    async def _answer(self, method: str, params: list[Value], receive: Receive) -> tuple[int, Value] | None:
        """(HTTP status, value); None when the client is gone. Raises XapiError."""
        plain = method.removeprefix("Async.")
        self.calls[plain] += 1
        fault = take(self.faults, plain)
        if plain != method and not (fault is not None and fault.status):
            with self.world.turn():
                return 200, self._begin(plain, self._signed_in(method, params), fault)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.hangs:
                await until_gone(receive)
                return None
            if fault.status:
                return fault.status, ""
            if fault.error:
                raise XapiError(*fault.error)
        if method == "event.from":
            with self.world.turn():
                args = self._signed_in(method, params)
            return await self._events_from(args, receive)
        with self.world.turn():
            value = self._now(method, params)
        self._changed()
        return 200, value

    def _now(self, method: str, params: list[Value]) -> Value:
        if method in OPEN:
            return self._calls.names()
        if method in LOGINS:
            return self._sign_in(params)
        args = self._signed_in(method, params)
        if method == "session.logout":
            del self.sessions[params[0]]
            return ""
        if method == "event.inject":
            return self._events.look()
        return self._calls.call(method, args)

    def _sign_in(self, params: list[Value]) -> str:
        user, password, _version, originator = (*params, "", "", "", "")[:4]
        if self.slave_of:
            raise XapiError("HOST_IS_SLAVE", self.slave_of)
        if (user, password) != (self.user, self.password):
            raise XapiError("SESSION_AUTHENTICATION_FAILED", str(user), "Authentication failure")
        session = wire.ref_of(self.world.new_id("session", self.pool["id"]))
        self.sessions[session] = str(originator)
        return session

    def _signed_in(self, method: str, params: list[Value]) -> list[Value]:
        """The parameters behind the session. Raises XapiError without a session, or one that may not do that."""
        if self.slave_of:
            raise XapiError("HOST_IS_SLAVE", self.slave_of)
        if not params:
            raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", method, "1", "0")
        if params[0] not in self.sessions:
            raise XapiError("SESSION_INVALID", str(params[0]))
        if self.role == "read-only" and not READING.search(method.removeprefix("Async.")):
            raise XapiError("RBAC_PERMISSION_DENIED", method, "No permission in user session")
        return params[1:]

    # --- Async

    def _begin(self, method: str, args: list[Value], fault: Fault | None) -> str:
        """Open the task of an ``Async`` call; the call is made a moment later."""
        task = wire.ref_of(self._calls.open_task(f"Async.{method}")["id"])
        running = asyncio.get_running_loop().create_task(self._finish(task, method, args, fault))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        self._changed()
        return task

    async def _finish(self, task: str, method: str, args: list[Value], fault: Fault | None) -> None:
        await asyncio.sleep(self.task_seconds + (fault.delay if fault is not None else 0))
        if fault is not None and fault.hangs:
            return
        with self.world.turn():
            try:
                value = self._call(method, args, fault)
            except XapiError as error:
                self._calls.end_task(task, error=error)
            else:
                self._calls.end_task(task, value)
        self._changed()

    def _call(self, method: str, args: list[Value], fault: Fault | None) -> Value:
        if fault is not None and fault.error:
            raise XapiError(*fault.error)
        return self._calls.call(method, args)

    # --- event.from

    async def _events_from(self, args: list[Value], receive: Receive) -> tuple[int, Value] | None:
        """Waits until something has changed or the time is over."""
        if len(args) != 3:
            raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", "event.from", "3", str(len(args)))
        classes, token, seconds = args
        loop = asyncio.get_running_loop()
        until = loop.time() + float(seconds)
        changed = asyncio.Event()
        self._waiting.add((loop, changed))
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            while not gone.done():
                if not self._reachable():
                    self._lose()
                    break
                changed.clear()
                begun = loop.time()
                with self.world.turn():
                    answer = self._events.since(classes, token)
                pause = max(LOOK_AGAIN, LOOK_SHARE * (loop.time() - begun))
                left = until - loop.time()
                if answer["events"] or left <= 0:
                    return 200, answer
                waiting = asyncio.ensure_future(changed.wait())
                await asyncio.wait({waiting, gone}, timeout=min(left, pause), return_when="FIRST_COMPLETED")
                waiting.cancel()
        finally:
            gone.cancel()
            self._waiting.discard((loop, changed))
        return None

    # --- exports

    async def _export(self, request: Request, path: str, send: Send) -> None:
        self.calls[f"{path}/"] += 1
        fault = take(self.faults, f"{path}/") or take(self.faults, path) or Fault()
        if request.query_params.get("session_id") not in self.sessions:
            await Response("", 401)(request.scope, request.receive, send)
            return
        await asyncio.sleep(fault.delay)
        if fault.hangs:
            await until_gone(request.receive)
        else:
            await self._delivery.answer(request, path, fault, send)


def serve_xapi(
    face: XapiFace, *, port: int = 0, certfile: str | None = None, keyfile: str | None = None
) -> AbstractAsyncContextManager[str]:
    """Serve on 127.0.0.1 and give the URL, ``https`` when a certificate is given. Port 0: any free one."""
    return serve(face, certfile=certfile, keyfile=keyfile, port=port)


def serving_xapi(
    face: XapiFace, *, certfile: str | None = None, keyfile: str | None = None
) -> AbstractContextManager[str]:
    """The same from code that is not asynchronous: serves in a thread of its own."""
    return serving(face, certfile=certfile, keyfile=keyfile)
