"""JSON-RPC against a tiny WebSocket server: calls in flight, frames nobody asked for, and every way to be let down."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
from contextlib import asynccontextmanager
from http import HTTPStatus

import msgspec
import pytest
import trustme
from guard.errors import XoAnswerError, XoAuthError, XoTimeoutError, XoUnreachableError
from guard.http import tls_context
from guard.xo import rpc as rpc_module
from guard.xo.rpc import Rpc
from websockets.asyncio.server import serve

TLS = tls_context(None, verify=True)


@asynccontextmanager
async def listening(handler, **options):
    """The address of a WebSocket server that gives each connection to ``handler``."""
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, close_timeout=0.1, **options) as server:
        scheme = "https" if options.get("ssl") else "http"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def talk(handler, conversation, *, timeout_s=5, serving=None, **options):
    """What ``conversation(rpc)`` gives, over one connection to ``handler(connection, request)`` for each request."""

    async def answer(connection):
        async for text in connection:
            await handler(connection, json.loads(text))

    async def both():
        more = {"tls": TLS, "timeout_s": timeout_s, **options}
        async with listening(answer, **(serving or {})) as url, Rpc(url, **more) as rpc:
            return await conversation(rpc)

    return asyncio.run(both())


def ask(handler, method="system.getServerVersion", **options):
    return talk(handler, lambda rpc: rpc.call(method), **options)


async def reply(connection, request, **answer):
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}))


async def echo(connection, request):
    await reply(connection, request, result=request)


def test_a_call_is_a_json_rpc_request_and_gives_the_raw_result():
    async def conversation(rpc):
        return [await rpc.call("vm.get", {"id": "v"}), await rpc.call("job.getAll")]

    first, second = map(msgspec.json.decode, talk(echo, conversation))
    assert first == {"jsonrpc": "2.0", "id": 1, "method": "vm.get", "params": {"id": "v"}}
    assert second == {"jsonrpc": "2.0", "id": 2, "method": "job.getAll", "params": {}}


def test_an_answer_without_a_result_is_null():
    assert bytes(ask(lambda connection, request: reply(connection, request))) == b"null"


@pytest.mark.parametrize("closing", ["", "/"])
def test_the_handshake_asks_for_exactly_api_and_a_slash_without_any_query(closing):
    paths = []

    async def handler(connection):
        paths.append(connection.request.path)

    async def connect():
        async with listening(handler) as url, Rpc(url.upper() + closing, tls=TLS, timeout_s=5):
            pass

    asyncio.run(connect())
    assert paths == ["/api/"]


def test_answers_may_come_in_another_order_than_the_calls():
    waiting = []

    async def handler(connection, request):
        waiting.append(request)
        if len(waiting) == 3:
            for one in reversed(waiting):
                await reply(connection, one, result=one["method"])

    async def conversation(rpc):
        return await asyncio.gather(*(rpc.call(name) for name in "abc"))

    assert [bytes(one) for one in talk(handler, conversation)] == [b'"a"', b'"b"', b'"c"']


def test_what_nobody_asked_for_is_dropped():
    async def handler(connection, request):
        await connection.send('{"jsonrpc":"2.0","method":"all","params":{"type":"enter","items":{"x":{"id":"x"}}}}')
        await connection.send('{"jsonrpc":"2.0","id":999,"result":"stray"}')
        await connection.send('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}')
        await connection.send("<html>no JSON</html>")
        await connection.send(b'{"id":1,"error":{"message":"\xff"}}')
        await connection.send("[" * 100_000)
        await connection.send('{"id":"text","result":1}')
        await reply(connection, request, result="right")
        await reply(connection, request, result="the same once more")

    assert bytes(ask(handler)) == b'"right"'


def test_a_frame_of_several_megabytes_is_taken():
    async def handler(connection, request):
        await connection.send(json.dumps({"method": "all", "params": "x" * 3_000_000}))
        await reply(connection, request, result="x" * 2_000_000)

    assert len(bytes(ask(handler))) == 2_000_002


def test_a_frame_beyond_the_limit_ends_the_connection_in_one_sentence(monkeypatch):
    monkeypatch.setattr(rpc_module, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(XoUnreachableError, match="XO closed"):
        ask(lambda connection, request: reply(connection, request, result="x" * 2000))


# --- errors XO tells


@pytest.mark.parametrize("code", [2, 3, 5, 8])
def test_a_refusal_is_a_matter_of_rights_and_says_so(code):
    with pytest.raises(
        XoAuthError, match=rf"XO refused system.getServerVersion: not enough permissions \(JSON-RPC code {code}\)"
    ):
        ask(
            lambda connection, request: reply(
                connection, request, error={"code": code, "message": "not enough permissions"}
            )
        )


def test_a_refusal_without_words_is_still_a_sentence():
    with pytest.raises(XoAuthError, match=r"XO refused system.getServerVersion: no reason given"):
        ask(lambda connection, request: reply(connection, request, error={"code": 2}))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": -32601, "message": "method not found: x", "data": "x"}, -32601),
        ({"code": 10, "message": "method not found: x", "data": {"errors": []}}, 10),
        ({"code": "ENOENT", "message": "method not found: x"}, None),
        ({"message": "method not found: x"}, None),
    ],
)
def test_any_other_error_keeps_xos_words_and_its_number(error, code):
    with pytest.raises(
        XoAnswerError,
        match=f"XO answered system.getServerVersion with an error: method not found: x .JSON-RPC code {code}",
    ) as caught:
        ask(lambda connection, request: reply(connection, request, error=error))
    assert (caught.value.code, caught.value.status) == (code, None)


def test_one_call_that_fails_does_not_fail_the_others():
    async def handler(connection, request):
        answer = {"error": {"message": "boom"}} if request["method"] == "bad" else {"result": 1}
        await reply(connection, request, **answer)

    async def conversation(rpc):
        return await asyncio.gather(rpc.call("bad"), rpc.call("good"), return_exceptions=True)

    bad, good = talk(handler, conversation)
    assert (type(bad), bytes(good)) == (XoAnswerError, b"1")


# --- connections that end


def test_a_connection_closed_in_the_middle_of_calls_loses_all_of_them_at_once():
    seen = []

    async def handler(connection, request):
        seen.append(request)
        if len(seen) == 2:
            await connection.close(1001)

    async def conversation(rpc):
        return await asyncio.gather(rpc.call("a"), rpc.call("b"), return_exceptions=True)

    lost = talk(handler, conversation)
    assert [type(one) for one in lost] == [XoUnreachableError] * 2
    assert [str(one).partition(" in the middle of ")[2] for one in lost] == [
        f"{name}; it may be restarting. Try again in a minute" for name in "ab"
    ]


def test_a_connection_cut_without_a_word_is_lost_too():
    async def handler(connection, request):
        connection.transport.abort()

    with pytest.raises(XoUnreachableError, match="restarting"):
        ask(handler)


def test_a_call_after_the_connection_ended_is_told_at_once():
    async def handler(connection, request):
        await connection.close()

    async def conversation(rpc):
        with pytest.raises(XoUnreachableError):
            await rpc.call("first")
        await rpc.call("job.getAll")

    with pytest.raises(XoUnreachableError, match=r"XO closed ws://127\.0\.0\.1:\d+/api/ in the middle of job\.getAll"):
        talk(handler, conversation, timeout_s=30)


def test_a_request_that_cannot_be_sent_to_its_end_is_lost_without_a_trace_in_the_log(caplog):
    async def handler(connection):
        connection.transport.pause_reading()
        await asyncio.sleep(0.05)
        connection.transport.abort()

    noise = random.Random(1).randbytes(4_000_000).hex()  # nothing a compression could make small

    async def both():
        async with listening(handler) as url, Rpc(url, tls=TLS, timeout_s=5) as rpc:
            await rpc.call("too.large", {"text": noise})

    with pytest.raises(XoUnreachableError, match=r"in the middle of too\.large"):
        asyncio.run(both())
    assert [one.message for one in caplog.records if one.name == "asyncio"] == []


# --- time


async def silent(connection, request):
    """No answer."""


def test_a_call_without_an_answer_ends_after_its_time():
    with pytest.raises(XoTimeoutError, match=r"XO did not answer system\.getServerVersion within 0\.1 s"):
        ask(silent, timeout_s=0.1)


def test_an_answer_that_comes_too_late_is_not_taken_for_another_call():
    late = []

    async def handler(connection, request):
        late.append(request)
        for one in late[:-1]:
            await reply(connection, one, result="late")
        if len(late) == 2:
            await reply(connection, request, result="in time")

    async def conversation(rpc):
        with pytest.raises(XoTimeoutError):
            await rpc.call("slow")
        return await rpc.call("quick")

    assert bytes(talk(handler, conversation, timeout_s=0.2)) == b'"in time"'


def test_a_server_that_does_not_shake_hands_ends_after_its_time():
    async def both():
        release = asyncio.Event()

        async def mute(reader, writer):
            await release.wait()
            writer.transport.abort()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                async with Rpc(url, tls=TLS, timeout_s=0.1):
                    pass
            finally:
                release.set()

    with pytest.raises(XoTimeoutError, match=r"XO did not open ws://127\.0\.0\.1:\d+/api/ within 0\.1 s"):
        asyncio.run(both())


def test_leaving_does_not_wait_for_a_server_that_hangs():
    async def both():
        held = asyncio.Event()

        async def hanging(connection):
            connection.transport.pause_reading()  # never sees the closing frame
            await held.wait()
            connection.transport.resume_reading()

        async with listening(hanging) as url:
            async with asyncio.timeout(1):
                async with Rpc(url, tls=TLS, timeout_s=5):
                    await asyncio.sleep(0)
            held.set()

    asyncio.run(both())


# --- connections that never begin


def opening(url, **options):
    async def connect():
        async with Rpc(url, **{"tls": TLS, **options}, timeout_s=5):
            pass

    with pytest.raises(XoUnreachableError) as caught:
        asyncio.run(connect())
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_port_where_nothing_listens_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        text = opening(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert text.startswith("No XO opens ws://127.0.0.1:")
    assert text.endswith("Check [xo] url, and that xo-server runs")


@pytest.mark.parametrize(
    "url",
    ["http://xo..example.org", "http://127.0.0.1:99999", "http://127.0.0.1:port", "http://[::1", "ftp://127.0.0.1"],
)
def test_an_address_that_cannot_be_one_is_told_and_never_crashes(url):
    assert "Check [xo] url" in opening(url)


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (HTTPStatus.BAD_GATEWAY, {}, "502"),
        (HTTPStatus.OK, {"Content-Type": "text/html"}, "200"),
        (HTTPStatus.MOVED_PERMANENTLY, {"Location": "https://xo.example.org/api/"}, "https://xo.example.org"),
    ],
)
def test_something_that_is_no_xo_is_told_by_what_it_answers(status, headers, said):
    def refuse(connection, request):
        answer = connection.respond(status, "no XO here")
        for name, value in headers.items():
            answer.headers.pop(name, None)
            answer.headers[name] = value
        return answer

    with pytest.raises(XoUnreachableError, match=f"No XO opens .*{said}.*Check .xo. url"):
        ask(silent, serving={"process_request": refuse})


# --- certificates


@pytest.fixture
def certificate(tmp_path):
    """(the server's TLS, the path of its CA) for the name xo.example.org."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("xo.example.org").configure_cert(server)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return server, tmp_path / "ca.pem"


def test_a_certificate_nobody_vouches_for_is_told_with_what_to_set(certificate):
    with pytest.raises(XoUnreachableError, match=r"certificate of wss://.* is not trusted .*Set \[xo\] ca_file"):
        ask(echo, serving={"ssl": certificate[0]}, server_name="xo.example.org")


def test_a_certificate_of_another_name_is_refused_until_that_name_is_told(certificate):
    server, root = certificate
    trusting = tls_context(root, verify=True)
    with pytest.raises(XoUnreachableError, match=r"is not trusted .*server_name if the name differs"):
        ask(echo, serving={"ssl": server}, tls=trusting)
    assert ask(echo, serving={"ssl": server}, tls=trusting, server_name="xo.example.org")
    assert ask(echo, serving={"ssl": server}, tls=tls_context(None, verify=False))


def test_a_name_in_the_certificate_means_nothing_where_there_is_no_tls():
    assert ask(echo, server_name="xo.example.org")


def test_a_redirect_is_not_followed_so_that_no_token_goes_astray():
    asked = []

    async def elsewhere(connection):
        asked.append(connection.request.path)

    async def both():
        async with listening(elsewhere) as there:

            def send_there(connection, request):
                answer = connection.respond(HTTPStatus.FOUND, "")
                answer.headers["Location"] = there.replace("http", "ws") + "/api/"
                return answer

            async with listening(elsewhere, process_request=send_there) as url, Rpc(url, tls=TLS, timeout_s=5):
                pass

    with pytest.raises(XoUnreachableError, match=r"which leads to ws://127\.0\.0\.1:"):
        asyncio.run(both())
    assert asked == []


def test_two_places_to_go_to_are_no_crash():
    def refuse(connection, request):
        answer = connection.respond(HTTPStatus.FOUND, "")
        answer.headers["Location"] = "http://["
        answer.headers["Location"] = "http://b"
        return answer

    with pytest.raises(XoUnreachableError, match="which leads to an address that is none"):
        ask(silent, serving={"process_request": refuse})


def test_a_token_that_xo_repeats_is_not_told():
    async def echoing(connection, request):
        await reply(connection, request, error={"code": 3, "message": f"bad {request['params']['token']}"})

    async def conversation(rpc):
        await rpc.call("session.signIn", {"token": "s3cr3t"})

    with pytest.raises(XoAuthError, match=r"bad \*\*\*"):
        talk(echoing, conversation)


def test_an_error_as_large_as_a_whole_answer_is_not_read():
    with pytest.raises(XoAnswerError, match="an error too long to be read"):
        ask(lambda connection, request: reply(connection, request, error={"message": "x" * 100_000}))
