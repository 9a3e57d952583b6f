"""REST calls: what comes back, what is tried again, what is not, and one sentence for each way it can fail."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import socketserver
import ssl
import threading
from pathlib import Path

import httpx
import pytest
import trustme
from guard import http
from guard.errors import (
    NotifyError,
    PolicyError,
    XoAnswerError,
    XoAuthError,
    XoError,
    XoTimeoutError,
    XoUnreachableError,
)
from guard.http import Http, Poster, said, tls_context

URL = "https://xo.example.org"
TLS = tls_context(None, verify=True)
JSON = {"content-type": "application/json; charset=utf-8"}
GZIP = {**JSON, "content-encoding": "gzip"}


class Server:
    """Answers in turn, the last one for good, and keeps the requests."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Body(httpx.AsyncByteStream):
    """A body in pieces, with a pause before each."""

    def __init__(self, *pieces, pause=0.0):
        self.pieces, self.pause = pieces, pause

    async def __aiter__(self):
        for piece in self.pieces:
            await asyncio.sleep(self.pause)
            yield piece


def get(*answers, path="/rest/v0/vms", params=None, url=URL, **options):
    """(body, server) of one GET."""
    server = Server(*answers)
    options = {"tls": TLS, "timeout_s": 5, "retry_wait_s": 0, "transport": httpx.MockTransport(server), **options}

    async def ask():
        async with Http(url, lambda: "the-token", **options) as client:
            return await client.get(path, params)

    return asyncio.run(ask()), server


def failing(kind, *answers, **options):
    """(what was said, how often XO was asked) of a GET that fails."""
    server = Server(*answers)
    options = {"tls": TLS, "timeout_s": 5, "retry_wait_s": 0, "transport": httpx.MockTransport(server), **options}

    async def ask():
        async with Http(URL, lambda: "the-token", **options) as client:
            await client.get("/rest/v0/vms")

    with pytest.raises(kind) as caught:
        asyncio.run(ask())
    assert type(caught.value) is kind
    text = str(caught.value)
    assert "\n" not in text
    assert "the-token" not in text
    return text, len(server.requests)


def answer(status=200, body=b"[]", headers=JSON):
    return httpx.Response(status, content=body, headers=headers)


def error(status, told):
    return answer(status, json.dumps({"error": told}).encode())


# --- what is sent and what comes back


def test_a_get_carries_the_token_as_a_cookie_asks_for_gzip_and_gives_the_body():
    body, server = get(answer(body=b'[{"id":"v"}]'), params={"fields": "id,$pool", "filter": "start:>5"})
    (request,) = server.requests
    assert body == b'[{"id":"v"}]'
    assert str(request.url.copy_with(query=None)) == "https://xo.example.org/rest/v0/vms"
    assert dict(request.url.params) == {"fields": "id,$pool", "filter": "start:>5"}
    assert request.headers["cookie"] == "authenticationToken=the-token"
    assert (request.headers["accept-encoding"], request.headers["accept"]) == ("gzip", "application/json")
    assert "authorization" not in request.headers


def test_a_closing_slash_in_the_address_does_no_harm():
    _, server = get(answer(), url=URL + "/")
    assert server.requests[0].url.path == "/rest/v0/vms"


def test_the_name_in_the_certificate_may_be_told():
    _, server = get(answer(), server_name="xo.internal")
    assert server.requests[0].extensions["sni_hostname"] == "xo.internal"
    assert "sni_hostname" not in get(answer())[1].requests[0].extensions


def test_a_gzip_answer_is_unpacked():
    packed = gzip.compress(b'["large"]')
    body, _ = get(httpx.Response(200, headers=GZIP, stream=Body(packed[:10], packed[10:])))
    assert body == b'["large"]'


def test_an_answer_without_a_content_type_is_taken():
    assert get(answer(headers={}))[0] == b"[]"


# --- what is certain: asked once


def test_a_redirect_is_not_followed_but_told_so_that_no_token_goes_astray():
    moved = httpx.Response(302, headers={"location": "https://other.example.org/rest/v0/vms?fields=id"})
    assert failing(XoUnreachableError, moved) == (
        "XO at https://xo.example.org redirects to https://other.example.org; configure that address as [xo] url",
        1,
    )


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://xo.example.org:8443/rest/v0/vms", "https://xo.example.org:8443"),
        ("/signin", "https://xo.example.org/signin"),
        ("//other.example.org/rest/v0/vms", "https://other.example.org"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_as_a_whole_address_whatever_its_kind(status, location, there):
    text, asked = failing(XoUnreachableError, httpx.Response(status, headers={"location": location}))
    assert (f"redirects to {there};" in text, asked) == (True, 1)


def test_a_redirect_that_does_not_tell_where_is_still_one():
    text, asked = failing(XoUnreachableError, httpx.Response(307))
    assert ("redirects to ?" in text, "[xo] url" in text, asked) == (True, True, 1)


def test_a_refused_token_is_told_with_the_other_cause_a_booting_xo():
    text, asked = failing(XoAuthError, error(401, "invalid credentials"))
    assert ("refused the token (401)" in text, "while it boots" in text, asked) == (True, True, 1)


def test_a_missing_right_is_told_with_xos_words():
    text, asked = failing(XoAuthError, error(403, "not enough privileges"))
    assert text.startswith("XO's token may not GET /rest/v0/vms (not enough privileges); give its user the right")
    assert asked == 1


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"<!DOCTYPE html>\n<pre>Cannot GET /rest/v0/moons</pre>", "404: no JSON in the answer"),
        (404, b'{"error":"no such VM x","data":{}}', "404: no such VM x"),
        (400, b'{"error":"double auth"}', "400: double auth"),
        (422, b'{"error":{"limit":{"message":"invalid float number","value":"abc"}}}', "422: limit: invalid float number"),
        (500, b'{"error":"no VMs match this pattern"}', "500: no VMs match this pattern"),
        (500, b"", "500: no JSON in the answer"),
    ],
)  # fmt: skip
def test_an_error_of_xo_is_told_in_xos_words_with_its_status(status, body, told):
    text, asked = failing(XoAnswerError, answer(status, body))
    assert (text, asked) == (f"XO answered GET /rest/v0/vms with {told}", 1)


def test_an_answer_error_keeps_its_status():
    with pytest.raises(XoAnswerError) as caught:
        get(error(500, "boom"))
    assert (caught.value.status, caught.value.code) == (500, None)


def test_a_web_page_where_json_should_be_is_told_as_a_wrong_address():
    text, asked = failing(XoAnswerError, answer(body=b"<html>", headers={"content-type": "text/html"}))
    assert ("a web page instead of JSON" in text, "[xo] url" in text, asked) == (True, True, 1)


def test_a_gzip_that_is_none_is_told():
    broken = httpx.Response(200, headers=GZIP, stream=Body(b"no gzip at all"))
    text, asked = failing(XoAnswerError, broken)
    assert ("is no valid gzip" in text, asked) == (True, 1)


def test_a_body_is_read_up_to_the_limit_and_not_a_byte_further(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 10)
    assert get(httpx.Response(200, headers=JSON, stream=Body(b"12345", b"67890")))[0] == b"1234567890"
    endless = httpx.Response(200, headers=JSON, stream=Body(b"123456", b"78901", b"never read"))
    text, asked = failing(XoAnswerError, endless)
    assert (text, asked) == ("XO's answer to GET /rest/v0/vms is larger than 10 bytes; guard gave up", 1)


def test_an_error_page_without_end_is_read_as_far_as_it_takes_to_tell_what_is_wrong(monkeypatch):
    monkeypatch.setattr(http, "MAX_ERROR_BYTES", 10)
    read = []

    async def endless():
        for number in range(1000):
            read.append(number)
            yield b"<html>"

    text, asked = failing(XoAnswerError, httpx.Response(500, headers=JSON, content=endless()))
    assert (text, asked) == ("XO answered GET /rest/v0/vms with 500: no JSON in the answer", 1)
    assert len(read) < 10


def test_a_small_gzip_that_unpacks_to_a_lot_is_given_up_too(monkeypatch):
    monkeypatch.setattr(http, "MAX_BODY_BYTES", 10_000)
    packed = gzip.compress(b" " * 1_000_000)
    assert len(packed) < 10_000
    bomb = httpx.Response(200, headers=GZIP, stream=Body(packed))
    assert "larger than 10000 bytes" in failing(XoAnswerError, bomb)[0]


@pytest.mark.parametrize(
    ("reason", "said_of_it"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "is not trusted"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch, certificate is not valid for 'xo'", "server_name"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "speaks http, not https"),
        ("[SSL: RECORD_LAYER_FAILURE] record layer failure", "speaks http, not https"),
        ("[SSL: TLSV1_ALERT_PROTOCOL_VERSION] tlsv1 alert protocol version", "does not speak TLS as it should"),
        ("[Errno -2] Name or service not known", "The name in https://xo.example.org is not known"),
        ("[Errno 8] nodename nor servname provided (getaddrinfo failed)", "is not known"),
        ("[Errno -3] Temporary failure in name resolution", "is not known"),
    ],
)
def test_a_connection_that_cannot_ever_work_is_told_by_its_cause_and_not_tried_again(reason, said_of_it):
    text, asked = failing(XoUnreachableError, httpx.ConnectError(reason))
    assert (said_of_it in text, reason in text, asked) == (True, True, 1)


def test_an_address_of_another_kind_is_told():
    text, asked = failing(XoUnreachableError, httpx.UnsupportedProtocol("unsupported protocol 'ftp://'"))
    assert ("is no URL of an XO" in text, "Set [xo] url" in text, asked) == (True, True, 1)


# --- what passes: tried three times


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_busy_xo_is_asked_again_and_its_answer_taken(status):
    body, server = get(error(status, "busy"), error(status, "busy"), answer(body=b"[1]"))
    assert (body, len(server.requests)) == (b"[1]", 3)


def test_an_xo_that_stays_busy_is_told_after_three_tries():
    text, asked = failing(XoAnswerError, error(503, "busy"))
    assert (text, asked) == ("XO answered GET /rest/v0/vms with 503: busy", 3)


@pytest.mark.parametrize(
    "lost",
    [
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.ReadError("connection reset"),
        httpx.WriteError("broken pipe"),
        httpx.ReadError(""),
    ],
)
def test_a_connection_lost_in_the_middle_is_tried_again_and_told_as_a_restart(lost):
    assert get(lost, answer(body=b"[1]"))[0] == b"[1]"
    text, asked = failing(XoUnreachableError, lost)
    assert (f"broke off in the middle of GET /rest/v0/vms ({lost!s}" in text, "restarting" in text, asked) == (
        True,
        True,
        3,
    )
    assert "()" not in text


def test_a_refused_connection_is_tried_again_and_told():
    refused = httpx.ConnectError("[Errno 111] Connection refused")
    assert get(refused, answer())[0] == b"[]"
    text, asked = failing(XoUnreachableError, refused)
    assert ("No XO answers at https://xo.example.org" in text, "Connection refused" in text, asked) == (True, True, 3)


# --- the total time


def test_a_body_that_dribbles_is_bounded_by_the_total_time_of_the_call():
    dribble = httpx.Response(200, headers=JSON, stream=Body(*[b" "] * 1000, pause=0.02))
    text, asked = failing(XoTimeoutError, dribble, timeout_s=0.1)
    assert asked == 1
    assert text == (
        "XO did not finish answering GET /rest/v0/vms within 0.1 s; it is overloaded or hung. "
        "Try again, or raise [xo] call_timeout"
    )


def test_the_total_time_bounds_the_tries_and_the_waits_between_them_together():
    text, asked = failing(XoTimeoutError, error(503, "busy"), timeout_s=0.1, retry_wait_s=30)
    assert ("within 0.1 s" in text, asked) == (True, 1)


# --- certificates


def test_a_ca_file_that_is_none_is_the_policys_fault(tmp_path):
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("nonsense")
    for path in (nonsense, tmp_path / "missing.pem"):
        with pytest.raises(
            PolicyError, match=f"ca_file {re.escape(str(path))}: cannot be used .*expected a readable PEM"
        ):
            tls_context(path, verify=True)


def test_certificates_are_checked_unless_the_policy_says_otherwise():
    strict, lax = tls_context(None, verify=True), tls_context(None, verify=False)
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)


def test_only_the_named_ca_is_trusted_once_one_is_named(tmp_path):
    root = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(root))
    assert len(tls_context(root, verify=True).get_ca_certs()) == 1


def over_a_socket(certificate, **options):
    """One GET from an HTTPS server with a certificate for ``xo.example.org`` on loopback."""

    async def serve(reader, writer):
        await reader.read(10_000)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]"
        )
        await writer.drain()
        writer.close()

    async def ask():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificate)
        port = server.sockets[0].getsockname()[1]
        async with (
            server,
            Http(f"https://127.0.0.1:{port}", lambda: "t", timeout_s=5, retry_wait_s=0, **options) as client,
        ):
            return await client.get("/rest/v0/vms")

    return asyncio.run(ask())


def test_a_certificate_of_another_name_is_refused_until_that_name_is_told(tmp_path):
    authority = trustme.CA()
    server, root = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), tmp_path / "ca.pem"
    authority.issue_cert("xo.example.org").configure_cert(server)
    authority.cert_pem.write_to_path(str(root))
    trusting = tls_context(root, verify=True)
    with pytest.raises(XoUnreachableError, match=r"is not trusted .*server_name if the name differs"):
        over_a_socket(server, tls=trusting)
    with pytest.raises(XoUnreachableError, match=r"is not trusted .*Set \[xo\] ca_file to the CA"):
        over_a_socket(server, tls=TLS, server_name="xo.example.org")
    assert over_a_socket(server, tls=trusting, server_name="xo.example.org") == b"[]"
    assert over_a_socket(server, tls=tls_context(None, verify=False)) == b"[]"


def test_https_on_a_port_that_speaks_plain_http_is_not_called_a_bad_certificate():
    with pytest.raises(XoUnreachableError, match=r"speaks http, not https .*its scheme, and the port"):
        over_a_socket(None, tls=TLS)


def test_a_port_where_nothing_listens_is_told_after_the_tries():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    async def ask():
        async with Http(url, lambda: "t", tls=TLS, timeout_s=5, retry_wait_s=0) as client:
            await client.get("/rest/v0/vms")

    with pytest.raises(XoUnreachableError, match=f"No XO answers at {url}"):
        asyncio.run(ask())


# --- error bodies


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"boom"}', "boom"),
        (b'{"error":{"a":{"message":"bad a"},"b":{"message":"bad b"}}}', "a: bad a; b: bad b"),
        (b'{"error":{"a":"bad"}}', "a: bad"),
        (b'{"error":{"a":{"value":5}}}', "a: {'value': 5}"),
        (b'{"error":5}', "5"),
        (b'{"error":""}', "no reason given"),
        (b'{"error":{}}', "no reason given"),
        (b'{"message":"boom"}', "no JSON in the answer"),
        (b'["boom"]', "no JSON in the answer"),
        (b'"boom"', "no JSON in the answer"),
        (b"<html>", "no JSON in the answer"),
        (b"\xff\xfe", "no JSON in the answer"),
        (b"[" * 100_000, "no JSON in the answer"),
        (b"", "no JSON in the answer"),
    ],
)
def test_an_error_body_of_any_kind_becomes_words(body, text):
    assert said(body) == text


def test_an_error_that_carries_a_whole_object_is_cut_to_what_a_person_reads():
    assert said(json.dumps({"error": "x" * 300}).encode()) == "x" * 300
    assert said(json.dumps({"error": "x" * 301}).encode()) == "x" * 300 + "..."


# --- what a hostile server may send


def test_an_answer_packed_more_than_once_is_refused_unread():
    packed = httpx.Response(200, headers={**JSON, "content-encoding": "gzip, gzip"}, stream=Body(b"never read"))
    assert "is packed as gzip, gzip; guard asked for gzip only" in failing(XoAnswerError, packed)[0]


def test_a_gzip_is_unpacked_in_pieces_of_bounded_size(monkeypatch):
    monkeypatch.setattr(http, "PIECE_BYTES", 100)
    body = bytes(range(256)) * 50
    found = httpx.Response(200, headers=GZIP, stream=Body(gzip.compress(body) + b"what comes after it"))
    assert get(found)[0] == body


def test_a_redirect_to_nowhere_is_no_crash():
    text, _ = failing(XoUnreachableError, httpx.Response(302, headers={"location": "http://["}))
    assert "redirects to an address that is none" in text


def test_a_cookie_that_an_answer_sets_is_never_sent_back():
    evil = httpx.Response(503, headers={"set-cookie": "authenticationToken=evil; Path=/"}, content=b"{}")
    _, server = get(evil, answer())
    assert [one.headers["cookie"] for one in server.requests] == ["authenticationToken=the-token"] * 2


@pytest.mark.parametrize(
    "hostile",
    [
        error(500, "authenticationToken=the-token"),
        error(403, {"x": {"message": "the-token"}}),
        httpx.Response(302, headers={"location": "https://other/the-token"}),
    ],
)
def test_a_token_that_xo_repeats_is_not_told(hostile):
    with pytest.raises(XoError) as caught:
        get(hostile)
    assert "the-token" not in str(caught.value)
    assert "***" in str(caught.value)


def test_what_broke_off_is_told_shortly_and_without_the_token():
    text, _ = failing(XoUnreachableError, httpx.RemoteProtocolError("illegal header line: the-token " + "x" * 5000))
    assert len(text) < 600


@pytest.mark.parametrize("url", ["http://[v1.a]", "https://a\tb"])
def test_an_address_that_no_client_takes_is_told(url):
    with pytest.raises(XoUnreachableError, match=r"is no URL of an XO: .* Set \[xo\] url"):
        get(answer(), url=url)


def test_a_question_longer_than_any_url_is_no_crash():
    with pytest.raises(XoAnswerError, match="guard cannot ask XO for /rest/v0/vms"):
        get(answer(), params={"fields": "x" * 100_000})


def test_a_ca_file_that_is_no_path_is_the_policys_fault():
    with pytest.raises(PolicyError, match=r"ca_file .* cannot be used"):
        tls_context(Path("/a\0b"), verify=True)


# --- a server without TLS where https is asked for


@pytest.fixture
def plain():
    """The port of a server that answers whatever it is sent in plain HTTP."""
    with socketserver.TCPServer(("127.0.0.1", 0), PlainHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


class PlainHandler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def test_https_asked_of_a_server_that_speaks_http_is_told_as_that(plain):
    async def asked():
        async with Http(f"https://127.0.0.1:{plain}", str, tls=tls_context(None, verify=False), timeout_s=10) as http:
            await http.get("/rest/v0/ping")

    with pytest.raises(XoUnreachableError, match="speaks http, not https"):
        asyncio.run(asked())


def test_a_webhook_with_https_to_a_server_that_speaks_http_is_told_as_that(plain):
    poster = Poster("notify.webhook", tls=tls_context(None, verify=False), timeout_s=10)
    with pytest.raises(NotifyError, match=r"speaks http, not https .* Check the address in \[notify.webhook\]"):
        asyncio.run(poster.post(f"https://127.0.0.1:{plain}/hook", b"{}", {}))
