"""guard notify test: one message to each channel, what became of it, and the exit code."""

from __future__ import annotations

import asyncio
import io

import pytest
from guard.cli.main import main
from guard.notify.message import from_bytes
from tests.notify.servers import Smtp, Web, serving

XO = '[xo]\nurl = "https://xo.example.org"\n'


def run(tmp_path, policy, web=None, smtp=None, env=None):
    """(exit code, stdout, stderr) with real servers in the background."""
    file = tmp_path / "guard.toml"

    async def serve():
        async with serving(web or Web()) as http, serving(smtp or Smtp()) as post:
            file.write_text(XO + policy.replace("WEB", http.url("")).replace("PORT", str(post.port)))
            out, err = io.StringIO(), io.StringIO()
            code = await asyncio.to_thread(main, ["notify", "test", "--config", str(file)], out, err, env or {})
            return code, out.getvalue(), err.getvalue()

    return asyncio.run(serve())


MAIL = (
    '[notify.mail]\nhost = "127.0.0.1"\nport = PORT\nsecurity = "none"\n'
    'sender = "g@example.org"\nrecipients = ["a@example.org"]\n'
)


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return path


def test_every_channel_gets_one_message_and_is_told_to_have_it(tmp_path, token):
    web, smtp = Web(), Smtp()
    code, out, err = run(
        tmp_path,
        f'[notify.webhook]\nurl = "WEB/hook"\ntoken_file = "{token}"\n{MAIL}'
        f'[notify.healthchecks]\nloop_url = "WEB/{{ping_key}}/loop"\nping_key_file = "{token}"\n',
        web,
        smtp,
    )
    assert (code, out, err) == (0, "webhook: sent\nmail: sent\nhealthchecks: sent\n", "")
    posted = {request.path: request for request in web.requests}
    assert set(posted) == {"/hook", "/hunter2/loop/log"}
    told = from_bytes(posted["/hook"].body)
    assert (told.tier, told.event) == ("page", "log")
    assert "https://xo.example.org" in told.text
    assert posted["/hook"].headers["authorization"] == "Bearer hunter2"
    assert smtp.parsed()["Subject"] == "[guard] Test of guard's notifications"


def test_one_channel_that_fails_makes_the_exit_code_1_and_the_others_are_still_tried(tmp_path, token):
    token.chmod(0o644)
    smtp = Smtp(login=("me", "hunter2"))
    login = tmp_path / "login"
    login.write_text("me\nhunter2\n")
    login.chmod(0o600)
    code, out, _ = run(
        tmp_path,
        f'[notify.webhook]\nurl = "WEB/hook"\ntoken_file = "{token}"\n{MAIL}login_file = "{login}"\n'
        '[notify.healthchecks]\nurl = "WEB/{schedule_id}"\n',
        smtp=smtp,
    )
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith(f"webhook: failed: {token}: others may read this secret")
    assert lines[1] == "mail: sent"
    assert lines[2].startswith(
        "healthchecks: failed: not tried: [notify.healthchecks] has no check to try; set loop_url"
    )


def test_a_server_that_refuses_is_told_with_its_answer(tmp_path):
    code, out, _ = run(tmp_path, '[notify.webhook]\nurl = "WEB/hook"\n', Web(answers=[500]))
    assert code == 1
    assert "webhook: failed: http://127.0.0.1:" in out
    assert "answered 500 Internal Server Error" in out


def test_a_channel_that_takes_no_pages_is_tried_with_a_digest_and_a_schedules_own_check_with_a_log(tmp_path):
    web = Web()
    code, _, _ = run(
        tmp_path,
        '[notify.webhook]\nurl = "WEB/hook"\npage = false\n[notify.healthchecks.schedules]\ns1 = "WEB/one"\n',
        web,
    )
    assert code == 0
    posted = {request.path: request.body for request in web.requests}
    assert set(posted) == {"/hook", "/one/log"}
    assert from_bytes(posted["/hook"]).tier == "digest"


def test_a_policy_without_a_channel_is_told_what_to_set(tmp_path):
    code, out, err = run(tmp_path, "")
    assert (code, out) == (1, "")
    assert "names no channel; set url in [notify.webhook]" in err


def test_a_channel_that_wants_neither_pages_nor_digests_is_still_tried(tmp_path):
    web = Web()
    assert run(tmp_path, '[notify.webhook]\nurl = "WEB/hook"\npage = false\ndigest = false\n', web)[0] == 0
    assert len(web.requests) == 1


def test_a_ca_file_and_a_credential_of_the_unit_are_used(tmp_path):
    web = Web()
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "webhook-token").write_text("from-the-unit")
    (folder / "webhook-token").chmod(0o400)
    policy = '[notify.webhook]\nurl = "WEB/hook"\ntoken_file = "/nowhere/token"\n'
    env = {"CREDENTIALS_DIRECTORY": str(folder)}
    assert run(tmp_path, policy, web, env=env)[:2] == (0, "webhook: sent\n")
    assert web.requests[0].headers["authorization"] == "Bearer from-the-unit"
    ca_file = f'ca_file = "{tmp_path}/none"\n'
    bad = f'[notify.webhook]\nurl = "WEB/hook"\n{ca_file}{MAIL.replace("none", "tls")}{ca_file}'
    code, out, _ = run(tmp_path, bad)
    assert code == 1
    assert "webhook: failed: [notify.webhook] ca_file" in out
    assert "mail: failed: [notify.mail] ca_file" in out


# what Apprise loads is older than the Python it is loaded by
@pytest.mark.filterwarnings("ignore:.imghdr. is deprecated:DeprecationWarning")
def test_every_target_of_apprise_is_tried_by_its_own_name(tmp_path):
    urls, web = tmp_path / "urls", Web(whole=True)
    urls.write_text("")
    urls.chmod(0o600)

    async def serve():
        async with serving(web) as http:
            urls.write_text(f"json://127.0.0.1:{http.port}/taken\njson://127.0.0.1:9/refused-path\n")
            file = tmp_path / "guard.toml"
            file.write_text(f'{XO}[notify.apprise]\nurls_file = "{urls}"\n')
            out, err = io.StringIO(), io.StringIO()
            code = await asyncio.to_thread(main, ["notify", "test", "--config", str(file)], out, err, {})
            return code, out.getvalue(), err.getvalue()

    assert asyncio.run(serve()) == (
        1,
        "apprise-json: sent\napprise-json-2: failed: Apprise's json (line 2 of its file) did not take it\n",
        "",
    )
    assert [request.path for request in web.requests] == ["/taken"]


def test_a_file_of_urls_that_cannot_be_read_is_told_under_its_section(tmp_path):
    code, out, _ = run(tmp_path, '[notify.apprise]\nurls_file = "/nowhere/urls"\n')
    assert code == 1
    assert out.startswith("apprise: failed: /nowhere/urls: [notify.apprise] urls_file cannot be read")
