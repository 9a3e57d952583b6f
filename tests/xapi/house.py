"""Pools for guard to ask: simulated ones over loopback, and servers that are none."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme
from guard.estate.xapi_records import PoolFacts
from guard.secret import Secret
from guard.simulator.xapi import XapiFace, serving_xapi
from guard.simulator.xapi_wire import XapiError, xml_failure
from guard.xapi.pools import read_pools
from guard.xapi.session import PoolSettings

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)
PASSWORD = "simulated-password"
SHORT = {"call_timeout_s": 0.2, "total_timeout_s": 0.6}


def settings_of(url: str, **more) -> PoolSettings:
    given = {"name": "paris", "username": "root", "password": Secret(PASSWORD)} | more
    return PoolSettings(url=url, **given)


def read(*settings: PoolSettings, **more) -> tuple[PoolFacts, ...]:
    return asyncio.run(read_pools(settings, clock=lambda: NOW, **more))


def facts_of(face: XapiFace, **more) -> PoolFacts:
    """One reading of a simulated pool; ``more`` goes to ``read_pools``."""
    with serving_xapi(face) as url:
        (found,) = read(settings_of(url), **more)
    return found


@contextmanager
def answering(
    body: bytes, *, status: int = 200, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    """A web server with one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that goes away is what some tests are about."""

    with Server((host, port), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def slave_of(master: str, **where) -> contextmanager:
    """A host that sends everyone to its master."""
    return answering(xml_failure(XapiError("HOST_IS_SLAVE", *([master] if master else []))), **where)


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def dribbling(first: bytes) -> Iterator[str]:
    """A server that says ``first`` and then one byte after another, for ever: no single read of it takes long."""
    stop = threading.Event()

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while not stop.is_set():
                client, _ = listening.accept()
                with client, suppress(OSError):
                    client.sendall(first)
                    while not stop.wait(0.02):
                        client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            with suppress(OSError):
                socket.create_connection(listening.getsockname(), timeout=1).close()
            thread.join()


def certificates(folder, *servers: tuple[str, ...]) -> tuple[str, ...]:
    """Paths: of the CA's certificate, then of one with its key for each server of these names."""
    authority = trustme.CA()
    paths = [folder / "ca.pem", *(folder / f"{number}.pem" for number in range(len(servers)))]
    authority.cert_pem.write_to_path(paths[0])
    for path, names in zip(paths[1:], servers, strict=True):
        authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(path)
    return tuple(map(str, paths))


def waits_for(condition: Callable[[], bool]) -> None:
    """A simulated pool answers in a thread of its own: what it notes last may come a moment later."""
    for _ in range(200):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("never came true")
