"""JSON-RPC over one short-lived WebSocket, for what REST lacks. Notifications are read and dropped."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect

from guard.errors import XoAnswerError, XoAuthError, XoError, XoTimeoutError, XoUnreachableError
from guard.http import led_to, origin, shortened, untrusted
from guard.meter import Meter, Way, timed
from guard.xo.methods import READS

MAX_FRAME_BYTES = 128 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
_FRAMES_KEPT = 4  # frames that may wait to be looked at; more stay with XO
_REFUSED = frozenset({2, 3, 5, 8})


class _Answer(msgspec.Struct):
    """A frame; ``id`` is None for a notification, whose content is left undecoded."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


class _Straight(connect):
    """A redirect is not followed: the token would go wherever it leads."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class Rpc:
    """Several calls may be in flight at once. ``timeout_s`` bounds each of them as a whole."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext,
        timeout_s: float,
        server_name: str | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._meter = meter
        scheme, mark, host = url.rstrip("/").partition("://")
        secure = scheme.lower() == "https"
        # exactly /api/: without the slash, or with a query, XO hangs in the handshake (xo-api.md 1.3)
        self._url = f"{scheme.lower().replace('http', 'ws', 1)}{mark}{host}/api/"
        self._tls = tls if secure else None
        self._name = server_name if secure else None
        self._timeout_s = timeout_s
        self._waiting: dict[int, asyncio.Future[_Answer]] = {}
        self._ids = itertools.count(1)
        self._decoder = msgspec.json.Decoder(_Answer)

    async def __aenter__(self) -> Self:
        with timed(self._meter, Way.RPC, "connect"):
            await self._open()
        self._reader = asyncio.create_task(self._read())
        return self

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                self._socket: ClientConnection = await _Straight(
                    self._url,
                    ssl=self._tls,
                    server_hostname=self._name,
                    max_size=MAX_FRAME_BYTES,
                    max_queue=_FRAMES_KEPT,
                    open_timeout=None,
                    ping_interval=None,
                    proxy=None,
                )
        except TimeoutError as error:
            raise XoTimeoutError(f"XO did not open {self._url} within {self._timeout_s:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self._url, str(error)) from error
        except (OSError, ValueError, websockets.WebSocketException) as error:
            raise XoUnreachableError(
                f"No XO opens {self._url} ({self._reason(error)}). Check [xo] url, and that xo-server runs"
            ) from error

    def _reason(self, error: Exception) -> str:
        told = error.response.headers.get_all("Location") if isinstance(error, websockets.InvalidStatus) else ()
        if not told:
            return shortened(str(error))
        there = led_to(self._url, told[0])
        return f"{shortened(str(error))}, which leads to {origin(there) if '://' in there else there}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self._socket.transport.abort()  # nothing is owed to XO: a polite close could wait for a hung server

    async def call(self, method: str, params: dict[str, Any] | None = None) -> msgspec.Raw:
        """The raw JSON of ``result``. Raises XoError and its kinds."""
        with timed(self._meter, Way.RPC, method):
            return await self._call(method, params)

    async def _call(self, method: str, params: dict[str, Any] | None) -> msgspec.Raw:
        number = next(self._ids)
        future: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._socket.send(msgspec.json.encode(request).decode())
                if self._meter is not None and method not in READS:
                    self._meter.wrote(method)
                await asyncio.wait((future, self._reader), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError as error:
            raise XoTimeoutError(
                f"XO did not answer {method} within {self._timeout_s:g} s; it is overloaded or hung. Try again, or raise "
                "[xo] call_timeout"
            ) from error
        except websockets.ConnectionClosed:
            pass
        finally:
            del self._waiting[number]
        if future.done():
            answer = future.result()
            if bytes(answer.error) != b"null":
                raise _typed(method, msgspec.json.decode(answer.error), hidden=(params or {}).get("token"))
            return answer.result
        raise XoUnreachableError(
            f"XO closed {self._url} in the middle of {method}; it may be restarting. Try again in a minute"
        )

    async def _read(self) -> None:
        with suppress(websockets.WebSocketException):
            async for frame in self._socket:
                self._take(frame)

    def _take(self, frame: str | bytes) -> None:
        try:
            answer = self._decoder.decode(frame)
            if len(bytes(answer.error)) > MAX_ERROR_BYTES:
                answer.error = msgspec.Raw(b'"an error too long to be read"')
            msgspec.json.decode(answer.error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # no answer to any call; the call's own time limit tells
        future = self._waiting.get(answer.id) if answer.id is not None else None
        if future is not None and not future.done():
            future.set_result(answer)


def _typed(method: str, failure: object, hidden: object) -> XoError:
    """What XO said went wrong; its error may be anything at all, the token that it was given too."""
    told = failure if isinstance(failure, dict) else {"message": failure}
    code = told.get("code")
    code = code if isinstance(code, int) else None
    why = str(told.get("message") or "no reason given")
    why = shortened(why.replace(hidden, "***") if isinstance(hidden, str) and hidden else why)
    if code in _REFUSED:
        return XoAuthError(f"XO refused {method}: {why} (JSON-RPC code {code}); give the token's user the right")
    return XoAnswerError(f"XO answered {method} with an error: {why} (JSON-RPC code {code})", code=code)
