"""Little real servers on 127.0.0.1: HTTP that answers by script and keeps what it was sent, and SMTP that takes mail."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.secrets_plugin import searched

HANG = "hang"
CLOSE = "close"


@dataclass
class Request:
    """One POST as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Web:
    """``answers``: status, HANG, CLOSE or (status, headers), in turn, the last one for good. ``whole``: an answer ends."""

    answers: list = field(default_factory=lambda: [200])
    requests: list = field(default_factory=list)
    port: int = 0
    scheme: str = "http"
    whole: bool = False

    def url(self, path="/hook"):
        return f"{self.scheme}://127.0.0.1:{self.port}{path}"

    async def handle(self, reader, writer):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            searched(body)
            self.requests.append(Request(method, path, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer == HANG:
                await reader.read()  # until the other side has enough
            elif answer != CLOSE:
                status, more = answer if isinstance(answer, tuple) else (answer, {})
                lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in more.items())]
                # a body is announced and never comes: nobody may wait for it, but for Apprise
                length = f"Content-Length: {0 if self.whole else 10}"
                writer.write("\r\n".join([*lines, length, "", ""]).encode())
                await writer.drain()
                await reader.read()
        await closed(writer)


@dataclass
class Smtp:
    """``says``: verb -> reply in place of the usual one (HANG: none). ``tls``: a context offered for STARTTLS."""

    says: dict = field(default_factory=dict)
    tls: object = None
    login: tuple | None = None
    refused: tuple = ()
    mails: list = field(default_factory=list)
    envelopes: list = field(default_factory=list)
    verbs: list = field(default_factory=list)
    logins: list = field(default_factory=list)
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def parsed(self, number=0):
        return email.message_from_bytes(self.mails[number], policy=email.policy.default)

    async def handle(self, reader, writer):
        self._secure, recipients = False, []
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(f"{self.says.get('HELLO', '220 test')}\r\n".encode())
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                verb = line.split(" ")[0].split(":")[0].upper()
                self.verbs.append(verb)
                if self.says.get(verb) == HANG:
                    self.hung.set()
                    await reader.read()
                    break
                reply = self.says.get(verb) or self._reply(verb, line, recipients)
                writer.write(f"{reply}\r\n".encode())
                await writer.drain()
                if verb == "STARTTLS" and reply.startswith("220"):
                    await writer.start_tls(self.tls)
                    self._secure = True
                elif verb == "DATA" and reply.startswith("354"):
                    data = (await reader.readuntil(b"\r\n.\r\n"))[:-3]
                    if "." in self.says:
                        writer.write(f"{self.says['.']}\r\n".encode())
                        continue
                    searched(data)
                    self.mails.append(data.replace(b"\r\n..", b"\r\n."))
                    self.envelopes.append(tuple(recipients))
                    writer.write(b"250 taken\r\n")
                elif verb == "QUIT":
                    break
        await closed(writer)

    def _reply(self, verb, line, recipients):
        if verb == "EHLO":
            offers = ["test", *(["STARTTLS"] if self.tls and not self._secure else [])]
            offers += ["AUTH PLAIN"] if self.login else []
            return "\r\n".join([f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"])
        if verb == "AUTH":
            self.logins.append(tuple(base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]))
            return "235 ok" if self.logins[-1] == self.login else f"535 refused {line}"
        if verb == "RCPT":
            who = line[line.index("<") + 1 : line.index(">")]
            if who in self.refused:
                return f"550 5.1.1 {who} unknown"
            recipients.append(who)
        return {"STARTTLS": "220 go", "DATA": "354 go"}.get(verb, "250 ok")


async def closed(writer):
    writer.close()
    with suppress(Exception):
        await writer.wait_closed()


@asynccontextmanager
async def serving(app, tls=None):
    """The port is the system's choice. Handlers still at work are ended at the end."""
    handlers = set()

    async def handle(reader, writer):
        handlers.add(asyncio.current_task())
        with suppress(asyncio.CancelledError):
            await app.handle(reader, writer)
        await closed(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    app.port = server.sockets[0].getsockname()[1]
    if tls is not None:
        app.scheme = "https"
    try:
        yield app
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
