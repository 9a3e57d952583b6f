"""The simulated XO, or another simulated server, on a loopback port, for tests, the benchmark and the demo."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, suppress
from typing import Protocol, runtime_checkable

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from guard.simulator.faults import Faults, FaultyHttp, until_gone
from guard.simulator.rest import RestApi
from guard.simulator.rpc import RpcApi
from guard.simulator.world import World

_ROUNDS_OF_AN_ACCEPT = 8  # of the loop: from the accepted socket to a connection that is dropped and closed


@runtime_checkable
class Served(Protocol):
    """An ASGI application that wants to be able to lose its connections."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def served_by(self, drop: Callable[[], None]) -> None:
        """Told once it is served on sockets; ``drop`` aborts every open connection."""


class Simulator:
    """The ASGI application: XO's two faces over one world, with planted faults."""

    def __init__(self, world: World, faults: Faults | None = None) -> None:
        self.world = world
        self.faults = faults or Faults()
        self._rest = RestApi(world)
        self._rpc = RpcApi(world, self.faults)
        self._entry: ASGIApp = FaultyHttp(self._dispatch, self.faults)
        self._watched: set[asyncio.AbstractEventLoop] = set()

    def served_by(self, drop: Callable[[], None]) -> None:
        self.faults.drop = drop
        self.faults.on_sockets = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.world.turn():
            self._watch()
            down = "" if self.world.live is None else self.world.live.down
        if down == "hangs":
            await until_gone(receive)
        elif down == "gone":
            await self.faults.refuse(receive)
        else:
            await self._entry(scope, receive, send)

    def _watch(self) -> None:
        """When xo-server goes away, every connection is lost, in the loop that holds it."""
        loop = asyncio.get_running_loop()
        if self.world.live is None or loop in self._watched:
            return
        self._watched.add(loop)

        def drop() -> None:
            self.faults.drop()
            self._rpc.drop()

        def told() -> None:
            with suppress(RuntimeError):  # the loop is closed, and its connections with it
                loop.call_soon_threadsafe(drop)

        self.world.live.on_down.append(told)

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._rpc.serve(WebSocket(scope, receive, send))
            return
        response = await self._rest.handle(Request(scope, receive))
        await response(scope, receive, send)


class _Server(uvicorn.Server):
    """uvicorn that leaves signals alone and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self.stopping = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        """The parent's loop looks ten times a second whether it shall end; this one ends at once."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), 0.1)

    def stop(self) -> None:
        for listening in self.servers:
            listening.close()  # first, or a client that connects again at once finds nobody who would ever answer it
        self.drop_connections()
        self.should_exit = True
        self.stopping.set()

    def drop_connections(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


@asynccontextmanager
async def serve(
    app: ASGIApp | Served, *, certfile: str | None = None, keyfile: str | None = None, port: int = 0
) -> AsyncIterator[str]:
    """Serve on 127.0.0.1 and give the URL, ``https`` when a certificate is given. Port 0: any free one."""
    # named TCP, or asyncio leaves Nagle's algorithm on and every second answer waits 40 ms; Node.js switches it off
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="critical",
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
        timeout_keep_alive=5,  # Node's, which XO leaves as it is
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
        ws_max_size=100 * 1024 * 1024,
        ws_ping_interval=None,  # XO sends none
        server_header=False,
    )
    server = _Server(config)
    if isinstance(app, Served):
        app.served_by(server.drop_connections)
    with closing(listener):
        running_server = asyncio.create_task(server.serve(sockets=[listener]))
        ready = asyncio.create_task(server.ready.wait())
        await asyncio.wait({running_server, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
            await running_server  # raises what kept it from starting
        try:
            scheme = "https" if certfile else "http"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.stop()
            await running_server
            for _ in range(_ROUNDS_OF_AN_ACCEPT):  # those that were being accepted while the others were dropped
                server.drop_connections()
                await asyncio.sleep(0)


def running(
    world: World, faults: Faults | None = None, *, certfile: str | None = None, keyfile: str | None = None
) -> AbstractContextManager[str]:
    """A world's XO from code that is not asynchronous."""
    return serving(Simulator(world, faults), certfile=certfile, keyfile=keyfile)


@contextmanager
def serving(app: ASGIApp | Served, *, certfile: str | None = None, keyfile: str | None = None) -> Iterator[str]:
    """Like ``serve`` from code that is not asynchronous: serves in a thread of its own and gives the URL."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    failed: list[BaseException] = []
    ready, finish = threading.Event(), asyncio.Event()

    async def stay() -> None:
        async with serve(app, certfile=certfile, keyfile=keyfile) as url:
            started.append(url)
            ready.set()
            await finish.wait()

    def work() -> None:
        try:
            loop.run_until_complete(stay())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, in whose thread it is raised again
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="simulated XO", daemon=True)
    thread.start()
    ready.wait()
    try:
        if failed:
            raise failed[0]
        yield started[0]
    finally:
        if not failed:
            loop.call_soon_threadsafe(finish.set)
        thread.join()
        loop.close()
