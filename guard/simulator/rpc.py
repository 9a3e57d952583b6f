"""XO's JSON-RPC API over a world: WebSocket at ``/api/`` as a real xo-server answers it (xo-api.md 1.3)."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from guard.simulator.chain_report import chains_of, writable
from guard.simulator.faults import Cut, Dribble, Fault, Faults, HalfAnswer, Hang, Html, HttpStatus, RpcFailure
from guard.simulator.filters import FilterError, compile_filter
from guard.simulator.jobs import Run
from guard.simulator.rpc_protocol import (
    ANY_PARAMETER,
    SERVER_ERROR,
    JsonValue,
    Method,
    RpcError,
    Session,
    checked,
    is_part,
    looks_like_a_read,
)
from guard.simulator.rpc_remedies import RpcRemedies
from guard.simulator.rpc_writes import RpcWrites, error_of
from guard.simulator.shapes import XoObject
from guard.simulator.tokens import RpcTokens, is_over, user_of
from guard.simulator.waiting import awaited
from guard.simulator.world import World


class RpcApi:
    """The endpoint of one world. ``serve`` keeps one socket until the client leaves."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.methods = self._methods() | RpcWrites(world).methods() | RpcRemedies(world).methods()
        self.methods |= RpcTokens(world).methods()
        self._sessions: set[Session] = set()

    def drop(self) -> None:
        """xo-server goes away: every socket ends. What was asked for on it is lost; what runs goes its own way."""
        for session in self._sessions:
            session.gone.set()

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
        self._sessions.add(session)
        later: set[asyncio.Task[None]] = set()
        try:
            while (text := await _next_text(socket, session)) is not None:
                if is_over(self.world, session.token):
                    await socket.close()  # XO looks at it when the next message comes
                    return
                waiting = await self._answer(socket, session, text)
                if waiting is not None:
                    later.add(waiting)
                    waiting.add_done_callback(later.discard)
        except (WebSocketDisconnect, _ClosedError):
            return
        finally:
            self._sessions.discard(session)
            for waiting in later:
                waiting.cancel()

    async def _answer(self, socket: WebSocket, session: Session, text: str) -> asyncio.Task[None] | None:
        """Answer now; or, for a call that blocks until a run ends, a task that answers then."""
        self.faults.count()
        try:
            request = msgspec.json.decode(text)
        except msgspec.DecodeError:
            request = {}
        method = str(request.get("method", ""))
        fault = self.faults.take(method)
        answer: XoObject = {"jsonrpc": "2.0", "id": request.get("id")}
        with self.world.turn():
            if self.world.live is not None and self.world.live.down:
                return None  # it takes the message and does nothing with it
            answer |= self._outcome(session, method, request.get("params") or {}, fault)
            if isinstance(answer.get("result"), Run):
                if isinstance(fault, Cut):  # an answer this late is lost long before the run ends
                    self.faults.drop()
                    raise _ClosedError
                ended = _end_of(answer["result"])
                return asyncio.create_task(self._answer_at_end(socket, answer, ended, fault))
            encoded = msgspec.json.encode(answer).decode()
        await _send(socket, encoded, fault, self.faults)
        if method.startswith("session.signIn") and "result" in answer:
            await self._notify(socket)
        return None

    def _outcome(self, session: Session, method: str, params: XoObject, fault: Fault | None) -> XoObject:
        """``result`` or ``error``."""
        if isinstance(fault, RpcFailure):
            return {"error": {"message": fault.message, "code": fault.code}}
        try:
            return {"result": self.call(session, method, params)}
        except RpcError as error:
            return {"error": error.body}

    async def _answer_at_end(
        self, socket: WebSocket, answer: XoObject, ended: asyncio.Future[None], fault: Fault | None
    ) -> None:
        run: Run = answer.pop("result")
        await ended
        answer |= {"result": run.result} if run.error is None else {"error": error_of(run.error).body}
        with suppress(_ClosedError, WebSocketDisconnect, RuntimeError):  # the client may have left
            await _send(socket, msgspec.json.encode(answer).decode(), fault, self.faults)

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
        if method is None and not looks_like_a_read(name):
            self.world.record_write("rpc", name, params, None if session.user is None else session.user["id"])
        if method is None:
            raise RpcError(-32601, f"method not found: {name}", name)
        if method.permission is not None:
            granted = session.user is not None and method.permission in {"", session.user["permission"]}
            if not granted:
                raise RpcError(2, "not enough permissions", {"permission": method.permission, "object": {}})
        given = checked(params, method.params)
        if method.writes:
            self.world.record_write("rpc", name, given, None if session.user is None else session.user["id"])
        result = method.call(session, given)
        return True if result is None else result

    def _methods(self) -> dict[str, Method]:
        world = self.world
        return {
            "backupNg.getAllJobs": Method(lambda _s, _p: self._jobs("backup")),
            "backupNg.getLogs": Method(lambda _s, p: self._logs(p), params=(ANY_PARAMETER,)),
            "job.getAll": Method(lambda _s, _p: list(world.call_jobs.values())),
            "metadataBackup.getAllJobs": Method(lambda _s, _p: self._jobs("metadataBackup")),
            "mirrorBackup.getAllJobs": Method(lambda _s, _p: self._jobs("mirrorBackup")),
            "proxy.checkHealth": Method(self._proxy_health, params=("id",)),
            "proxy.getAll": Method(lambda _s, _p: list(world.proxies.values())),
            "remote.getAll": Method(lambda _s, _p: list(world.repositories.values())),
            "remote.getAllInfo": Method(lambda _s, _p: self._repository_info()),
            "schedule.getAll": Method(lambda _s, _p: list(world.schedules.values())),
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
        user_id = None if self.faults.boot_window else user_of(self.world, params["token"])
        if user_id is None or self.world.refuses_once():
            raise RpcError(3, "invalid credentials")
        session.user, session.token = self.world.users[user_id], params["token"]
        return session.user

    def _proxy_health(self, _session: Session, params: XoObject) -> XoObject:
        proxy = self.world.proxies.get(params["id"])
        if proxy is None:
            raise RpcError(1, f"no such proxy {params['id']}", {"id": params["id"], "type": "proxy"})
        return {"success": True} if "version" in proxy else {"success": False, "error": {"message": "fetch failed"}}

    def _repository_info(self) -> XoObject:
        """A disabled repository loses its entry; one that fails keeps its last good figures."""
        enabled = {identity for identity, found in self.world.repositories.items() if found["enabled"]}
        return {identity: info for identity, info in self.world.repository_info.items() if identity in enabled}

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
            for log in sorted(
                self.world.shown_logs(refresh=bool(params.get("_forceRefresh"))), key=lambda log: log["start"]
            )
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


async def _next_text(socket: WebSocket, session: Session) -> str | None:
    """The next message, or None when xo-server has gone away."""
    receiving = asyncio.create_task(socket.receive_text())
    going = asyncio.create_task(session.gone.wait())
    try:
        await asyncio.wait({receiving, going}, return_when=asyncio.FIRST_COMPLETED)
        return None if going.done() else await receiving
    finally:
        for task in (receiving, going):
            task.cancel()


def _end_of(run: Run) -> asyncio.Future[None]:
    """Done when the run has ended, whichever thread lets it end."""
    future, tell = awaited()
    run.on_end(tell)
    return future


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
