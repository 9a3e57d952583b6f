"""GET /metrics, /livez and /readyz on one port: a small server beside the loop that can cost it nothing.

Few connections at a time, each for seconds, for one request of bounded size; what is more is cut off. So neither a slow
reader nor a thousand open connections take file descriptors or time from the daemon. It is closed with the daemon, at once.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

import uvicorn
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from guard.errors import PolicyError
from guard.policy.metrics_validate import address_of

MOST_CONNECTIONS = 16
LONGEST_S = 15.0  # of one connection; Prometheus gives a scrape 10 s
MOST_HEADER_BYTES = 16 * 1024
BACKLOG = 16
Answer = tuple[int, str, bytes]
"""HTTP status, media type, body."""
Pages = dict[str, Callable[[], Awaitable[Answer]]]
"""Path -> what answers a GET of it."""


def app_of(pages: Pages) -> ASGIApp:
    """The ASGI application: these pages, by GET alone."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (await _answer(pages, scope))(scope, receive, send)

    return app


async def _answer(pages: Pages, scope: Scope) -> Response:
    headers = {"connection": "close", "cache-control": "no-store", "x-content-type-options": "nosniff"}
    page = pages.get(scope["path"])
    if page is None:
        return PlainTextResponse(f"there are only {', '.join(pages)}\n", status_code=404, headers=headers)
    if scope["method"] != "GET":
        return PlainTextResponse("GET only\n", status_code=405, headers=headers | {"allow": "GET"})
    status, kind, body = await page()
    return Response(body, status_code=status, headers=headers, media_type=kind)


class _Connection(H11Protocol):
    """One connection, cut off when there are too many, or when its time is up."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its parent
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
        else:
            self._end = self.loop.call_later(LONGEST_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)


class _Served:
    """A listening socket, served until ``close``, which is immediate."""

    def __init__(self, listening: socket.socket, app: ASGIApp) -> None:
        self._socket = listening
        self._server: asyncio.Server | None = None
        self._state = ServerState()
        self._config = uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,  # guard's own log stays as it is
            log_level="critical",
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        )
        self._begun = asyncio.ensure_future(self._begin())

    async def _begin(self) -> None:
        if self._socket.fileno() < 0:
            return  # closed before it came to its turn
        # nothing is awaited between here and the server's being known to close()
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, sock=self._socket, backlog=BACKLOG, start_serving=False
        )
        await self._server.start_serving()

    def _connection(self) -> asyncio.Protocol:
        return _Connection(config=self._config, server_state=self._state, app_state={})

    def close(self) -> None:
        if self._server is None:
            self._socket.close()
        else:
            self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()


class Server:
    """``use`` an address, or none; inside ``with``, and with a running event loop."""

    def __init__(self, pages: Pages) -> None:
        self._app = app_of(pages)
        self._listen: str | None = None
        self._served: _Served | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def use(self, listen: str | None) -> None:
        """From now on here. Raises PolicyError where it cannot listen there, and goes on where it was."""
        if listen == self._listen:
            return
        fresh = None if listen is None else self._instead(listen)
        self._close()
        self._listen = listen
        self._served = _Served(fresh, self._app) if fresh is not None else None

    def _instead(self, listen: str) -> socket.socket:
        """A socket that listens; one of the same port, such as of all addresses, needs its own old one closed first."""
        old = self._listen
        if old is None or address_of(old)[1] != address_of(listen)[1]:
            return listening(listen)
        self._close()
        try:
            return listening(listen)
        except PolicyError:
            self._served = _Served(listening(old), self._app)
            raise

    def _close(self) -> None:
        if self._served is not None:
            self._served.close()
            self._served = None


def listening(listen: str) -> socket.socket:
    """A socket that listens there. Raises PolicyError, which says what keeps it."""
    host, port = address_of(listen)
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # else a restart waits for old connections to be forgotten
        if ":" in host:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise PolicyError(f"[metrics] listen = {listen!r}: {_why(error)}") from error
    made.setblocking(False)
    return made


def _why(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another process listens on this port; expected a free one"
        case errno.EADDRNOTAVAIL | errno.EAFNOSUPPORT:
            return "this machine has no such address; expected one of its own, such as 127.0.0.1:9478"
        case errno.EACCES:
            return "guard's user may not listen there; expected a port from 1024 on"
    return f"cannot listen there ({os.strerror(error.errno or 0)})"
