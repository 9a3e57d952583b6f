"""WebSocket frames and HTTP answers as bytes, over real sockets on loopback: whatever a server may send, at whatever pace."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import ssl
import struct
import zlib

from guard.errors import GuardError
from guard.http import Http
from guard.views.text import clean
from guard.xo.rpc import Rpc
from tests.fuzz.judge import BrokenError, check_text, outcome_of, watched
from tests.fuzz.mutate import MARKER, bend, bend_bytes, hostile, text_of

NAME = "frames"
TIMEOUT_S = 0.3
_TLS = ssl.create_default_context()
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAGNITUDES = (0, 1, 125, 126, 65_535, 65_536, 2**31, 2**63, 2**64 - 1)
_ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"id": "u", "permission": "admin"}}
_ERROR = {"jsonrpc": "2.0", "id": 1, "error": {"code": 10, "message": "odd", "data": {"errors": []}}}
_ECHO = {"jsonrpc": "2.0", "id": 1, "error": {"code": 10, "message": f"no user has the token {MARKER}"}}
_NOTE = {"jsonrpc": "2.0", "method": "all", "params": {"type": "enter", "items": {"x": {"id": "x"}}}}


def frame(opcode, payload=b"", *, fin=True, flags=0, length=None, masked=False):
    """One frame; ``length`` may claim what is not true."""
    claimed = len(payload) if length is None else length
    first = (0x80 if fin else 0) | flags | opcode
    mark = 0x80 if masked else 0
    if claimed < 126:
        head = struct.pack("!BB", first, mark | claimed)
    elif claimed < 2**16:
        head = struct.pack("!BBH", first, mark | 126, claimed)
    else:
        head = struct.pack("!BBQ", first, mark | 127, claimed)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def deflated(payload):
    """A payload of permessage-deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def accepted(request, extra=b""):
    """The answer to a handshake."""
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    token = base64.b64encode(hashlib.sha1(key.partition(b":")[2].strip() + _GUID).digest())  # noqa: S324  the protocol's
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + token
        + b"\r\n"
        + extra
        + b"\r\n"
    )


def _message(random):
    document = random.choice((_ANSWER, _ANSWER, _ERROR, _ECHO, _NOTE))
    kind = random.random()
    if kind < 0.3:
        return text_of(document)
    if kind < 0.7:
        return text_of(bend(random, document, random.choice((1, 2))))
    if kind < 0.9:
        return bend_bytes(random, text_of(document))
    return random.choice(
        (b"", b"null", b"[" * 50_000, b'{"id":1,"error":' * 5000, text_of(hostile(random)), b"\xff\xfe")
    )


def _frames(random):
    sent = b""
    for _ in range(random.choice((1, 2, 4, 30))):
        kind = random.random()
        if kind < 0.45:
            sent += frame(random.choice((1, 1, 2)), _message(random))
        elif kind < 0.6:
            whole = _message(random)
            cut = random.randrange(len(whole) + 1)
            sent += frame(random.choice((1, 2)), whole[:cut], fin=False) + frame(random.choice((0, 0, 1)), whole[cut:])
        elif kind < 0.7:
            sent += frame(9, b"x" * random.choice((0, 125, 126))) * random.choice((1, 500))
        elif kind < 0.75:
            code = random.choice((0, 999, 1000, 1001, 1005, 1006, 1011, 3000, 4999, 65535))
            sent += frame(8, struct.pack("!H", code) + random.choice((b"", b"bye", b"\xff", b"\x1b[2J" + b"x" * 100)))
        elif kind < 0.85:
            sent += frame(1, deflated(_message(random)), flags=0x40)
        elif kind < 0.93:
            sent += frame(
                random.randrange(16),
                random.randbytes(random.choice((0, 5, 200))),
                fin=random.random() < 0.7,
                flags=random.choice((0, 0x10, 0x20, 0x40, 0x70)),
                length=random.choice((None, None, *_MAGNITUDES)),
                masked=random.random() < 0.2,
            )
        else:
            sent += random.randbytes(random.choice((1, 30, 2000)))
    return sent


_HEADS = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.1 206 Partial Content"),
    *(
        b"HTTP/1.1 301 x",
        b"HTTP/1.1 302 Found",
        b"HTTP/1.1 307 x",
        b"HTTP/1.1 401 no",
        b"HTTP/1.1 403 no",
        b"HTTP/1.1 404 x",
    ),
    *(b"HTTP/1.1 500 x", b"HTTP/1.1 503 busy", b"HTTP/1.1 999 ?", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 Switching"),
    *(b"HTTP/1.0 200 OK", b"HTTP/2 200", b"ICY 200 OK", b"", b"HTTP/1.1 200 \x1b[31m", b"HTTP/1.1 -1 x", b"<html>"),
)
_FIELDS = (
    *(b"Content-Type: application/json", b"Content-Type: text/html", b"Content-Type: \xff", b"Content-Encoding: gzip"),
    *(
        b"Content-Encoding: gzip, gzip, gzip",
        b"Content-Encoding: br",
        b"Content-Encoding: deflate",
        b"Content-Encoding: x",
    ),
    *(
        b"Location: http://[",
        b"Location: //other.example/x",
        b"Location: \x1b[2J",
        b"Location: /rest/v0/vms",
        b"Location:",
    ),
    b"Location: https://other.example/?" + MARKER.encode(),
    *(
        b"Location: http://a:b@c:99999/",
        b"Set-Cookie: authenticationToken=evil; Domain=127.0.0.1",
        b"Set-Cookie: =;;;\xff",
    ),
    *(b"Content-Length: 5", b"Content-Length: 99999999999999999999", b"Content-Length: -1", b"Content-Length: 2, 3"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Connection: close", b"X: " + b"y" * 60_000),
    *(
        b"no colon",
        b": empty",
        b"A: b\r\n folded",
        b"Sec-WebSocket-Extensions: permessage-deflate",
        b"X: " + b"y" * 200_000,
    ),
)


def _http(random):
    body = random.choice(
        (
            text_of(bend(random, [{"id": "x", "name_label": "y"}], 1)),
            text_of({"error": hostile(random)}),
            text_of({"error": f"Cookie: authenticationToken={MARKER}"}),
            text_of({"error": {"a": {"message": hostile(random)}}}),
            b"<html>" + b"x" * 1000,
            b"5\r\nhello\r\n0\r\n\r\n",
            b"ffffffffffffffff\r\nx",
            b"",
        )
    )
    if random.random() < 0.4:
        body = bend_bytes(random, gzip.compress(body)) if random.random() < 0.5 else gzip.compress(body)
    head = [random.choice(_HEADS[:12] if random.random() < 0.8 else _HEADS)]
    head += random.sample(_FIELDS, random.choice((0, 1, 1, 2, 4)))
    if random.random() < 0.6:
        head.append(b"Content-Length: %d" % len(body))
    answer = b"\r\n".join(head) + b"\r\n\r\n" + body
    return bend_bytes(random, answer) if random.random() < 0.15 else answer * random.choice((1, 1, 1, 2))


def make(random):
    """How it is served, and the bytes. ``handshake``: whether a right one comes first."""
    kind = random.choice(("rpc", "rpc", "http"))
    ending = random.choice((b"closed", b"closed", b"left open"))
    packed = random.random() < 0.5
    if kind == "http":
        return b"http %s\n" % ending + _http(random)
    if random.random() < 0.1:
        return b"rpc-bare %s\n" % ending + _http(random)
    return b"rpc%s %s\n" % (b"-deflate" if packed else b"", ending) + _frames(random)


def run(data):
    head, _, content = data.partition(b"\n")
    kind, _, ending = head.partition(b" ")
    with watched():
        return asyncio.run(_talk(kind.decode(), content, ending == b"closed"))


async def _talk(kind, content, closes):
    async def serve(reader, writer):
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if kind in ("rpc", "rpc-deflate"):
                writer.write(
                    accepted(request, b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if "-" in kind else b"")
                )
                await reader.read(1)  # the first call: answers come after it
            writer.write(content)
            await writer.drain()
            if not closes:
                await reader.read()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    served = []

    def connected(reader, writer):
        served.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        if kind == "http":
            async with Http(url, lambda: MARKER, tls=_TLS, timeout_s=TIMEOUT_S, retry_wait_s=0) as http:
                body = await http.get("/rest/v0/vms", {"fields": "id"})
            return f"http: {len(body) > 0}"
        async with Rpc(url, tls=_TLS, timeout_s=TIMEOUT_S) as rpc:
            return f"{kind}: {len(bytes(await rpc.call('session.signIn', {'token': MARKER}))) > 0}"
    except GuardError as error:
        text = str(error)
        if "\n" in text or len(text) > 2000:
            raise BrokenError(f"no clear sentence: {text[:300]!r}") from error
        check_text(clean(text))  # as the command line prints it
        return f"{kind} {outcome_of(1, '', f'guard: {text}')}"
    finally:
        server.close()
        for one in served:
            one.cancel()
        await asyncio.gather(*served, return_exceptions=True)
