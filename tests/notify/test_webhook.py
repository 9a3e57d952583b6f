"""The webhook against a real HTTP server: what arrives, and one sentence without a secret for each way it can fail."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

import pytest
import trustme
from guard.errors import NotifyError, PolicyError
from guard.http import Poster, origin, tls_context
from guard.notify.message import from_bytes, key
from guard.notify.secret import Secret
from guard.notify.webhook import Webhook
from tests.notify.servers import CLOSE, HANG, Web, serving
from tests.notify.told import House, message

TLS = tls_context(None, verify=True)
TOKEN = "hunter2-token"


def webhook(url, tls=TLS, timeout_s=2.0):
    return Webhook(url, Poster("notify.webhook", tls=tls, timeout_s=timeout_s), Secret(TOKEN))


def failing(*answers, timeout_s=2.0):
    """(what was said, the server) of a message that was not taken."""
    web = Web(answers=list(answers))

    async def run():
        async with serving(web):
            with pytest.raises(NotifyError) as caught:
                await webhook(web.url("/T000/path-secret?key=query-secret"), timeout_s=timeout_s).send(message())
        return str(caught.value)

    text = asyncio.run(run())
    for secret in (TOKEN, "path-secret", "query-secret"):
        assert secret not in text
    assert "\n" not in text
    return text.replace(str(web.port), "PORT"), web


def test_a_message_arrives_as_one_json_document_with_the_token_and_a_key():
    web = Web()

    async def run():
        async with serving(web):
            await webhook(web.url("/T000/x?y=1")).send(message(title="Jürgen's VM is held", text="日本\nx"))

    asyncio.run(run())
    (request,) = web.requests
    told = from_bytes(request.body)
    assert (request.method, request.path) == ("POST", "/T000/x?y=1")
    assert (told.title, told.text) == ("Jürgen's VM is held", "日本\nx")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == key(told)
    assert "cookie" not in request.headers


def test_without_a_token_none_is_sent():
    web = Web(answers=[204])

    async def run():
        async with serving(web):
            await Webhook(web.url(), Poster("notify.webhook", tls=TLS, timeout_s=2)).send(message())

    asyncio.run(run())
    assert "authorization" not in web.requests[0].headers


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "http://127.0.0.1:PORT answered 500 Internal Server Error"),
        (503, "answered 503 Service Unavailable"),
        (599, "answered 599"),
        (401, "answered 401 Unauthorized. Check the file of the secret in [notify.webhook]"),
        (403, "Check the file of the secret"),
        (404, "answered 404 Not Found. Check the address in [notify.webhook]"),
        (410, "Check the address"),
        ((302, {"Location": "https://sso.example.org/login?next=path-secret"}), "redirects (302) to https://sso.example.org; set"),
        ((307, {"Location": "/path-secret"}), "redirects (307) to itself"),
        ((308, {"Location": "http://[path-secret"}), "redirects (308) to an address that is none"),
        (301, "redirects (301) to itself"),
        (CLOSE, "http://127.0.0.1:PORT broke off (RemoteProtocolError)"),
    ],
)  # fmt: skip
def test_what_was_not_taken_is_told_with_what_to_check_and_without_the_path(answer, said):
    text, web = failing(answer)
    assert said in text
    assert len(web.requests) == 1  # no redirect is followed, nothing tried twice


def test_a_server_that_hangs_is_left_after_the_time_limit():
    assert "did not answer within 0.1 s" in failing(HANG, timeout_s=0.1)[0]


def test_a_port_where_nobody_listens_is_told():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotifyError, match=f"http://127.0.0.1:{port} cannot be reached"):
        asyncio.run(webhook(f"http://127.0.0.1:{port}/path-secret").send(message()))


@pytest.mark.parametrize("url", ["ftp://h/path-secret", "http://[", "http://h:99999/path-secret", "http://" + "x" * 70])
def test_an_address_that_is_none_is_told_without_its_path(url):
    with pytest.raises(NotifyError) as caught:
        asyncio.run(webhook(url).send(message()))
    assert "path-secret" not in str(caught.value)


def test_a_certificate_of_a_ca_nobody_knows_is_not_trusted_and_the_token_stays_here():
    ca = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(server)
    web = Web()
    mine = ssl.create_default_context()
    ca.configure_trust(mine)

    async def run():
        async with serving(web, server):
            with pytest.raises(NotifyError, match=r"certificate of https://127.0.0.1:\d+ is not trusted .*ca_file"):
                await webhook(web.url()).send(message())
            assert web.requests == []
            await webhook(web.url(), tls=mine).send(message())

    asyncio.run(run())
    assert len(web.requests) == 1


def test_a_ca_file_that_cannot_be_used_names_its_own_section(tmp_path):
    (tmp_path / "ca").write_text("no PEM")
    with pytest.raises(PolicyError, match=r"\[notify.webhook\] ca_file .*expected a readable PEM file"):
        tls_context(tmp_path / "ca", verify=True, section="notify.webhook")


def test_nothing_of_a_secret_is_ever_logged(caplog):
    caplog.set_level(logging.DEBUG)
    failing(500)
    test_a_message_arrives_as_one_json_document_with_the_token_and_a_key()
    assert TOKEN not in caplog.text
    assert "path-secret" not in caplog.text
    assert "T000" not in caplog.text


def test_through_the_queue_a_webhook_that_comes_back_gets_each_message_once():
    web = Web(answers=[500, HANG, 200])

    async def run():
        async with serving(web):
            house = House(webhook(web.url(), timeout_s=0.1))
            await house.queue.tell(message())
            await house.live(minutes=10)
            return await house.status("webhook")

    status = asyncio.run(run())
    assert [from_bytes(request.body) for request in web.requests] == [message()] * 3
    assert (status.sent, status.failed, status.waiting) == (1, 2, 0)


def test_an_origin_is_what_of_a_url_may_be_told():
    assert origin("https://me:pw@h.example.org:8443/x?y#z") == "https://h.example.org:8443"
    assert origin("http://h") == "http://h"
    assert origin("/x") == "itself"
    assert origin("http://h:99999") == "an address that is none"
