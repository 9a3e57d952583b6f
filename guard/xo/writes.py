"""XO as the acting gate uses it: what it reads, and every call that changes XO or has it run something.

All of them go over a socket of their own (JSON-RPC; xo-api.md 5.1, 5.2 and 6), because REST has none of them. None is
ever sent twice. What an error says of a write: XoNotSentError, XO surely knows nothing of it; XoAnswerError, XO refused
it; any other XoError, nobody can tell whether XO took it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from guard.errors import XoAnswerError, XoError, XoNotSentError, XoTimeoutError
from guard.estate.xo_records import BackupLog, CallJob, Record, Schedule
from guard.http import Http
from guard.mechanics.fallback import Fallback, Placed, placed_in
from guard.meter import Meter
from guard.xo import reads
from guard.xo.client import XoSettings
from guard.xo.live import decoded, read_list
from guard.xo.remedial_writes import RemedialWrites
from guard.xo.rpc import Rpc
from guard.xo.sending import sent as _sent
from guard.xo.sending import unsent as _unsent
from guard.xo.token import Token

_RUN_METHODS = {"backup": "backupNg.runJob", "mirrorBackup": "mirrorBackup.runJob"}
_NO_SUCH_OBJECT = 1  # JSON-RPC code (packages/xo-common/api-errors.js)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Running(Record, frozen=True, kw_only=True, gc=False):
    """REST ``/backup-jobs``: which run of a job goes on, if any."""

    run_id: str | UnsetType | None = field(name="runId", default=UNSET)


class WritingXo(RemedialWrites):
    """One XO, for guard.gate.ports.GateXo. ``poll_s``: between two looks for the run that a call began."""

    def __init__(
        self,
        settings: Callable[[], XoSettings],
        token_of: Callable[[], Token],
        *,
        clock: Callable[[], datetime],
        poll_s: float = 0.25,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(settings, token_of, clock=clock, meter=meter)
        self._poll_s = poll_s

    # --- schedules

    async def schedule(self, identity: str) -> Schedule | None:
        """One schedule's record as it is now, None for one that is gone. Raises XoError.

        Of ``schedule.getAll``: a list over REST lacks what the token may not see, and would say "gone" of that.
        """
        async with self._opened() as rpc:
            found = await _schedules(rpc)
        return next((one for one in found if one.id == identity), None)

    async def set_enabled(self, identity: str, enabled: bool) -> None:
        """``schedule.set {id, enabled}``: XO sets the schedule's timer anew."""
        async with self._opened() as rpc:
            await _sent(rpc, "schedule.set", {"id": identity, "enabled": enabled})

    # --- fallbacks

    async def put_fallback(self, fallback: Fallback) -> None:
        """``job.create``, then ``schedule.create``. A job whose schedule XO refuses is deleted again; where that fails
        too, ``fallbacks`` shows it as not armed.
        """
        vector = {"type": "crossProduct", "items": [{"type": "set", "values": [fallback.params]}]}
        job = {
            "type": "call",
            "key": "genericTask",
            "method": fallback.method,
            "name": fallback.name,
            "paramsVector": vector,
        }
        timer = {"cron": fallback.cron, "enabled": True, "name": fallback.name, "timezone": "UTC"}
        async with self._opened() as rpc:
            job_id = _id_in(await _sent(rpc, "job.create", {"job": job}))
            try:
                await _sent(rpc, "schedule.create", {"jobId": job_id, **timer})
            except XoAnswerError:
                with suppress(XoError):
                    await _sent(rpc, "job.delete", {"id": job_id})
                raise

    async def fallbacks(self) -> tuple[Placed, ...]:
        """Every fallback there is in XO, of any guard (``job.getAll``, ``schedule.getAll``). Raises XoError."""
        async with self._opened() as rpc:
            jobs = decoded(bytes(await rpc.call("job.getAll")), CallJob, "job.getAll")
            return placed_in(jobs, await _schedules(rpc))

    async def move_fallback(self, job_id: str, cron: str) -> None:
        """See GateXo. XO sets the schedule's timer anew at once. Raises XoAnswerError where it has no schedule."""
        async with self._opened() as rpc:
            own = [one.id for one in await _schedules(rpc) if one.job_id == job_id]
            if not own:
                raise XoAnswerError(f"XO's job {job_id} has no schedule to move")
            await _sent(rpc, "schedule.set", {"id": own[0], "cron": cron})

    async def drop_fallback(self, job_id: str) -> None:
        """``job.delete {id}``, which takes its schedules too; nothing for one that is gone."""
        async with self._opened() as rpc:
            try:
                await _sent(rpc, "job.delete", {"id": job_id})
            except XoAnswerError as error:
                if error.code != _NO_SUCH_OBJECT:
                    raise

    # --- runs

    async def runs_of(self, job_id: str, since: datetime) -> tuple[BackupLog, ...]:
        """The runs of a job that began at ``since`` or later, with their tasks, by XO's newest list. Raises XoError.

        Has XO read its logs anew, which costs it much.
        """
        after = (since - _EPOCH) // timedelta(milliseconds=1) - 1  # XO leaves out what began at ``after`` itself
        async with self._opened() as rpc:
            answer = await rpc.call("backupNg.getLogs", {"jobId": job_id, "after": after, "_forceRefresh": True})
        return _logs_in(answer)

    async def start(
        self,
        job_id: str,
        job_type: str,
        schedule_id: str,
        vms: Sequence[str] | None,
        known: Collection[str],
        *,
        settings: Mapping[str, Mapping[str, int | bool]] | None = None,
    ) -> str:
        """``backupNg.runJob`` or ``mirrorBackup.runJob``; returns the id of the run that began, '' where XO answered
        before one showed. Raises ValueError for no VM at all, and for other types of jobs.

        ``vms`` None: all the job takes. ``settings``: by schedule id, VM id or '', laid over the job's own for this run
        alone. XO knows of both for type ``backup`` only: others are run whole, and as they are.
        """
        if job_type not in _RUN_METHODS:
            raise ValueError(f"guard starts no job of type {job_type}")
        if vms is not None and not vms:
            raise ValueError("a start needs a VM; None is all of them")
        params: dict[str, Any] = {"id": job_id, "schedule": schedule_id}
        if vms is not None and job_type == "backup":
            params["vms"] = list(vms)
        if settings and job_type == "backup":
            params["settings"] = {key: dict(one) for key, one in settings.items()}

        async def job(_rpc: Rpc) -> Sequence[str]:
            return (job_id,)

        return await self._run(_RUN_METHODS[job_type], params, job, known)

    async def run_sequence(self, schedule_ids: Sequence[str], known: Collection[str]) -> str:
        """``schedule.runSequence``; returns the id of the first member's run, '' where XO answered, or ran a later
        member, before it showed. Raises ValueError for no schedule at all.
        """
        if not schedule_ids:
            raise ValueError("a sequence needs a schedule")

        async def jobs(rpc: Rpc) -> Sequence[str]:
            of = {one.id: one.job_id or "" for one in await _schedules(rpc)}
            return [of.get(one, "") for one in schedule_ids]

        return await self._run("schedule.runSequence", {"schedules": list(schedule_ids)}, jobs, known)

    async def _run(
        self,
        method: str,
        params: dict[str, Any],
        jobs_of: Callable[[Rpc], Awaitable[Sequence[str]]],
        known: Collection[str],
    ) -> str:
        """The run that a call began, within ``call_timeout_s`` in all."""
        settings, token = self._access()
        is_sent = False
        try:
            async with asyncio.timeout(settings.call_timeout_s), self._opened_with(settings, token) as rpc:
                try:
                    jobs = await jobs_of(rpc)
                except XoError as error:
                    raise _unsent(error) from error
                async with self._http(settings, token) as http:
                    is_sent = True
                    return await self._begun(rpc, http, method, params, jobs, known)
        except TimeoutError as error:
            limit = f"within {settings.call_timeout_s:g} s"
            if is_sent:
                raise XoTimeoutError(f"XO neither answered {method} nor showed a new run {limit}") from error
            raise XoNotSentError(f"Nothing was sent to XO: it was not ready for {method} {limit}") from error

    async def _begun(
        self, rpc: Rpc, http: Http, method: str, params: dict[str, Any], jobs: Sequence[str], known: Collection[str]
    ) -> str:
        """Send the call and wait until it is answered, or until a new run of the first job shows."""
        call = asyncio.ensure_future(_sent(rpc, method, params))
        shown = asyncio.ensure_future(self._shown(http, jobs, known))
        try:
            await asyncio.wait({call, shown}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                # somebody else's run that began in between shows just so; XO then refuses this call at once
                await asyncio.wait({call}, timeout=self._poll_s)
            if call.done():
                call.result()
            return shown.result() if shown.done() else ""
        finally:
            call.cancel()
            shown.cancel()
            await asyncio.gather(call, shown, return_exceptions=True)

    async def _shown(self, http: Http, jobs: Sequence[str], known: Collection[str]) -> str:
        """Waits for a run that is not ``known``, however long; the first job's, '' when only later ones show."""
        filters = reads.id_filters(dict.fromkeys(filter(None, jobs)))
        wanted = filters[0] if len(filters) == 1 else ""  # a sequence too long for one question: all jobs
        is_later = False
        while True:
            with suppress(XoError):  # the call may be under way all the same: only its own answer, or time, ends this
                found: tuple[_Running, ...] = await read_list(http, "backup-jobs", _Running, filter=wanted)
                fresh = {one.id: one.run_id for one in found if one.run_id and one.run_id not in known}
                if run_id := fresh.get(jobs[0]):
                    return run_id
                if is_later and any(job in fresh for job in jobs):
                    return ""  # seen twice: the first member had time to show
                is_later = any(job in fresh for job in jobs)
            await asyncio.sleep(self._poll_s)


async def _schedules(rpc: Rpc) -> tuple[Schedule, ...]:
    return decoded(bytes(await rpc.call("schedule.getAll")), Schedule, "schedule.getAll")


def _id_in(answer: msgspec.Raw) -> str:
    """Raises plain XoError: the answer says that XO took it, and not as what."""
    try:
        return msgspec.json.decode(answer, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise XoError(f"XO took job.create and gave back no id: {error}") from error


def _logs_in(answer: msgspec.Raw) -> tuple[BackupLog, ...]:
    """A list, or an object by id."""
    try:
        found = msgspec.json.decode(answer, type=tuple[BackupLog, ...] | dict[str, BackupLog])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise XoAnswerError(f"XO's answer to backupNg.getLogs has not the expected shape: {error}") from error
    return tuple(found.values()) if isinstance(found, dict) else found
