"""What guard has XO put right: a scan of an SR, a connection to a pool, the plug of a PBD; and the test of a repository.

XO answers each of them when it is done, which may take long: every one has a total time limit of its own. When that
expires, what was sent is not taken back, and nobody can tell what became of it (XoTimeoutError).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType, field

from guard.errors import XoError, XoNotSentError, XoTimeoutError
from guard.http import shortened
from guard.xo.sending import SendingXo, sent


class ProbeResult(msgspec.Struct, frozen=True):
    """What came of writing 10 MiB to a repository, reading them back and deleting them (``remote.test``).

    ``step``: write or read, '' for a success. ``error``: XO's reason in a few words. Rates are bytes/s, None where XO
    told none.
    """

    success: bool
    step: str = ""
    error: str = ""
    write_rate: float | None = None
    read_rate: float | None = None


class _Tested(msgspec.Struct, frozen=True):
    """XO's answer to ``remote.test``. ``error``: an error's own properties, its message lost as a rule."""

    success: bool
    step: str | UnsetType = UNSET
    error: Any = None
    write_rate: float | None = field(name="writeRate", default=None)
    read_rate: float | None = field(name="readRate", default=None)


class RemedialWrites(SendingXo):
    """Remedies over JSON-RPC (xo-api.md 4.3 and 5.2). ``limit_s``: seconds in all, from opening the socket on."""

    async def scan_sr(self, sr_id: str, *, limit_s: float = 600.0) -> None:
        """``sr.scan {id}``: ends when XAPI has scanned the SR, after whatever else it does to it.

        Raises XoAnswerError where XAPI or SM refuse (``SR_BACKEND_FAILURE_40``: a disk cannot be read).
        """
        await self._done("sr.scan", sr_id, limit_s)

    async def connect_server(self, server_id: str, *, limit_s: float = 120.0) -> None:
        """``server.enable {id}``: ends when XAPI has taken the login; the pool's objects come some seconds later.

        Raises XoAnswerError for a server that is connected, or connecting, already; and where XAPI does not answer or
        refuses the login, which XO's record tells then too.
        """
        await self._done("server.enable", server_id, limit_s)

    async def plug_pbd(self, pbd_id: str, *, limit_s: float = 120.0) -> None:
        """``pbd.connect {id}``: attaches an SR to a host; one that is attached already stays so."""
        await self._done("pbd.connect", pbd_id, limit_s)

    async def test_repository(self, repository_id: str, *, limit_s: float) -> ProbeResult | None:
        """``remote.test {id}``; None where the time ran out: unknown, and XO goes on trying by itself.

        A repository that XO cannot even open (not mounted, disabled) is an XoAnswerError.
        """
        try:
            answer = await self._done("remote.test", repository_id, limit_s)
        except XoTimeoutError:
            return None
        return _result_in(answer)

    async def _done(self, method: str, identity: str, limit_s: float) -> msgspec.Raw:
        settings, token = self._access()
        is_sent = False
        try:
            # the socket's own limit on a call would otherwise end it earlier
            waiting = replace(settings, call_timeout_s=2 * limit_s)
            async with asyncio.timeout(limit_s), self._opened_with(waiting, token) as rpc:
                is_sent = True
                return await sent(rpc, method, {"id": identity})
        except TimeoutError as error:
            limit = f"within {limit_s:g} s"
            if is_sent:
                raise XoTimeoutError(f"XO did not answer {method} {limit}; it may still be at it") from error
            raise XoNotSentError(f"Nothing was sent to XO: it was not ready for {method} {limit}") from error


def _result_in(answer: msgspec.Raw) -> ProbeResult:
    """Raises plain XoError: XO did something, and said of it nothing that guard understands."""
    try:
        told = msgspec.json.decode(answer, type=_Tested)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise XoError(f"XO's answer to remote.test has not the expected shape: {error}") from error
    if told.success:
        return ProbeResult(success=True, write_rate=told.write_rate, read_rate=told.read_rate)
    return ProbeResult(success=False, step=told.step or "", error=_words(told.error))


def _words(error: Any) -> str:  # noqa: ANN401  whatever XO could tell of an error
    """The message where there is one, else the operating system's code and what it was doing."""
    told = error if isinstance(error, dict) else {"message": error or ""}
    words = told.get("message") or " ".join(str(told[key]) for key in ("code", "syscall") if told.get(key))
    return shortened(str(words or "no reason given"))
