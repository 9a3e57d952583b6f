"""Planted faults: what a network, a proxy or a restarting xo-server does to a client.

A fault is planted at an HTTP path (``/rest/v0/vms``) or a JSON-RPC method (``remote.getAllInfo``)::

    faults = Faults()
    faults.plant("/rest/v0/vms", HalfAnswer(), times=1)
    faults.plant("remote.getAllInfo", RpcFailure(-32000, "no handler"))
    faults.boot_window = True                                     # /ping answers, every credential is refused
    faults.after(5, faults.drop_connections)                      # a restart in the middle
    faults.after(3, lambda: world.disconnect(server, "connecting"))   # empty lists from the fourth request on
    faults.notification_bytes = 20_000_000                        # one huge frame nobody asked for, after sign-in
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guard.simulator.answers import RestError, json_response, unauthenticated

OPEN_PATHS = frozenset({"/rest/v0/ping", "/rest/v0/docs/swagger.json"})


@dataclass(frozen=True)
class HttpStatus:
    """An error instead of the answer, with XO's JSON body."""

    status: int
    message: str = "planted fault"


@dataclass(frozen=True)
class Html:
    """A web page instead of JSON: a proxy's error page or a login form."""

    status: int = 200


@dataclass(frozen=True)
class HalfAnswer:
    """The connection is cut in the middle of the body; on JSON-RPC half a frame's text."""


@dataclass(frozen=True)
class Hang:
    """No answer, for as long as the client waits."""


@dataclass(frozen=True)
class Cut:
    """The connection is dropped before any answer."""


@dataclass(frozen=True)
class Dribble:
    """The answer in pieces of ``size`` bytes with ``pause`` seconds between them."""

    size: int = 16
    pause: float = 0.05


@dataclass(frozen=True)
class RpcFailure:
    """A JSON-RPC error instead of the result."""

    code: int
    message: str = "planted fault"


Fault = HttpStatus | Html | HalfAnswer | Hang | Cut | Dribble | RpcFailure


@dataclass
class _Planted:
    fault: Fault
    skip: int
    times: int | None


@dataclass
class Faults:
    """What shall go wrong, and where. ``requests`` counts HTTP requests and JSON-RPC calls together."""

    boot_window: bool = False
    announce: bool = False
    """Send every signed-in socket all objects at once, as XO does when a pool connects."""
    notification_bytes: int = 0
    requests: int = 0
    drop: Callable[[], None] = field(default=lambda: None, repr=False)
    """Aborts every open connection; set by whoever serves."""
    on_sockets: bool = False
    """Whether there are sockets to abort; in memory a lost connection is an exception."""
    _planted: dict[str, _Planted] = field(default_factory=dict)
    _actions: dict[int, Callable[[], None]] = field(default_factory=dict)

    def plant(self, where: str, fault: Fault, *, times: int | None = None, skip: int = 0) -> None:
        """Plant a fault, for ``times`` requests (None: for good) after letting ``skip`` of them pass."""
        self._planted[where] = _Planted(fault, skip, times)

    def lift(self, where: str) -> None:
        self._planted.pop(where, None)

    def after(self, requests: int, action: Callable[[], None]) -> None:
        """Do something when the request after the next ``requests`` ones arrives."""
        self._actions[self.requests + requests + 1] = action

    def drop_connections(self) -> None:
        self.drop()

    async def refuse(self, receive: Receive) -> None:
        """Nobody listens: the connection is cut before any answer. Raises ConnectionResetError in memory."""
        if not self.on_sockets:
            raise ConnectionResetError("the simulated xo-server is not running")
        self.drop()
        await until_gone(receive)

    def count(self) -> None:
        self.requests += 1
        action = self._actions.pop(self.requests, None)
        if action is not None:
            action()

    def take(self, where: str) -> Fault | None:
        """The fault that is due at this place now."""
        planted = self._planted.get(where)
        if planted is None:
            return None
        if planted.skip:
            planted.skip -= 1
            return None
        if planted.times is not None:
            planted.times -= 1
            if planted.times <= 0:
                self.lift(where)
        return planted.fault


class FaultyHttp:
    """Stands between the server and the simulator and spoils HTTP answers as planted."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.faults.count()
        fault = self.faults.take(scope["path"])
        if fault is None and self.faults.boot_window and scope["path"] not in OPEN_PATHS:
            error = unauthenticated()
            await json_response(error.body, "", error.status, error.headers)(scope, receive, send)
            return
        match fault:
            case HttpStatus(status, message):
                await json_response(RestError(status, message).body, "", status)(scope, receive, send)
            case Html(status):
                page = "<!DOCTYPE html>\n<html><body><h1>Sign in</h1></body></html>\n"
                await HTMLResponse(page, status)(scope, receive, send)
            case Hang():
                await until_gone(receive)
            case Cut():
                self.faults.drop()
                await until_gone(receive)
            case HalfAnswer() | Dribble():
                await self._spoil_body(fault, scope, receive, send)
            case _:
                await self.app(scope, receive, send)

    async def _spoil_body(self, fault: HalfAnswer | Dribble, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, collect)
        body = b"".join(message.get("body", b"") for message in messages)
        await send(messages[0])
        if isinstance(fault, HalfAnswer):
            # leaving with more to come makes the server close the connection short of the promised length
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            return
        for start in range(0, len(body), fault.size):
            await send({"type": "http.response.body", "body": body[start : start + fault.size], "more_body": True})
            await asyncio.sleep(fault.pause)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def until_gone(receive: Receive) -> None:
    """As long as the client waits."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass
