"""Reads an estate from XO in a bounded number of requests. One part that fails does not fail the others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from guard.errors import XoAnswerError, XoAuthError, XoBootingError, XoTimeoutError
from guard.estate.estate import Estate, Part, PartName, XoIdentity
from guard.estate.xo_records import Archive, BackupLog, CallJob, Job, RepositoryInfo, Vm
from guard.http import Http, refused, tls_context
from guard.meter import Meter
from guard.xo import archives, proxies, reads, rolling
from guard.xo.local_disks import DiskOf, disk_of, read_local_disks
from guard.xo.rpc import Rpc
from guard.xo.together import gathered
from guard.xo.token import Token
from guard.xo.version import check_version


@dataclass(frozen=True)
class XoSettings:
    """Where XO is and how long to wait for it (seconds)."""

    url: str
    ca_file: Path | None = None
    server_name: str | None = None
    verify: bool = True
    call_timeout_s: float = 30.0
    total_timeout_s: float = 120.0
    history_days: int = 31
    read_archives: bool = False
    local_paths: tuple[str, ...] = ()
    disk_of: DiskOf = disk_of


@dataclass
class _Collected:
    """What has come in so far: records and notes by part."""

    clock: Callable[[], datetime]
    complete: bool
    records: dict[str, Any] = field(default_factory=dict)
    parts: dict[PartName, Part] = field(default_factory=dict)

    async def take(self, name: PartName, source: str, reading: Awaitable[Any]) -> Any:  # noqa: ANN401  records of any part
        """Await one part. A failure is noted; a refused token is not a matter of one part, and goes up."""
        try:
            found = await reading
        except XoAuthError as error:
            if "refused the token" in str(error):
                raise
            self._failed(name, source, str(error))
            return ()
        except (XoAnswerError, XoTimeoutError) as error:
            self._failed(name, source, str(error))
            return ()
        except msgspec.MsgspecError as error:
            self._failed(name, source, f"XO's answer to {source} has not the expected shape: {error}")
            return ()
        self.records[name] = found
        self.parts[name] = Part(name=name, source=source, read_at=self.clock(), complete=self.complete)
        return found

    def note_empty(self, name: PartName, source: str) -> None:
        """A part that there is no need to ask for; ``source`` says why."""
        self.records[name] = ()
        self.parts[name] = Part(name=name, source=source, read_at=self.clock(), complete=self.complete)

    def _failed(self, name: PartName, source: str, error: str) -> None:
        self.parts[name] = Part(name=name, source=source, read_at=self.clock(), ok=False, error=error)


async def read_estate(
    settings: XoSettings,
    token: Token,
    *,
    clock: Callable[[], datetime],
    tls: ssl.SSLContext | None = None,
    meter: Meter | None = None,
) -> Estate:
    """The whole estate. ``tls``: made anew where there is none yet.

    Raises XoError where nothing at all can be told: unreachable, refused, too old, too slow.
    """
    tls = tls or tls_context(settings.ca_file, verify=settings.verify)
    limits = {"timeout_s": settings.call_timeout_s, "server_name": settings.server_name, "meter": meter}
    try:
        async with asyncio.timeout(settings.total_timeout_s):
            async with (
                Http(settings.url, token.reveal, tls=tls, **limits) as http,  # type: ignore[arg-type]  # a plain dict of both
                Rpc(settings.url, tls=tls, **limits) as rpc,  # type: ignore[arg-type]
            ):
                return await _Reading(settings, http, rpc, clock).estate(token)
    except TimeoutError as error:
        raise XoTimeoutError(
            f"Reading XO took longer than {settings.total_timeout_s:g} s; raise [xo] total_timeout if XO is just large"
        ) from error


class _Reading:
    """One pass over XO."""

    def __init__(self, settings: XoSettings, http: Http, rpc: Rpc, clock: Callable[[], datetime]) -> None:
        self._settings, self._http, self._rpc, self._clock = settings, http, rpc, clock
        self._began = asyncio.get_running_loop().time()

    async def estate(self, token: Token) -> Estate:
        taken_at = self._clock()
        version = str(_answered("system.getServerVersion", await self._rpc.call("system.getServerVersion")))
        check_version(version)
        user = await self._sign_in(token)
        admin = isinstance(user, dict) and user.get("permission") == "admin"
        got = _Collected(self._clock, admin)
        try:
            await self._all(got)
        except XoAuthError as error:
            # the same token was accepted a moment ago over JSON-RPC, so it is not the token
            raise XoBootingError(
                f"XO at {self._settings.url} is still booting: it refuses a good token over REST. Try again in a minute"
            ) from error
        if self._settings.local_paths:
            read = await read_local_disks(self._settings.local_paths, self._clock(), self._settings.disk_of)
            got.parts[PartName.LOCAL_DISKS], got.records[PartName.LOCAL_DISKS] = read
        extra = got.records.pop("vm_properties", {})
        url = self._settings.url
        return Estate(
            xo=XoIdentity(url=url, version=version, admin=admin, history_days=self._settings.history_days),
            taken_at=taken_at,
            parts=got.parts,
            vm_properties=extra,
            **{str(name): found for name, found in got.records.items()},
        )

    async def _sign_in(self, token: Token) -> Any:  # noqa: ANN401  XO's user object
        try:
            answer = await self._rpc.call("session.signIn", {"token": token.reveal()})
        except XoAuthError as error:
            raise refused(self._settings.url) from error
        return _answered("session.signIn", answer)

    async def _all(self, got: _Collected) -> None:
        info = asyncio.ensure_future(
            self._info()
        )  # XO answers from a cache and refreshes it behind: ask first and last
        first = [self._objects(got), self._jobs_and_vms(got), self._call_jobs(got)]
        try:
            await gathered([*first, *(self._collection(got, name) for name in reads.COLLECTIONS)])
            await self._xo_tasks(got)
            await self._logs(got)
            if self._settings.read_archives:
                await got.take(PartName.ARCHIVES, archives.SOURCE, self._archives(got, self._left()))
        except BaseException:
            info.cancel()
            await asyncio.gather(info, return_exceptions=True)
            raise
        await asyncio.wait([info])
        await got.take(PartName.REPOSITORY_INFO, "remote.getAllInfo", self._info(info))

    def _left(self) -> float:
        """Seconds for what is read last, with some kept back for the way home."""
        elapsed = asyncio.get_running_loop().time() - self._began
        return max(1.0, 0.8 * (self._settings.total_timeout_s - elapsed))

    async def _get(self, collection: str, fields: str, record: type[Any], **more: str) -> tuple[Any, ...]:
        body = await self._http.get(f"/rest/v0/{collection}", {"fields": fields, **more})
        return reads.decode_list(body, record)

    async def _collection(self, got: _Collected, name: PartName) -> None:
        path, record = reads.COLLECTIONS[name]
        await got.take(name, f"GET /rest/v0/{path}", self._get(path, reads.fields_of(record), record))

    async def _jobs_and_vms(self, got: _Collected) -> None:
        jobs = await got.take(
            PartName.JOBS, "GET /rest/v0/backup-jobs", self._get("backup-jobs", reads.fields_of(Job), Job)
        )
        used = proxies.used_proxies(jobs)
        await gathered(
            [
                got.take(PartName.VMS, "GET /rest/v0/vms", self._vms(got, reads.extra_vm_fields(jobs))),
                got.take(PartName.PROXIES, proxies.source_of(used), proxies.read_proxies(self._http, self._rpc, used)),
            ]
        )

    async def _vms(self, got: _Collected, extra: tuple[str, ...]) -> tuple[Vm, ...]:
        body = await self._http.get("/rest/v0/vms", {"fields": reads.fields_of(Vm, extra)})
        vms: tuple[Vm, ...] = reads.decode_list(body, Vm)
        if extra:
            rows = reads.decode(body, list[dict[str, Any]])
            got.records["vm_properties"] = {
                vm.id: {key: row[key] for key in extra if key in row} for vm, row in zip(vms, rows, strict=True)
            }
        return vms

    async def _call_jobs(self, got: _Collected) -> None:
        async def ask() -> tuple[CallJob, ...]:
            return reads.decode_list(bytes(await self._rpc.call("job.getAll")), CallJob)

        await got.take(PartName.CALL_JOBS, "job.getAll", ask())

    async def _objects(self, got: _Collected) -> None:
        async def ask() -> dict[PartName, Any]:
            return dict(
                reads.decode_objects(await self._rpc.call("xo.getAllObjects", {"filter": reads.OBJECTS_FILTER}))
            )

        asked = asyncio.ensure_future(ask())
        try:
            await asyncio.wait([asked])
        except BaseException:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            raise

        async def part(name: PartName) -> Any:  # noqa: ANN401  records of four parts
            return (await asked)[name]

        for name in (PartName.VDI_UNMANAGED, PartName.VUSBS, PartName.XAPI_TASKS, PartName.MESSAGES):
            await got.take(name, "xo.getAllObjects", part(name))

    async def _info(self, first: asyncio.Future[dict[str, RepositoryInfo]] | None = None) -> dict[str, RepositoryInfo]:
        """Free space of the repositories; with ``first``, the later answer wins entry by entry."""
        earlier = await first if first is not None else {}
        told: dict[str, RepositoryInfo] = reads.decode(
            await self._rpc.call("remote.getAllInfo"), dict[str, RepositoryInfo]
        )
        return earlier | told

    async def _xo_tasks(self, got: _Collected) -> None:
        if rolling.may_be_rolling(got.records.get(PartName.HOSTS), got.records.get(PartName.SERVERS)):
            await got.take(PartName.XO_TASKS, rolling.SOURCE, rolling.read_rolling(self._http))
        else:
            got.note_empty(PartName.XO_TASKS, rolling.NOT_ASKED)

    async def _logs(self, got: _Collected) -> None:
        await got.take(PartName.LOGS, "GET /rest/v0/backup-logs", self._log_records(got))

    async def _archives(self, got: _Collected, left_s: float) -> tuple[Archive, ...]:
        """Within the time that is left: a slow repository must not cost everything else that was read."""
        usable = {one.id for one in got.records.get(PartName.REPOSITORIES, ()) if one.enabled and not one.error}
        try:
            async with asyncio.timeout(left_s):
                return await archives.read_archives(self._http, got.records.get(PartName.JOBS, ()), usable)
        except TimeoutError as error:
            raise XoTimeoutError(
                f"XO did not list the backups of all repositories in the {left_s:.0f} s that were left of [xo] total_timeout"
            ) from error

    async def _log_records(self, got: _Collected) -> tuple[BackupLog, ...]:
        since = self._clock() - timedelta(days=self._settings.history_days)
        after = f"start:>{int(since.timestamp() * 1000)}"
        logs: tuple[BackupLog, ...] = await self._get("backup-logs", reads.LOG_FIELDS, BackupLog, filter=after)
        live = frozenset(
            one.id for one in got.records.get(PartName.SCHEDULES, ())
        )  # members of a sequence are disabled
        filters = reads.id_filters(reads.wanted_trees(logs, live))
        fields = reads.fields_of(BackupLog)
        whole: dict[str, BackupLog] = {}
        for one in filters:  # one after another: these are the largest answers, and two at once would double the peak
            whole |= {log.id: log for log in await self._get("backup-logs", fields, BackupLog, filter=one)}
        return tuple(whole.get(log.id, log) for log in logs)


def _answered(method: str, answer: msgspec.Raw) -> Any:  # noqa: ANN401  any JSON value
    """The JSON of an answer without which nothing can be read. Raises XoAnswerError."""
    try:
        return reads.decode(answer, object)
    except msgspec.MsgspecError as error:
        raise XoAnswerError(f"XO's answer to {method} has not the expected shape: {error}") from error
