"""Pings against a real HTTP server: which address for which event, and what a newer ping has overtaken."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.errors import NotifyError
from guard.http import Poster, tls_context
from guard.notify.healthchecks import BODY_BYTES, Healthchecks
from guard.notify.secret import Secret
from tests.notify.servers import Web, serving
from tests.notify.told import NOW, House, message

POSTER = Poster("notify.healthchecks", tls=tls_context(None, verify=True), timeout_s=2.0)


def pinged(web, *messages, **options):
    """The paths that were POSTed."""

    async def run():
        async with serving(web):
            given = {name: web.url(path) for name, path in options.items() if name.endswith("url")}
            schedules = {name: web.url(path) for name, path in options.get("schedules", {}).items()}
            channel = Healthchecks(POSTER, **given, schedules=schedules, ping_key=options.get("ping_key"))
            for one in messages:
                await channel.send(one)

    asyncio.run(run())
    return [request.path for request in web.requests]


def ping(event, schedule="s1", minutes=0, **more):
    return message("record", event, schedule=schedule, at=NOW + timedelta(minutes=minutes), **more)


@pytest.mark.parametrize(
    ("event", "path"),
    [("start", "/p/s1/start"), ("success", "/p/s1"), ("fail", "/p/s1/fail"), ("log", "/p/s1/log")],
)
def test_each_event_has_its_address_and_the_message_as_body(event, path):
    web = Web()
    assert pinged(web, ping(event, title="Bürostart", text="line 1\nline 2"), url="/p/{schedule_id}") == [path]
    assert web.requests[0].method == "POST"
    assert web.requests[0].body.decode() == "Bürostart\n\nline 1\nline 2"
    assert web.requests[0].headers["content-type"] == "text/plain; charset=utf-8"


def test_a_schedule_may_have_a_check_of_its_own_and_guard_has_one_too():
    assert pinged(
        Web(),
        ping("start", "s1"),
        ping("start", "s2"),
        ping("success", None),
        url="/p/{schedule_id}",
        loop_url="/loop/",
        schedules={"s2": "/own"},
    ) == ["/p/s1/start", "/own/start", "/loop"]


def test_the_ping_key_comes_from_its_file_and_ids_are_quoted():
    paths = pinged(Web(), ping("start", "a/b c"), url="/{ping_key}/{schedule_id}", ping_key=Secret("hunter2"))
    assert paths == ["/hunter2/a%2Fb%20c/start"]


def test_what_has_no_check_or_is_no_ping_is_not_sent():
    assert pinged(Web(), ping("start"), ping("success", None)) == []
    assert pinged(Web(), ping("alarm"), ping("digest"), url="/{schedule_id}", loop_url="/l") == []


def test_a_schedule_whose_check_was_emptied_is_not_pinged():
    channel = Healthchecks(POSTER, url="https://hc.example.org/{schedule_id}", schedules={"s1": ""})
    assert not channel.wants(ping("start", "s1"))
    assert channel.wants(ping("start", "s2"))


def test_a_ping_that_a_newer_one_has_overtaken_is_not_sent_and_a_log_changes_nothing():
    assert pinged(
        Web(),
        ping("log", minutes=60),
        ping("success", minutes=30),
        ping("start", minutes=0),
        ping("start", "s2", minutes=0),
        ping("log", minutes=0),
        ping("fail", minutes=30),
        url="/{schedule_id}",
    ) == ["/s1/log", "/s1", "/s2/start", "/s1/log", "/s1/fail"]


def test_a_long_text_is_cut_between_characters():
    web = Web()
    pinged(web, ping("log", text="é" * 20_000), url="/{schedule_id}")
    body = web.requests[0].body
    assert BODY_BYTES - 2 < len(body) <= BODY_BYTES
    assert body.decode().endswith("é")


def test_an_error_never_holds_the_ping_key():
    with pytest.raises(NotifyError, match="answered 404 Not Found") as caught:
        pinged(Web(answers=[404]), ping("start"), url="/{ping_key}/{schedule_id}", ping_key=Secret("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_a_start_that_failed_is_not_sent_after_its_success():
    web = Web(answers=[500, 200])

    async def run():
        async with serving(web):
            channel = Healthchecks(POSTER, url=web.url("/{schedule_id}"))
            house = House(channel, healthchecks=channel.wants)
            await house.queue.tell(ping("start"))
            await house.queue.pump(house.now)
            await house.queue.tell(ping("success", minutes=1))
            await house.live(minutes=10)
            return await house.outbox.waiting()

    assert asyncio.run(run()) == 0
    assert [request.path for request in web.requests] == ["/s1/start", "/s1"]
