"""XO without sockets: guard's own reading and writing, answered in memory by the simulator's two handlers."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

import msgspec
from guard.daemon.workaround import with_workaround
from guard.errors import XoAnswerError, XoError, XoNotSentError, XoTimeoutError, XoUnreachableError
from guard.http import refused
from guard.policy.remedies_schema import RemediesSection
from guard.simulator.answers import json_response
from guard.simulator.calls import Call
from guard.simulator.faults import Faults
from guard.simulator.jobs import Run
from guard.simulator.live import Live
from guard.simulator.rest import RestApi, shape_rows
from guard.simulator.rpc import RpcApi
from guard.simulator.rpc_protocol import RpcError, Session
from guard.simulator.rpc_writes import error_of
from guard.xo.client import XoSettings, _Reading
from guard.xo.rpc import _typed
from guard.xo.token import Token
from guard.xo.writes import WritingXo, _sent
from starlette.requests import Request

URL = "http://simulated.example"
TOKEN = "simulated-token"
_ONE_LOG = re.compile(r"id:/\^([^$]+)\$/")


class InProcess(WritingXo):
    """guard.gate.ports.GateXo. Where the world's XO is down, boots or refuses, guard's own errors are raised.

    ``outage``: an error that every reading meets, None for none. ``calls``: how often each was asked for. ``clock``: the
    reader's own, the world's unless told. ``lose`` is asked before each write, by its name, what becomes of it: ``lost``
    (done, and the answer lost), ``unsent``, ``refused``, ``hang`` (neither done nor answered), or "" for nothing.
    """

    def __init__(self, live: Live, clock: Callable[[], datetime] | None = None) -> None:
        super().__init__(lambda: XoSettings(url=URL), lambda: Token(TOKEN), clock=clock or live.now)
        self.live = live
        self.outage: XoError | None = None
        self.lose: Callable[[str], str] = lambda _name: ""
        self.calls: Counter[str] = Counter()
        self.remedies = RemediesSection()
        self.rest, self.rpc = LogsById(live.world), RpcApi(live.world, Faults())

    # --- readings

    async def estate(self):
        self.calls["estate"] += 1
        estate = await _Reading(self._settings(), _Rest(self), _Calls(self), self._clock).estate(Token(TOKEN))
        return await with_workaround(self.with_observations(estate), self.remedies, self._clock)

    async def setup(self):
        self.calls["setup"] += 1
        return await super().setup()

    async def logs(self, since, done):
        self.calls["logs"] += 1
        return await super().logs(since, done)

    async def rolling_updates(self):
        self.calls["rolling_updates"] += 1
        return await super().rolling_updates()

    async def schedule(self, identity):
        self.calls["schedule"] += 1
        return await super().schedule(identity)

    async def fallbacks(self):
        self.calls["fallbacks"] += 1
        return await super().fallbacks()

    async def runs_of(self, job_id, since):
        self.calls["runs_of"] += 1
        return await super().runs_of(job_id, since)

    # --- writes

    async def set_enabled(self, identity, enabled):
        await self._write("set_enabled", partial(super().set_enabled, identity, enabled))

    async def put_fallback(self, fallback):
        await self._write("put_fallback", partial(super().put_fallback, fallback))

    async def move_fallback(self, job_id, cron):
        await self._write("move_fallback", partial(super().move_fallback, job_id, cron))

    async def drop_fallback(self, job_id):
        await self._write("drop_fallback", partial(super().drop_fallback, job_id))

    async def start(self, job_id, job_type, schedule_id, vms, known, *, settings=None):
        call = partial(super().start, job_id, job_type, schedule_id, vms, known, settings=settings)
        return await self._write("start", call)

    async def run_sequence(self, schedule_ids, known):
        return await self._write("run_sequence", partial(super().run_sequence, schedule_ids, known))

    async def scan_sr(self, sr_id, **limit):
        await self._write("scan_sr", partial(super().scan_sr, sr_id, **limit))

    async def connect_server(self, server_id, **limit):
        await self._write("connect_server", partial(super().connect_server, server_id, **limit))

    async def plug_pbd(self, pbd_id, **limit):
        await self._write("plug_pbd", partial(super().plug_pbd, pbd_id, **limit))

    async def test_repository(self, repository_id, *, limit_s):
        return await self._write("test_repository", partial(super().test_repository, repository_id, limit_s=limit_s))

    async def _write(self, name, write):
        self.calls[name] += 1
        try:
            self.check_way()
        except XoError as error:
            raise XoNotSentError(f"Nothing was sent to XO: {error}") from error
        match self.lose(name):
            case "unsent":
                raise XoNotSentError(f"Nothing was sent to XO: {name} was lost on its way")
            case "refused":
                raise XoAnswerError(f"XO refuses {name}")
            case "hang":
                raise XoTimeoutError(f"XO did not answer {name} within 30 s")
            case "lost":
                await write()
                raise XoTimeoutError(f"XO did not answer {name} within 30 s")
            case _:
                return await write()

    # --- the way

    def _http(self, settings, token):
        @asynccontextmanager
        async def opened():
            yield _Rest(self)

        return opened()

    @asynccontextmanager
    async def _signed_in(self, settings, token):
        calls = _Calls(self)
        await calls.call("session.signIn", {"token": TOKEN})
        yield calls

    async def _begun(self, rpc, http, method, params, jobs, known):
        """Nobody waits for a run here: it has begun when the call returns."""
        run_id = msgspec.json.decode(await _sent(rpc, method, params))
        shown = self.live.world.jobs.get(jobs[0], {}).get("runId", "")  # of a sequence, which has no run id itself
        return run_id or (shown if shown not in known else "")

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


async def over(work: Call) -> None:
    """Until the world has gone on so far; whoever drives it does that meanwhile."""
    ended = asyncio.get_running_loop().create_future()
    work.on_end(lambda: ended.done() or ended.set_result(None))
    await ended


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
    """In place of guard.xo.rpc.Rpc. A run that a call began is answered with its id, '' for a sequence's."""

    def __init__(self, xo: InProcess) -> None:
        self._xo, self._session = xo, Session()

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        self._xo.check_way()
        work: Call | None = None
        try:
            with self._xo.live.world.turn():
                result = self._xo.rpc.call(self._session, method, params or {})
                if isinstance(result, Call):
                    work = result
                elif isinstance(result, Run):
                    if result.error is not None:
                        raise error_of(result.error)
                    result = result.log.get("id", "")
                if work is None:
                    return msgspec.Raw(msgspec.json.encode(result))
            await over(work)
            if work.error is not None:
                raise error_of(work.error)
            return msgspec.Raw(msgspec.json.encode(work.result))
        except RpcError as error:
            raise _typed(method, error.body, hidden=None) from error


class LogsById(RestApi):
    """The simulator's REST face; logs asked for by id are looked up, where its filter tries every id on every log."""

    def _list(self, request, collection, accepts):
        wanted = set(_ONE_LOG.findall(request.query_params.get("filter", "")))
        if collection != "backup-logs" or not wanted:
            return super()._list(request, collection, accepts)
        self._user(request)
        found = sorted((log for log in self.world.shown_logs() if log["id"] in wanted), key=lambda log: log["start"])
        return json_response(list(shape_rows(found, request, collection)), accepts)
