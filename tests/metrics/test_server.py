"""The small server on real sockets: what it answers, what it cuts off, how it moves and how it ends."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from pathlib import Path

import pytest
from guard.daemon import server as module
from guard.daemon.server import MOST_CONNECTIONS, MOST_HEADER_BYTES, Server, listening
from guard.errors import PolicyError
from tests.metrics.asking import ask, free_port, send
from tests.xo.writing import until

TEXT = b"guard_claims 0.0\n"


async def page():
    return 200, "text/plain; version=0.0.4", TEXT


async def broken():
    raise RuntimeError("a bug")


PAGES = {"/metrics": page, "/livez": page, "/broken": broken}


def served(work, pages=None):
    """What ``work(server, port)`` gives while a server serves there."""

    async def both():
        port = free_port()
        with Server(pages or PAGES) as server:
            server.use(f"127.0.0.1:{port}")
            return await work(server, port)

    return asyncio.run(both())


def is_taken(port, host="127.0.0.1"):
    """Whether somebody listens there."""
    with socket.socket() as made:
        made.settimeout(1)
        return made.connect_ex((host, port)) == 0


def test_a_get_is_answered_and_the_connection_closed():
    async def work(_server, port):
        return await ask(port, "/metrics")

    status, headers, body = served(work)
    assert (status, body.encode()) == (200, TEXT)
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert headers["connection"] == "close"
    assert "server" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_nothing_but_get_is_allowed(method):
    async def work(_server, port):
        return await ask(port, "/metrics", method)

    status, headers, _ = served(work)
    assert (status, headers["allow"]) == (405, "get")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/METRICS", "/livez/x", "//metrics", "/..", "/%2e%2e/etc/passwd"])
def test_every_other_path_is_not_found(path):
    async def work(_server, port):
        return await ask(port, path)

    status, _, body = served(work)
    assert status == 404
    assert body == "there are only /metrics, /livez, /broken\n"


def test_a_query_does_no_harm():
    async def work(_server, port):
        return await ask(port, "/metrics?x=1")

    assert served(work)[0] == 200


def test_a_bug_in_a_page_is_an_error_of_that_answer_alone():
    async def work(_server, port):
        return (await ask(port, "/broken"))[0], (await ask(port, "/metrics"))[0]

    assert served(work) == (500, 200)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /metrics HTTP/1.1\r\nX: " + b"x" * (10 * MOST_HEADER_BYTES) + b"\r\n\r\n",
        b"GET /" + b"x" * (10 * MOST_HEADER_BYTES) + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00" + os.urandom(400),
        b"GET /metrics HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["huge headers", "a huge path", "TLS", "no host", "no HTTP"],
)
def test_what_is_no_small_request_is_refused_and_the_next_one_served(request_):
    async def work(_server, port):
        return await send(port, request_), (await ask(port, "/metrics"))[0]

    answer, after = served(work)
    assert answer == b"" or b" 400 " in answer.splitlines()[0] or b" 431 " in answer.splitlines()[0]
    assert after == 200


def test_an_upgrade_to_a_websocket_is_none():
    async def work(_server, port):
        head = "GET /metrics HTTP/1.1\r\nHost: guard\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        return await send(port, f"{head}Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())

    assert served(work).splitlines()[0] == b"HTTP/1.1 200 OK"


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_thousand_open_connections_take_no_file_descriptors_and_no_time_from_guard():
    async def work(server, port):
        begun, ticks = open_files(), 0
        mine = []

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(tick())
        for _ in range(1000):
            one = socket.socket()
            one.setblocking(False)
            assert one.connect_ex(("127.0.0.1", port)) in (0, errno.EINPROGRESS)
            mine.append(one)
            await asyncio.sleep(0)
        while True:  # until those that are cut off are
            await asyncio.sleep(0.05)
            theirs = open_files() - begun - len(mine)
            if theirs <= MOST_CONNECTIONS:
                break
        held = len(server._served._state.connections)
        for one in mine:
            one.close()
        await asyncio.sleep(0.05)
        beside.cancel()
        return held, ticks, (await ask(port, "/metrics"))[0]

    held, ticks, after = served(work)
    assert held <= MOST_CONNECTIONS
    assert ticks > 5
    assert after == 200


def test_a_connection_without_a_request_ends_when_its_time_is_up(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.2)

    async def work(_server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost:")
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(reader.read(), 10)
            writer.write(b"x")
            await writer.drain()
            raise ConnectionError
        writer.close()
        return time.monotonic() - began

    assert 0.1 < served(work) < 5


def test_a_reader_that_does_not_read_is_cut_off_too(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.3)

    async def large():
        return 200, "text/plain", b"x" * 50_000_000

    async def work(server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: guard\r\n\r\n")
        await reader.read(10)
        await until(lambda: not server._served._state.connections)
        writer.close()
        return (await ask(port, "/livez"))[0]

    assert served(work, {"/metrics": large, "/livez": page}) == 200


def test_two_requests_in_one_piece_get_one_answer():
    async def work(_server, port):
        return await send(port, b"GET /livez HTTP/1.1\r\nHost: g\r\n\r\n" * 2)

    assert served(work).count(b"HTTP/1.1 200 OK") == 1


# --- moving and ending


def test_it_ends_at_once_with_whatever_is_open():
    async def work():
        port = free_port()
        with Server(PAGES) as server:
            server.use(f"127.0.0.1:{port}")
            await ask(port, "/metrics")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.05)
            began = time.monotonic()
        assert not is_taken(port)
        with pytest.raises(ConnectionError):
            if await asyncio.wait_for(reader.read(), 5) == b"":
                raise ConnectionError
        writer.close()
        return time.monotonic() - began

    assert asyncio.run(work()) < 2


def test_it_ends_also_before_it_has_begun():
    async def work():
        port = free_port()
        with Server(PAGES) as server:
            server.use(f"127.0.0.1:{port}")
        await asyncio.sleep(0)
        return is_taken(port)

    assert asyncio.run(work()) is False


def test_it_moves_to_another_port_and_away():
    async def work(server, port):
        other = free_port()
        server.use(f"127.0.0.1:{other}")
        await asyncio.sleep(0)
        moved = is_taken(port), (await ask(other, "/metrics"))[0]
        server.use(None)
        return *moved, is_taken(other)

    assert served(work) == (False, 200, False)


def test_the_same_address_again_changes_nothing():
    async def work(server, port):
        before = server._served
        server.use(f"127.0.0.1:{port}")
        return server._served is before

    assert served(work)


def test_a_port_that_another_process_has_is_an_error_that_names_the_key_and_the_old_one_stays():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        there = f"127.0.0.1:{taken.getsockname()[1]}"

        async def work(server, port):
            with pytest.raises(PolicyError) as error:
                server.use(there)
            return str(error.value), (await ask(port, "/metrics"))[0]

        said, after = served(work)
    assert said == f"[metrics] listen = '{there}': another process listens on this port; expected a free one"
    assert after == 200


def test_all_addresses_take_the_port_over_from_one_and_give_it_back():
    async def work(server, port):
        server.use(f"0.0.0.0:{port}")
        await asyncio.sleep(0)
        everywhere = (await ask(port, "/metrics", host="127.0.0.2"))[0]
        server.use(f"127.0.0.1:{port}")
        await asyncio.sleep(0)
        return everywhere, is_taken(port, "127.0.0.2"), (await ask(port, "/metrics"))[0]

    assert served(work) == (200, False, 200)


def test_an_address_of_another_machine_on_the_same_port_leaves_the_old_one_listening():
    async def work(server, port):
        with pytest.raises(PolicyError, match="this machine has no such address"):
            server.use(f"192.0.2.1:{port}")
        await asyncio.sleep(0)
        return (await ask(port, "/metrics"))[0]

    assert served(work) == 200


def test_ipv6_is_an_address_like_another():
    async def work():
        port = free_port()
        with Server(PAGES) as server:
            server.use(f"[::1]:{port}")
            return (await ask(port, "/metrics", host="::1"))[0], is_taken(port)

    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    assert asyncio.run(work()) == (200, False)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "guard's user may not listen there; expected a port from 1024 on"),
        (errno.EAFNOSUPPORT, "this machine has no such address; expected one of its own, such as 127.0.0.1:9478"),
        (errno.ENOBUFS, "cannot listen there (No buffer space available)"),
    ],
)
def test_whatever_keeps_it_from_listening_is_one_sentence_and_leaves_no_socket(monkeypatch, number, said):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module.socket.socket, "bind", refuse)
    before = open_files()
    with pytest.raises(PolicyError) as error:
        listening("127.0.0.1:9478")
    assert str(error.value) == f"[metrics] listen = '127.0.0.1:9478': {said}"
    assert open_files() == before
