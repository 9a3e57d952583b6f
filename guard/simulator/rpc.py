"""XO's JSON-RPC API over a world: WebSocket at ``/api/`` as a real xo-server answers it (xo-api.md 1.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from guard.simulator.chain_report import chains_of, writable
from guard.simulator.faults import Cut, Dribble, Fault, Faults, HalfAnswer, Hang, Html, HttpStatus, RpcFailure
from guard.simulator.filters import FilterError, compile_filter
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

JsonValue = Any
ANY_PARAMETER = "*"
SERVER_ERROR = -32000  # any exception XO has no code for


class RpcError(Exception):
    """An error answer, with XO's code (packages/xo-common/api-errors.js) and data."""

    def __init__(self, code: int, message: str, data: JsonValue = None) -> None:
        super().__init__(message)
        self.body: XoObject = {"message": message, "code": code}
        if data is not None:
            self.body["data"] = data


@dataclass
class Session:
    """One socket and who signed in on it."""

    user: XoObject | None = None


@dataclass(frozen=True)
class Method:
    """``permission`` None: nobody need sign in; "": any user; else that permission. Optional parameters end with ?."""

    call: Callable[[Session, XoObject], JsonValue]
    permission: str | None = "admin"
    params: tuple[str, ...] = ()


class RpcApi:
    """The endpoint of one world. ``serve`` keeps one socket until the client leaves."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.methods = self._methods()

    # --- the socket

    async def serve(self, socket: WebSocket) -> None:
        await socket.receive()
        refusal = self.faults.take(socket.url.path)
        if isinstance(refusal, HttpStatus | Html | Cut):
            await socket.send_denial_response(_denial(refusal))
            return
        if socket.url.path != "/api/" or socket.url.query or isinstance(refusal, Hang):
            await socket.receive()  # XO never answers such a handshake; the client gives up
            return
        await socket.accept()
        session = Session()
        try:
            while True:
                await self._answer(socket, session, await socket.receive_text())
        except (WebSocketDisconnect, _ClosedError):
            return

    async def _answer(self, socket: WebSocket, session: Session, text: str) -> None:
        self.faults.count()
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = {}
        method = str(request.get("method", ""))
        fault = self.faults.take(method)
        answer: XoObject = {"jsonrpc": "2.0", "id": request.get("id")}
        if isinstance(fault, RpcFailure):
            answer["error"] = {"message": fault.message, "code": fault.code}
        else:
            try:
                answer["result"] = self.call(session, method, request.get("params") or {})
            except RpcError as error:
                answer["error"] = error.body
        await _send(socket, msgspec.json.encode(answer).decode(), fault, self.faults)
        if method.startswith("session.signIn") and "result" in answer:
            await self._notify(socket)

    async def _notify(self, socket: WebSocket) -> None:
        """XO tells every signed-in socket of every change; a pool that connects is one huge frame."""
        items: XoObject = {}
        if self.faults.announce:
            items = {item["id"]: item for item in self.world.visible_of_all_types()}
        if self.faults.notification_bytes:
            items["padding"] = {"id": "padding", "name_description": "x" * self.faults.notification_bytes}
        if items:
            frame = {"jsonrpc": "2.0", "method": "all", "params": {"type": "enter", "items": items}}
            await socket.send_text(msgspec.json.encode(frame).decode())

    # --- calls

    def call(self, session: Session, name: str, params: XoObject) -> JsonValue:
        """The result of one call. Raises RpcError."""
        method = self.methods.get(name)
        if method is None:
            raise RpcError(-32601, f"method not found: {name}", name)
        if method.permission is not None:
            granted = session.user is not None and method.permission in {"", session.user["permission"]}
            if not granted:
                raise RpcError(2, "not enough permissions", {"permission": method.permission, "object": {}})
        result = method.call(session, checked(params, method.params))
        return True if result is None else result

    def _methods(self) -> dict[str, Method]:
        world = self.world
        return {
            "backupNg.getAllJobs": Method(lambda _s, _p: self._jobs("backup")),
            "backupNg.getLogs": Method(lambda _s, p: self._logs(p), params=(ANY_PARAMETER,)),
            "job.getAll": Method(lambda _s, _p: list(world.call_jobs.values())),
            "metadataBackup.getAllJobs": Method(lambda _s, _p: self._jobs("metadataBackup")),
            "mirrorBackup.getAllJobs": Method(lambda _s, _p: self._jobs("mirrorBackup")),
            "proxy.getAll": Method(lambda _s, _p: list(world.proxies.values())),
            "remote.getAll": Method(lambda _s, _p: list(world.repositories.values())),
            "remote.getAllInfo": Method(lambda _s, _p: self._repository_info()),
            "schedule.getAll": Method(lambda _s, _p: list(world.schedules.values())),
            "schedule.set": Method(self._set_schedule, params=("id", "cron?", "enabled?", "name?", "timezone?")),
            "server.getAll": Method(lambda _s, _p: list(world.servers.values())),
            "session.getUser": Method(lambda session, _p: session.user, permission=None),
            "session.signIn": Method(self._sign_in, permission=None, params=("token",)),
            "sr.getAllUnhealthyVdiChainsLength": Method(lambda _s, _p: self._all_chains()),
            "sr.getVdiChainsInfo": Method(self._chains, params=("id",)),
            "system.getServerVersion": Method(lambda _s, _p: world.version, permission=None),
            "system.listMethods": Method(lambda _s, _p: sorted(self.methods), permission=None),
            "xo.getAllObjects": Method(self._objects, permission="", params=("filter?", "limit?")),
        }

    def _jobs(self, kind: str) -> list[XoObject]:
        return [job for job in self.world.jobs.values() if job["type"] == kind]

    def _sign_in(self, session: Session, params: XoObject) -> JsonValue:
        user_id = None if self.faults.boot_window else self.world.tokens.get(params["token"])
        if user_id is None:
            raise RpcError(3, "invalid credentials")
        session.user = self.world.users[user_id]
        return session.user

    def _repository_info(self) -> XoObject:
        """A disabled repository loses its entry; one that fails keeps its last good figures."""
        enabled = {identity for identity, found in self.world.repositories.items() if found["enabled"]}
        return {identity: info for identity, info in self.world.repository_info.items() if identity in enabled}

    def _set_schedule(self, _session: Session, params: XoObject) -> None:
        schedule = self.world.schedules.get(params["id"])
        if schedule is None:
            raise RpcError(1, f"no such schedule {params['id']}", {"id": params["id"], "type": "schedule"})
        schedule |= params

    def _all_chains(self) -> XoObject:
        return {sr["id"]: chains_of(self.world, sr) for sr in self.world.visible("SR") if writable(sr)}

    def _chains(self, _session: Session, params: XoObject) -> XoObject:
        sr = self.world.find("SR", params["id"])
        if sr is None:
            raise RpcError(1, f"no such object {params['id']}", {"id": params["id"], "type": ["SR"]})
        return chains_of(self.world, sr)

    def _logs(self, params: XoObject) -> list[XoObject]:
        """``limit`` keeps the newest; ``after`` and ``before`` bound the start (ms); anything else must be equal."""
        bounds = {"after", "before", "limit", "_forceRefresh"}
        wanted = {key: value for key, value in params.items() if key not in bounds}
        after, before = params.get("after", 0), params.get("before", float("inf"))
        found = [
            log
            for log in sorted(self.world.logs.values(), key=lambda log: log["start"])
            if after < log["start"] < before and all(log.get(key) == value for key, value in wanted.items())
        ]
        return found[-params["limit"] :] if params.get("limit") else found

    def _objects(self, _session: Session, params: XoObject) -> XoObject:
        """A text is a filter; an object has to match as it stands, operators like ``__or`` mean nothing in it."""
        wanted = params.get("filter")
        found = self.world.visible_of_all_types()
        if isinstance(wanted, dict):
            if isinstance(wanted.get("type"), str):
                found = self.world.visible(wanted["type"])
            found = (item for item in found if is_part(wanted, item))
        elif wanted:
            try:
                found = filter(compile_filter(wanted), found)
            except FilterError as error:
                data = {"message": str(error), "name": "Error", "stack": ""}
                raise RpcError(SERVER_ERROR, str(error), data) from None
        kept = {item["id"]: item for item in found}
        return dict(list(kept.items())[: params["limit"]]) if "limit" in params else kept


class _ClosedError(Exception):
    """The socket was closed from this side."""


def checked(params: Mapping[str, JsonValue], declared: tuple[str, ...]) -> XoObject:
    """The parameters a method knows; unknown ones are refused unless their name ends with a question mark."""
    if ANY_PARAMETER in declared:
        return dict(params)
    known = {name.rstrip("?") for name in declared}
    errors = [
        {
            "instancePath": "",
            "schemaPath": "#/additionalProperties",
            "keyword": "additionalProperties",
            "params": {"additionalProperty": name},
            "message": "must NOT have additional properties",
        }
        for name in params
        if name.rstrip("?") not in known and not name.endswith("?")
    ]
    given = {name.rstrip("?"): value for name, value in params.items() if name.rstrip("?") in known}
    errors += [
        {
            "instancePath": "",
            "schemaPath": "#/required",
            "keyword": "required",
            "params": {"missingProperty": name},
            "message": f"must have required property '{name}'",
        }
        for name in declared
        if not name.endswith("?") and name not in given
    ]
    if errors:
        raise RpcError(10, "invalid parameters", {"errors": errors})
    return given


def is_part(wanted: JsonValue, found: JsonValue) -> bool:
    """Every key of an object, however deep, is there with an equal value."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and is_part(wanted[key], found[key]) for key in wanted)
    return bool(wanted == found)


def _denial(fault: HttpStatus | Html | Cut) -> PlainTextResponse:
    """The answer to a handshake that is not taken up."""
    return PlainTextResponse("planted fault", 502 if isinstance(fault, Cut) else fault.status)


async def _send(socket: WebSocket, text: str, fault: Fault | None, faults: Faults) -> None:
    match fault:
        case Hang():
            return
        case Cut():
            faults.drop()
            raise _ClosedError
        case HalfAnswer():
            await socket.send_text(text[: len(text) // 2])
        case Html() | HttpStatus():
            await socket.send_text("<html><body>planted fault</body></html>")
        case Dribble(_, pause):
            await asyncio.sleep(pause)
            await socket.send_text(text)
        case _:
            await socket.send_text(text)
