"""Apprise against real servers on loopback: each URL a target of its own, and nothing of a URL in any word."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import threading
import time
from datetime import UTC

import pytest
from guard.cli.channels import configured
from guard.errors import NotifyError, PolicyError
from guard.http import Poster, tls_context
from guard.notify import apprise as channel_module
from guard.notify.apprise import AppriseTarget, Target, read_targets
from guard.notify.memory import MemoryOutbox
from guard.notify.queue import Queue
from guard.notify.route import Limits, Route, for_people
from guard.notify.webhook import Webhook
from guard.policy.load import load
from guard.secret import Secret
from tests.notify.servers import HANG, Smtp, Web, serving
from tests.notify.told import NOW, message

WORD = "apprise-secret-word"
# modules that Apprise loads are older than the Python they are loaded by
pytestmark = pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")


@pytest.fixture
def urls(tmp_path):
    """Writes the file of URLs."""

    def write(*lines, mode=0o600):
        path = tmp_path / "urls"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(mode)
        return str(path)

    return write


def targets(file, env=None):
    return read_targets(file, env or {}, credential="apprise-urls")


def target(url, name="apprise-json", **more):
    given = {"name": name, "scheme": "json", "line": 1, "url": Secret(url)} | more
    return AppriseTarget(Target(**given), timeout_s=5)


def json_url(web, path=f"/{WORD}"):
    return f"json://127.0.0.1:{web.port}{path}"


# --- the file


def test_each_line_is_a_target_named_by_its_service_and_comments_are_passed_over(urls):
    found = targets(urls("# on call", "slack://a/b/c", "", "  JSON://x/y  ", "json://x/z", "#json://no"))
    assert [(one.name, one.scheme, one.line) for one in found] == [
        ("apprise-slack", "slack", 2),
        ("apprise-json", "json", 4),
        ("apprise-json-2", "json", 5),
    ]
    assert [one.url.reveal() for one in found] == ["slack://a/b/c", "JSON://x/y", "json://x/z"]


def test_the_credential_of_the_unit_comes_first(urls, tmp_path):
    (tmp_path / "apprise-urls").write_text("json://from-the-unit\n")
    (tmp_path / "apprise-urls").chmod(0o400)
    (one,) = targets(urls("json://own"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert one.url.reveal() == "json://from-the-unit"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([WORD], "line 1 of .* is no Apprise URL"),
        (["json://fine", f"{WORD}:{WORD}"], "line 2 of .* is no Apprise URL"),
        (["# nothing"], "names a file without a URL"),
        ([f"json://{WORD}/{number}" for number in range(21)], "holds 21 URLs; expected at most 20"),
        ([f"json://{WORD}"] * 3000, "is longer than 65536 bytes"),
    ],
    ids=["no URL", "half a URL", "nothing", "too many", "too long"],
)
def test_a_file_that_cannot_be_used_is_told_by_line_and_never_by_content(urls, lines, said):
    with pytest.raises(PolicyError, match=said) as caught:
        targets(urls(*lines))
    assert WORD not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(urls):
    with pytest.raises(PolicyError, match=r"others may read this secret \(mode 644\)"):
        targets(urls("json://x", mode=0o644))


@pytest.mark.parametrize("url", [f"slakc://{WORD}", f"slack://{WORD}", f"json://:0/{WORD}"])
def test_a_url_that_apprise_does_not_know_is_told_by_its_line_when_it_is_opened(url):
    with pytest.raises(PolicyError, match=r"urls_file: line 7 \(slakc\) is no URL that this Apprise can use") as caught:
        target(url, line=7, scheme="slakc")
    assert WORD not in str(caught.value)


def test_where_the_extra_is_missing_it_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PolicyError, match=r"not installed; run: pip install 'xo-guard\[apprise\]'"):
        target("json://x")


# --- the policy


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(f'[xo]\nurl = "https://xo"\n{text}', file="g.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f'[notify.apprise]\nurls_file = "json://{WORD}"\n',
        f'[notify.apprise]\nurls_file = ["json://{WORD}"]\n',
        f'[notify.apprise]\nurl = "json://{WORD}"\n',
        f'[notify]\napprise = "json://{WORD}"\n',
        f'[notify.apprise]\npage = "json://{WORD}"\n',
    ],
)
def test_a_url_that_stands_in_the_policy_itself_is_refused_and_not_repeated(text):
    said = problems(text)
    assert "notify.apprise" in said
    assert WORD not in said


def test_the_policy_opens_one_channel_for_each_url(urls):
    policy = load(
        f'[xo]\nurl = "https://xo"\n[notify.apprise]\nurls_file = "{urls("json://a", "json://b")}"\n', file="g"
    )
    routes = configured(policy.notify, {}, UTC)["apprise"]()
    assert [route.channel.name for route in routes] == ["apprise-json", "apprise-json-2"]
    assert all(route.wants(message()) for route in routes)


# --- sending


def test_a_page_arrives_with_title_text_and_kind():
    web = Web(whole=True)

    async def send():
        async with serving(web):
            await target(json_url(web)).send(message(text="SR full\n  94 %"))

    asyncio.run(send())
    (request,) = web.requests
    assert (request.method, request.path) == ("POST", f"/{WORD}")
    body = json.loads(request.body)
    assert (body["title"], body["message"], body["type"]) == ("[guard] Nightly is held", "SR full\n  94 %", "failure")


def test_the_digest_goes_out_as_information_by_mail_too():
    smtp = Smtp()

    async def send():
        async with serving(smtp):
            url = f"mailto://127.0.0.1:{smtp.port}?from=guard@example.org&to=a@example.org&mode=insecure"
            await target(url, scheme="mailto").send(message("digest", "digest", text="All well"))

    asyncio.run(send())
    assert smtp.envelopes == [("a@example.org",)]
    assert smtp.parsed()["Subject"] == "[guard] Nightly is held"
    assert "All well" in smtp.parsed().get_body().get_content()


@pytest.fixture
def logged(capfd):
    """What came out on the streams, with a handler of the root logger that lets everything through."""
    root = logging.getLogger()
    handler, level = logging.StreamHandler(), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("asyncio").disabled = True
    yield lambda: "".join(capfd.readouterr())
    logging.getLogger("asyncio").disabled = False
    root.setLevel(level)
    root.removeHandler(handler)


def failing(url, **more):
    async def send():
        with pytest.raises(NotifyError) as caught:
            await target(url, **more).send(message())
        return str(caught.value)

    return asyncio.run(send())


@pytest.mark.parametrize("status", [401, 500])
def test_a_refusal_is_told_with_its_status_and_without_the_url(status, logged):
    web = Web(answers=[status], whole=True)

    async def send():
        async with serving(web):
            with pytest.raises(NotifyError) as caught:
                await target(json_url(web), line=3).send(message())
            return str(caught.value)

    assert asyncio.run(send()) == f"Apprise's json (line 3 of its file) answered {status}"
    assert logged() == ""


def test_nobody_at_the_other_end_is_told_and_logged_nowhere(logged):
    assert failing(f"json://127.0.0.1:9/{WORD}") == "Apprise's json (line 1 of its file) did not take it"
    assert logged() == ""


def test_a_delivery_uses_no_thread_that_the_exit_would_wait_for(logged):
    web = Web(answers=[HANG])

    async def send():
        async with serving(web):
            one = Target(name="apprise-json", scheme="json", line=1, url=Secret(json_url(web)))
            with pytest.raises(NotifyError):
                await AppriseTarget(one, timeout_s=0.3).send(message())
            return [one.name for one in threading.enumerate() if not one.daemon]

    assert asyncio.run(send()) == ["MainThread"]


def test_a_service_that_raises_says_only_what_kind_of_error_it_was(monkeypatch):
    import apprise

    def broken(*_, **__):
        raise ValueError(f"json://{WORD}")

    opened = target("json://127.0.0.1:9")
    monkeypatch.setattr(apprise.Apprise, "notify", broken)
    with pytest.raises(NotifyError, match=r"could not be used \(ValueError\)") as caught:
        asyncio.run(opened.send(message()))
    assert WORD not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


class Slow:
    """In place of a delivery: hangs until ``go``, counts how often it was begun."""

    def __init__(self, monkeypatch):
        self.go, self.begun = threading.Event(), 0
        monkeypatch.setattr(channel_module, "_deliver", self)

    def __call__(self, target, message):
        self.begun += 1
        self.go.wait(10)
        return ""


def test_a_delivery_that_outlives_its_time_limit_is_not_made_a_second_time(monkeypatch):
    slow = Slow(monkeypatch)

    async def tries():
        one = AppriseTarget(Target(name="apprise-json", scheme="json", line=1, url=Secret("json://x")), timeout_s=0.05)
        for _ in range(3):
            with pytest.raises(NotifyError, match=r"did not take it within 0\.05 s"):
                await one.send(message())
        slow.go.set()
        await one.send(message())
        await one.send(message(title="another"))

    asyncio.run(tries())
    assert slow.begun == 2


def test_a_target_that_hangs_for_good_keeps_three_threads_busy_and_no_more(monkeypatch):
    slow = Slow(monkeypatch)

    async def tries():
        one = AppriseTarget(Target(name="apprise-json", scheme="json", line=1, url=Secret("json://x")), timeout_s=0.01)
        said = []
        for number in range(5):
            with pytest.raises(NotifyError) as caught:
                await one.send(message(title=str(number)))
            said.append("still hangs" in str(caught.value))
        return said

    try:
        assert asyncio.run(tries()) == [False, False, False, True, True]
        assert slow.begun == 3
    finally:
        slow.go.set()


def test_a_target_that_hangs_holds_up_neither_the_others_nor_the_end():
    web, stuck = Web(whole=True), Web(answers=[HANG])

    async def live():
        async with serving(web), serving(stuck):
            channels = [target(json_url(stuck), "apprise-json"), target(json_url(web), "apprise-json-2")]
            limits = Limits(time_limit_s=0.5)
            queue = Queue(MemoryOutbox(), [Route(one, for_people()) for one in channels], limits, clock=lambda: NOW)
            await queue.tell(message())
            await queue.pump(NOW)
            return {one.name: one for one in await queue.status()}

    began = time.monotonic()
    status = asyncio.run(live())
    assert time.monotonic() - began < 3  # the service's own limit is 4 s
    assert (status["apprise-json-2"].sent, len(web.requests)) == (1, 1)
    assert status["apprise-json"].failed == 1
    assert "within 0.5 s" in status["apprise-json"].last_error
    assert all(one.daemon for one in threading.enumerate() if one.name.startswith("guard-apprise"))


def test_what_one_target_did_not_take_is_tried_again_without_telling_the_other_twice():
    fine, broken = Web(whole=True), Web(answers=[500, 200], whole=True)

    async def live():
        async with serving(fine), serving(broken):
            channels = [target(json_url(fine), "apprise-json"), target(json_url(broken), "apprise-json-2")]
            queue = Queue(MemoryOutbox(), [Route(one, for_people()) for one in channels], Limits(), clock=lambda: NOW)
            await queue.tell(message())
            for tries in range(3):
                await queue.pump(NOW + tries * Limits().retry_first)
            return await queue.status()

    status = asyncio.run(live())
    assert [len(web.requests) for web in (fine, broken)] == [1, 2]
    assert [(one.sent, one.failed, one.waiting) for one in status[:2]] == [(1, 0, 0), (1, 1, 0)]


def test_a_webhook_and_apprise_serve_side_by_side():
    web = Web(whole=True)

    async def live():
        async with serving(web):
            poster = Poster("notify.webhook", tls=tls_context(None, verify=True), timeout_s=5)
            channels = [Webhook(web.url(), poster), target(json_url(web))]
            queue = Queue(MemoryOutbox(), [Route(one, for_people()) for one in channels], Limits(), clock=lambda: NOW)
            await queue.tell(message())
            await queue.pump(NOW)

    asyncio.run(live())
    assert {request.path for request in web.requests} == {"/hook", f"/{WORD}"}
