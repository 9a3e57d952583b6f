"""Mail: plain text over SMTP, by smtplib in a thread of its own, which a time limit ends by closing its socket."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Literal

import msgspec

from guard.errors import NotifyError, PartlyToldError
from guard.notify.message import Event, Message, folded, key, one_line
from guard.notify.secret import Login
from guard.units import format_time

PORTS = {"starttls": 587, "tls": 465, "none": 25}
OLD = timedelta(minutes=1)
_SAID_CHARS = 200


class Mailbox(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send by, from whom, to whom. Addresses are bare: ``backup@example.org``."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    sender: str
    recipients: tuple[str, ...]


class Mail:
    """``tls``: the rules of the connection, used unless ``security`` is "none". There is no way back to plain text.

    ``timeout_s`` bounds the whole delivery. ``zone``: of times in the text.
    """

    name = "mail"

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        tls: ssl.SSLContext,
        timeout_s: float,
        clock: Callable[[], datetime],
        zone: tzinfo,
        login: Login | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._tls = tls
        self._clock, self._zone = clock, zone
        self._timeout_s = timeout_s
        self._login = login

    async def send(self, message: Message) -> None:
        """Raises NotifyError, and PartlyToldError when the server took it for some recipients only."""
        place = f"{self._mailbox.host}:{self._mailbox.port}"
        delivery = _Delivery(self._mailbox, self._tls, self._login, self._timeout_s)
        now = self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                refused = await _in_thread(lambda: delivery.run(compose(message, self._mailbox, now, self._zone)))
        except TimeoutError as error:
            raise NotifyError(f"{place} did not take the mail within {self._timeout_s:g} s") from error
        except smtplib.SMTPAuthenticationError as error:  # its text may repeat what was sent
            raise NotifyError(
                f"{place} refused the login ({error.smtp_code}). Check [notify.mail] login_file"
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise NotifyError(f"{place} does not offer what [notify.mail] asks for: {error}") from error
        except smtplib.SMTPRecipientsRefused as error:
            raise NotifyError(f"{place} refused every recipient: {self._refusals(error.recipients)}") from None
        except smtplib.SMTPResponseException as error:
            raise NotifyError(f"{place} said {error.smtp_code} {self._said(error.smtp_error)}") from None
        except ssl.SSLCertVerificationError as error:
            raise NotifyError(
                f"The TLS certificate of {place} is not trusted ({error.verify_message}). Set [notify.mail] ca_file to "
                "its CA, or to the self-signed certificate itself"
            ) from error
        except (OSError, smtplib.SMTPException, ValueError) as error:
            raise NotifyError(f"{place} cannot be used ({self._said(str(error) or type(error).__name__)})") from None
        finally:
            delivery.abort()
        if refused:
            raise PartlyToldError(f"{place} took the mail, but not for everybody: {self._refusals(refused)}")

    def _refusals(self, refused: dict[str, tuple[int, bytes]]) -> str:
        return "; ".join(f"{who}: {code} {self._said(text)}" for who, (code, text) in refused.items())

    def _said(self, text: bytes | str) -> str:
        """The server's words, short, without the login if it repeats that."""
        words = text.decode(errors="replace") if isinstance(text, bytes) else text
        for form in _forms(self._login) if self._login is not None else ():
            words = words.replace(form, "***")
        return one_line(words, _SAID_CHARS)


def _forms(login: Login) -> Iterator[str]:
    """The password in the ways it goes over the line."""
    user, password = login.user.reveal(), login.password.reveal()
    for text in (f"\0{user}\0{password}", password):
        yield b64encode(text.encode()).decode()
    yield password


def compose(message: Message, mailbox: Mailbox, now: datetime, zone: tzinfo) -> EmailMessage:
    """``now``: when it is sent, the mail's Date, by which mailboxes sort; what happened well before says when that was.

    The Message-ID follows from the message alone, so that a mail sent twice can be told to be one.
    """
    mail = EmailMessage(policy=SMTP_POLICY)
    mail["From"] = mailbox.sender
    mail["To"] = ", ".join(mailbox.recipients)
    mail["Subject"] = " ".join(one_line(f"[guard] {message.title}").split())
    mail["Date"] = format_datetime(now.astimezone(UTC))
    mail["Message-ID"] = f"<{key(message)}@{mailbox.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    is_old = message.event is not Event.DIGEST and now - message.at >= OLD
    body = folded(f"{message.text}\n\nThis is of {format_time(message.at, zone)}." if is_old else message.text)
    mail.set_content(body, cte="7bit" if body.isascii() else "quoted-printable")
    return mail


class _Delivery:
    """One mail, in a thread. ``abort`` may be called from another: whatever it waits for then fails."""

    def __init__(self, mailbox: Mailbox, tls: ssl.SSLContext, login: Login | None, timeout_s: float) -> None:
        self._mailbox = mailbox
        self._tls = tls
        self._login = login
        self._timeout_s = timeout_s
        self._smtp: smtplib.SMTP | None = None
        self._aborted = False

    def run(self, mail: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Returns the recipients that were refused. Raises OSError, smtplib.SMTPException."""
        smtp = self._connected()
        try:
            if self._mailbox.security == "starttls":
                smtp.starttls(context=self._tls)
            if self._login is not None:
                smtp.login(self._login.user.reveal(), self._login.password.reveal())
            if self._aborted:
                raise TimeoutError
            refused = smtp.send_message(mail, self._mailbox.sender, list(self._mailbox.recipients))
            with suppress(OSError):
                smtp.putcmd("quit")  # its answer is not waited for: the mail is taken
            return refused
        finally:
            smtp.close()

    def abort(self) -> None:
        """Shut the socket down below TLS, which wakes up a thread that waits for it."""
        self._aborted = True
        line = self._smtp.sock if self._smtp is not None else None
        if line is not None:
            with suppress(OSError):
                socket.socket.shutdown(line, socket.SHUT_RDWR)

    def _connected(self) -> smtplib.SMTP:
        host, port = self._mailbox.host, self._mailbox.port
        name = socket.gethostname()
        helo = name if "." in name else "[127.0.0.1]"  # as smtplib would, but without asking the DNS
        if self._mailbox.security == "tls":
            return _SmtpTls(self._seen, host, port, helo, timeout=self._timeout_s, context=self._tls)
        return _Smtp(self._seen, host, port, helo, timeout=self._timeout_s)

    def _seen(self, smtp: smtplib.SMTP) -> None:
        self._smtp = smtp


class _Smtp(smtplib.SMTP):
    """Tells of itself before it connects, so that a connection that hangs can be ended."""

    def __init__(
        self, seen: Callable[[smtplib.SMTP], None], host: str, port: int, helo: str, *, timeout: float
    ) -> None:
        seen(self)
        super().__init__(host, port, helo, timeout)


class _SmtpTls(smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""

    def __init__(
        self,
        seen: Callable[[smtplib.SMTP], None],
        host: str,
        port: int,
        helo: str,
        *,
        timeout: float,
        context: ssl.SSLContext,
    ) -> None:
        seen(self)
        super().__init__(host, port, helo, timeout=timeout, context=context)


async def _in_thread(work: Callable[[], dict[str, tuple[int, bytes]]]) -> dict[str, tuple[int, bytes]]:
    """``work`` in a daemon thread: unlike asyncio's own, one that hangs keeps nobody from a thread, nor from the exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, tuple[int, bytes]]] = loop.create_future()

    def settle(result: dict[str, tuple[int, bytes]], error: Exception | None) -> None:
        if done.done():  # the time limit was faster
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def run() -> None:
        result: dict[str, tuple[int, bytes]] = {}
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  raised again in the loop
            failure = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True, name="guard-mail").start()
    return await done
