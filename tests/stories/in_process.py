"""XO without sockets: guard's own reading of a living world, answered in memory by the simulator's two handlers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from guard.errors import XoAnswerError, XoError, XoTimeoutError, XoUnreachableError
from guard.estate.xo_records import CallJob
from guard.http import refused
from guard.simulator.answers import json_response
from guard.simulator.faults import Faults
from guard.simulator.live import Live
from guard.simulator.rest import RestApi, shape_rows
from guard.simulator.rpc import RpcApi
from guard.simulator.rpc_protocol import RpcError, Session
from guard.xo import reads
from guard.xo.client import XoSettings, _Reading
from guard.xo.live import LiveXo
from guard.xo.rpc import _typed
from guard.xo.token import Token
from starlette.requests import Request

URL = "http://simulated.example"
TOKEN = "simulated-token"
_ONE_LOG = re.compile(r"id:/\^([^$]+)\$/")


class InProcess(LiveXo):
    """guard.gate.ports.XoReads. Where the world's XO is down, boots or refuses, guard's own errors are raised.

    ``outage``: an error that every reading meets, None for none. ``calls``: how often each was asked for. ``clock``: the
    reader's own, the world's unless told.
    """

    def __init__(self, live: Live, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__(lambda: XoSettings(url=URL), lambda: Token(TOKEN), clock=clock or live.now)
        self.live = live
        self.outage: XoError | None = None
        self.calls: Counter[str] = Counter()
        self.rest, self.rpc = LogsById(live.world), RpcApi(live.world, Faults())

    async def estate(self):
        self.calls["estate"] += 1
        return await _Reading(self._settings(), _Rest(self), _Calls(self), self._clock).estate(Token(TOKEN))

    async def setup(self):
        self.calls["setup"] += 1
        return await super().setup()

    async def logs(self, since, done):
        self.calls["logs"] += 1
        return await super().logs(since, done)

    def _http(self, settings, token):
        @asynccontextmanager
        async def opened():
            yield _Rest(self)

        return opened()

    async def _call_jobs(self, settings, token):
        calls = _Calls(self)
        await calls.call("session.signIn", {"token": TOKEN})
        return reads.decode_list(bytes(await calls.call("job.getAll")), CallJob)

    def check_way(self) -> None:
        """Raises what a client of a dead XO sees."""
        if self.outage is not None:
            raise self.outage
        if self.live.down == "hangs":
            raise XoTimeoutError("XO did not answer within 30 s")
        if self.live.down:
            raise XoUnreachableError(f"No XO answers at {URL}")


class _Rest:
    """In place of guard.http.Http."""

    def __init__(self, xo: InProcess) -> None:
        self._xo = xo

    async def get(self, path: str, params: dict[str, str] | None = None) -> bytes:
        self._xo.check_way()
        answer = await self._xo.rest.handle(asked(path, params))
        if answer.status_code == 401:
            raise refused(URL)
        if answer.status_code != 200:
            raise XoAnswerError(f"XO answered GET {path} with {answer.status_code}", status=answer.status_code)
        return bytes(answer.body)


def asked(path: str, params: dict[str, str] | None = None) -> Request:
    """A GET with a good token."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": urlencode(params or {}).encode(),
        "headers": [(b"cookie", f"authenticationToken={TOKEN}".encode())],
    }
    return Request(scope)


class _Calls:
    """In place of guard.xo.rpc.Rpc."""

    def __init__(self, xo: InProcess) -> None:
        self._xo, self._session = xo, Session()

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        self._xo.check_way()
        try:
            with self._xo.live.world.turn():
                return msgspec.Raw(msgspec.json.encode(self._xo.rpc.call(self._session, method, params or {})))
        except RpcError as error:
            raise _typed(method, error.body) from error


class LogsById(RestApi):
    """The simulator's REST face; logs asked for by id are looked up, where its filter tries every id on every log."""

    def _list(self, request, collection, accepts):
        wanted = set(_ONE_LOG.findall(request.query_params.get("filter", "")))
        if collection != "backup-logs" or not wanted:
            return super()._list(request, collection, accepts)
        self._user(request)
        found = sorted((log for log in self.world.shown_logs() if log["id"] in wanted), key=lambda log: log["start"])
        return json_response(list(shape_rows(found, request, collection)), accepts)
