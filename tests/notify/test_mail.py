"""Mail against a real SMTP server: what arrives, that no name becomes a header, and each way it can fail."""

from __future__ import annotations

import asyncio
import email.utils
import logging
import ssl
import threading
from contextlib import suppress
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest
import trustme
from guard.errors import NotifyError, PartlyToldError
from guard.http import tls_context
from guard.notify.mail import Mail, Mailbox, _Delivery, compose
from guard.notify.message import key
from guard.notify.secret import Login, Secret
from tests.notify.servers import HANG, Smtp, serving
from tests.notify.told import NOW, House, Recorder, message

UNTRUSTING = tls_context(None, verify=True)
PASSWORD = "hunter2 password"
TWO = ("a@example.org", "b@example.org")


def certified():
    """(the server's context, a context that trusts it)."""
    ca = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    ca.issue_cert("127.0.0.1").configure_cert(server)
    ca.configure_trust(client)
    return server, client


def mail(smtp, security="none", tls=UNTRUSTING, login=None, timeout_s=2.0, recipients=TWO, now=NOW):
    box = Mailbox(
        host="127.0.0.1", port=smtp.port, security=security, sender="guard@example.org", recipients=recipients
    )
    return Mail(box, tls=tls, timeout_s=timeout_s, clock=lambda: now, zone=ZoneInfo("Europe/Paris"), login=login)


def sent(smtp, told=None, outer=None, **options):
    async def run():
        async with serving(smtp, outer):
            await mail(smtp, **options).send(told or message())

    asyncio.run(run())
    return smtp


def failing(smtp, kind=NotifyError, outer=None, **options):
    with pytest.raises(kind) as caught:
        sent(smtp, outer=outer, **options)
    text = str(caught.value)
    assert type(caught.value) is kind
    assert PASSWORD not in text
    assert "\n" not in text
    return text.replace(str(smtp.port), "PORT")


def test_a_mail_arrives_as_plain_text_with_the_id_of_the_message():
    smtp = sent(Smtp(), message(text="word " * 40))
    got = smtp.parsed()
    assert smtp.envelopes == [TWO]
    assert (got["From"], got["To"]) == ("guard@example.org", "a@example.org, b@example.org")
    assert got["Subject"] == "[guard] Nightly is held"
    assert email.utils.parsedate_to_datetime(got["Date"]) == NOW
    assert got["Message-ID"] == f"<{key(message(text='word ' * 40))}@example.org>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content_type() == "text/plain"
    body = got.get_content()
    assert max(map(len, body.splitlines())) <= 76
    assert body.split() == ["word"] * 40


def test_a_mail_is_dated_by_when_it_is_sent_and_says_of_when_it_is_where_that_was_before():
    for late, told in ((59, "SR full"), (60, "SR full\n\nThis is of Fri 26 Mar 23:00 CET.")):
        now = NOW + timedelta(seconds=late)
        got = sent(Smtp(), now=now).parsed()
        assert email.utils.parsedate_to_datetime(got["Date"]) == now
        assert got["Message-ID"] == f"<{key(message())}@example.org>"
        assert got.get_content().splitlines() == told.splitlines()


def test_a_digest_tells_the_times_itself():
    got = sent(Smtp(), message("digest", "digest"), now=NOW + timedelta(hours=3)).parsed()
    assert got.get_content().strip() == "SR full"


def test_what_is_not_ascii_arrives_as_it_was():
    title, text = "Jürgens VM 日本 🙂", "Zürich: ½ voll\n.\nline with a lone dot above\n" + "日本 " * 60
    smtp = sent(Smtp(), message(title=title, text=text))
    got = smtp.parsed()
    assert got["Subject"] == f"[guard] {title}"
    assert got.get_content().split() == text.split()
    assert smtp.mails[0].isascii()
    assert max(map(len, smtp.mails[0].splitlines())) <= 78


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028", "\x0b", "\x85", "\n \n"])
def test_a_line_break_in_a_name_makes_no_header_and_no_recipient(end):
    name = f"vm{end}Bcc: evil@example.org{end}{end}body\r\n.\r\nRCPT TO:<evil@example.org>"
    smtp = sent(Smtp(), message(title=name, text=name))
    got = smtp.parsed()
    assert got["Bcc"] is None
    assert len(got.keys()) == len(set(got.keys())) == 9
    assert smtp.envelopes == [TWO]
    assert len(smtp.mails) == 1
    assert got["Subject"].startswith("[guard] vm")


def test_a_lone_surrogate_in_a_name_stops_nothing():
    assert "\N{REPLACEMENT CHARACTER}" in sent(Smtp(), message(title="vm\ud800", text="\udfff")).parsed()["Subject"]


def test_starttls_comes_before_the_login_and_the_mail():
    server, client = certified()
    smtp = Smtp(tls=server, login=("me", PASSWORD))
    sent(smtp, security="starttls", tls=client, login=Login(Secret("me"), Secret(PASSWORD)))
    assert smtp.verbs[:8] == ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA"]
    assert smtp.logins == [("me", PASSWORD)]


def test_tls_from_the_first_byte():
    server, client = certified()
    smtp = sent(
        Smtp(login=("me", PASSWORD)),
        outer=server,
        security="tls",
        tls=client,
        login=Login(Secret("me"), Secret(PASSWORD)),
    )
    assert len(smtp.mails) == 1


def test_a_server_without_starttls_gets_neither_the_login_nor_the_mail():
    smtp = Smtp(login=("me", PASSWORD))
    text = failing(smtp, security="starttls", login=Login(Secret("me"), Secret(PASSWORD)))
    assert "127.0.0.1:PORT does not offer what [notify.mail] asks for: STARTTLS" in text
    assert "AUTH" not in smtp.verbs
    assert "MAIL" not in smtp.verbs


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_nobody_knows_is_not_trusted(security):
    server, _ = certified()
    smtp = Smtp(tls=server, login=("me", PASSWORD))
    outer = server if security == "tls" else None
    text = failing(smtp, outer=outer, security=security, login=Login(Secret("me"), Secret(PASSWORD)))
    assert "The TLS certificate of 127.0.0.1:PORT is not trusted" in text
    assert "[notify.mail] ca_file" in text
    assert smtp.logins == []


def test_a_refused_login_is_told_without_what_the_server_repeats():
    text = failing(Smtp(login=("me", "other")), login=Login(Secret("me"), Secret(PASSWORD)))
    assert text == "127.0.0.1:PORT refused the login (535). Check [notify.mail] login_file"


def test_a_server_without_login_is_told():
    assert "does not offer what [notify.mail] asks for" in failing(Smtp(), login=Login(Secret("me"), Secret(PASSWORD)))


def test_a_server_that_repeats_the_password_elsewhere_is_not_repeated():
    smtp = Smtp(says={"MAIL": f"550 no {PASSWORD} AG1lAGh1bnRlcjIgcGFzc3dvcmQ="}, login=("me", PASSWORD))
    assert failing(smtp, login=Login(Secret("me"), Secret(PASSWORD))) == "127.0.0.1:PORT said 550 no *** ***"


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ({"HELLO": "554 go away"}, "127.0.0.1:PORT said 554 go away"),
        ({"MAIL": "452 disk\x1b[31m full"}, "said 452 disk\N{REPLACEMENT CHARACTER}[31m full"),
        ({"DATA": "554 spam"}, "said 554 spam"),
        ({".": "552 too big " + "x" * 300}, "said 552 too big xxx"),
        ({"HELLO": "nonsense"}, "127.0.0.1:PORT"),
        ({"HELLO": "2" * 9000}, "127.0.0.1:PORT"),
    ],
)
def test_what_the_server_says_is_told_short_and_harmless(says, said):
    text = failing(Smtp(says=says))
    assert said in text
    assert len(text) < 350


@pytest.mark.parametrize("verb", ["HELLO", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_server_that_hangs_is_left_after_the_time_limit_and_so_is_its_thread(verb):
    smtp = Smtp(says={verb: HANG}) if verb != "HELLO" else Silent()
    assert "did not take the mail within 0.1 s" in failing(smtp, timeout_s=0.1)
    for thread in threading.enumerate():
        if thread.name == "guard-mail":
            thread.join(2)
            assert not thread.is_alive()


class Silent:
    """Accepts, and dribbles: never a whole line, never silent long enough for a socket's own time limit."""

    port = 0

    async def handle(self, reader, writer):
        with suppress(ConnectionError):
            while True:
                writer.write(b"2")
                await writer.drain()
                await asyncio.sleep(0.01)


def test_a_server_that_is_slow_to_part_delays_nobody():
    assert len(sent(Smtp(says={"QUIT": HANG}), timeout_s=0.3).mails) == 1


def test_a_port_where_nobody_listens_is_told():
    smtp = Smtp()

    async def run():
        async with serving(smtp):
            pass
        await mail(smtp).send(message())

    with pytest.raises(NotifyError, match=r"127.0.0.1:\d+ cannot be used \(.*refused"):
        asyncio.run(run())


def test_a_mail_taken_for_some_goes_out_once_and_says_who_was_left_out():
    smtp = Smtp(refused=("b@example.org",))
    text = failing(smtp, PartlyToldError)
    assert "not for everybody: b@example.org: 550 5.1.1 b@example.org unknown" in text
    assert smtp.envelopes == [("a@example.org",)]


def test_a_mail_refused_for_all_is_not_sent():
    assert "refused every recipient: a@example.org: 550" in failing(Smtp(refused=TWO))


def test_nothing_of_a_secret_is_ever_logged(caplog, capsys):
    caplog.set_level(logging.DEBUG)
    test_starttls_comes_before_the_login_and_the_mail()
    test_a_refused_login_is_told_without_what_the_server_repeats()
    out = capsys.readouterr()
    assert PASSWORD not in caplog.text + out.out + out.err


def test_through_the_queue_a_hanging_mail_server_does_not_delay_another_channel():
    smtp = Smtp(says={"EHLO": HANG})
    web = Recorder("webhook")

    async def run():
        async with serving(smtp):
            house = House(mail(smtp, timeout_s=0.2), web)
            await house.queue.tell(message())
            pump = asyncio.create_task(house.queue.pump(house.now))
            for _ in range(20):
                await asyncio.sleep(0)
            assert web.titles == ["Nightly is held"]
            await pump
            return await house.status("mail")

    assert asyncio.run(run()).failed == 1


def test_a_loop_that_ended_before_the_thread_did_is_no_trouble():
    """The process stops while a mail is under way: the thread's answer finds nobody."""
    smtp = Smtp(says={"EHLO": HANG})

    async def run():
        async with serving(smtp):
            task = asyncio.create_task(mail(smtp, timeout_s=5).send(message()))
            await smtp.hung.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    for thread in threading.enumerate():
        if thread.name == "guard-mail":
            thread.join(2)
            assert not thread.is_alive()


def test_a_thread_that_is_given_up_while_it_connects_sends_nothing_later():
    smtp = Smtp()

    async def run():
        async with serving(smtp):
            box = mail(smtp)._mailbox
            delivery = _Delivery(box, UNTRUSTING, None, 2.0)
            delivery.abort()
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(delivery.run, compose(message(), box, NOW, UTC))

    asyncio.run(run())
    assert "MAIL" not in smtp.verbs
