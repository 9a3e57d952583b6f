"""XO as the daemon reads it, look by look. Every call opens what it needs and closes it again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from guard.errors import XoAnswerError, XoTimeoutError
from guard.estate.estate import Estate, Part, PartName, XoIdentity
from guard.estate.observations import Observations
from guard.estate.xo_records import BackupLog, CallJob, Job, Record, Schedule, Server, XoTask
from guard.http import Http, tls_context
from guard.mechanics.coalescing import observe
from guard.meter import Meter
from guard.xo import reads
from guard.xo.client import XoSettings, read_estate
from guard.xo.rpc import Rpc
from guard.xo.token import Token


class LiveXo:
    """One XO. ``token_of`` reads the token anew for each look, so that a renewed one is used at once."""

    def __init__(
        self,
        settings: Callable[[], XoSettings],
        token_of: Callable[[], Token],
        *,
        clock: Callable[[], datetime],
        meter: Meter | None = None,
    ) -> None:
        self._settings, self._token_of, self._clock, self._meter = settings, token_of, clock, meter
        self._tls: tuple[tuple[Path | None, bool], ssl.SSLContext] | None = None
        self._observed: Observations | None = None

    async def estate(self) -> Estate:
        """Everything, and what guard has seen of coalesces from one such look to the next. Raises XoError."""
        settings = self._settings()
        estate = await read_estate(
            settings, self._token_of(), clock=self._clock, tls=self._context(settings), meter=self._meter
        )
        return await asyncio.to_thread(self.with_observations, estate)

    def with_observations(self, estate: Estate) -> Estate:
        """The estate, with what guard has seen of coalesces up to it."""
        now = self._clock()
        self._observed = observe(self._observed, estate, now)
        if self._observed is None:
            return estate
        part = Part(name=PartName.OBSERVATIONS, source="guard's own looks", read_at=now)
        return replace(estate, observations=self._observed, parts={**estate.parts, part.name: part})

    @property
    def observed(self) -> Observations | None:
        """What guard has seen of coalesces up to the last whole reading; None before it."""
        return self._observed

    def adopt(self, observed: Observations) -> None:
        """Go on from what an earlier guard has seen; before the first reading.

        Since when the next merge was under way nobody can tell any more: how long it took is no measure of a rate.
        """
        self._observed = msgspec.structs.replace(observed, begun={})

    async def setup(self) -> Estate:
        """Schedules, jobs, servers and call jobs, ``taken_at`` by XO's own clock (``GET /ping``, without a login).

        Raises XoError, also when one of them cannot be read.
        """
        settings, token, now = self._settings(), self._token_of(), self._clock()
        calls: tuple[CallJob, ...] = ()
        async with _bounded(settings), self._http(settings, token) as http:
            schedules = await read_list(http, "schedules", Schedule)
            jobs = await read_list(http, "backup-jobs", Job)
            servers = await read_list(http, "servers", Server)
            known = {job.id for job in jobs}
            if any(schedule.job_id not in known for schedule in schedules):
                calls = await self._call_jobs(settings, token)
            xo_at = _time_of(await http.get("/rest/v0/ping"))  # last, so that no slow answer lies between it and now
        parts = {
            name: Part(name=name, source=source, read_at=now)
            for name, source in (
                (PartName.SCHEDULES, "GET /rest/v0/schedules"),
                (PartName.JOBS, "GET /rest/v0/backup-jobs"),
                (PartName.SERVERS, "GET /rest/v0/servers"),
                (PartName.CALL_JOBS, "job.getAll"),
            )
        }
        return Estate(
            xo=XoIdentity(url=settings.url, version="", admin=True),
            taken_at=xo_at,
            parts=parts,
            schedules=schedules,
            jobs=jobs,
            servers=servers,
            call_jobs=calls,
        )

    async def logs(self, since: datetime, done: Collection[str]) -> tuple[BackupLog, ...]:
        """The runs that began at ``since`` or later; with their tasks, but for those in ``done``. Raises XoError."""
        settings = self._settings()
        async with _bounded(settings), self._http(settings, self._token_of()) as http:
            after = f"start:>{int(since.timestamp() * 1000)}"
            short = await read_list(http, "backup-logs", BackupLog, fields=reads.LOG_FIELDS, filter=after)
            whole: dict[str, BackupLog] = {}
            for one in reads.id_filters(log.id for log in short if log.id not in done):
                whole |= {log.id: log for log in await read_list(http, "backup-logs", BackupLog, filter=one)}
        return tuple(whole.get(log.id, log) for log in short)

    async def rolling_updates(self) -> bool:
        """Whether XO updates or reboots a pool host by host: meanwhile it has switched schedules off by itself, and
        writes them back as it found them. Costs XO much (it goes through all its tasks). Raises XoError.
        """
        settings = self._settings()
        async with _bounded(settings), self._http(settings, self._token_of()) as http:
            tasks = await read_list(http, "tasks", XoTask, filter="status:pending")
        return any(task.status == "pending" and task.is_rolling for task in tasks)

    async def _call_jobs(self, settings: XoSettings, token: Token) -> tuple[CallJob, ...]:
        async with self._signed_in(settings, token) as rpc:
            answer = bytes(await rpc.call("job.getAll"))
        return decoded(answer, CallJob, "job.getAll")

    @asynccontextmanager
    async def _signed_in(self, settings: XoSettings, token: Token) -> AsyncIterator[Rpc]:
        """A socket on which XO knows guard, for as long as it is needed. Raises XoError."""
        async with Rpc(
            settings.url,
            tls=self._context(settings),
            timeout_s=settings.call_timeout_s,
            server_name=settings.server_name,
            meter=self._meter,
        ) as rpc:
            await rpc.call("session.signIn", {"token": token.reveal()})
            yield rpc

    def _http(self, settings: XoSettings, token: Token) -> Http:
        return Http(
            settings.url,
            token.reveal,
            tls=self._context(settings),
            timeout_s=settings.call_timeout_s,
            server_name=settings.server_name,
            meter=self._meter,
        )

    def _context(self, settings: XoSettings) -> ssl.SSLContext:
        """Made once for what it depends on: reading the system's CAs takes longer than a whole look."""
        wanted = settings.ca_file, settings.verify
        if self._tls is None or self._tls[0] != wanted:
            self._tls = wanted, tls_context(settings.ca_file, verify=settings.verify)
        return self._tls[1]


class _Pong(msgspec.Struct, frozen=True):
    """``timestamp``: ms since the epoch."""

    timestamp: int


@asynccontextmanager
async def _bounded(settings: XoSettings) -> AsyncIterator[None]:
    """The total time of one look."""
    try:
        async with asyncio.timeout(settings.total_timeout_s):
            yield
    except TimeoutError as error:
        raise XoTimeoutError(f"Reading XO took longer than {settings.total_timeout_s:g} s") from error


async def read_list(http: Http, collection: str, record: type[Record], **more: str) -> tuple[Any, ...]:
    """A REST collection as records, with the fields they hold. ``more``: other parameters. Raises XoError."""
    body = await http.get(f"/rest/v0/{collection}", {"fields": reads.fields_of(record), **more})
    return decoded(body, record, f"GET /rest/v0/{collection}")


def _time_of(body: bytes) -> datetime:
    try:
        return datetime.fromtimestamp(msgspec.json.decode(body, type=_Pong).timestamp / 1000, UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError) as error:
        raise XoAnswerError(f"XO's answer to GET /rest/v0/ping has not the expected shape: {error}") from error


def decoded(body: bytes, record: type[Record], source: str) -> tuple[Any, ...]:
    """A JSON list as records. Raises XoAnswerError, which names the ``source``."""
    try:
        return reads.decode_list(body, record)
    except msgspec.MsgspecError as error:
        raise XoAnswerError(f"XO's answer to {source} has not the expected shape: {error}") from error
