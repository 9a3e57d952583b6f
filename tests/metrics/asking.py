"""A client on a plain socket, for a server in the same event loop."""

from __future__ import annotations

import asyncio
import socket


def free_port() -> int:
    """One that nobody listens on at this moment."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return made.getsockname()[1]


async def send(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    """All that comes back until the other side closes; b"" also where it breaks off without a word."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        await writer.drain()
        return await asyncio.wait_for(reader.read(), 20)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def ask(port: int, path: str, method: str = "GET", host: str = "127.0.0.1") -> tuple[int, dict[str, str], str]:
    """(status, headers, body)."""
    answer = await send(port, f"{method} {path} HTTP/1.1\r\nHost: guard\r\n\r\n".encode(), host)
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body.decode()
