"""docs/first-evening.md, followed command by command in a clean Debian 12, against the XO of ``guard demo --serve``.

Nothing is done that the page does not say. What the reader brings along is brought by the test: the release's folder, the
XO with its token, a mailbox and a webhook, and the hands that type into the editor. Where systemd would start a unit, the
test does what the unit's file says, as a user without rights.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest
import tomli
import trustme
from aiosmtpd.controller import Controller
from guard.cli import clock
from guard.simulator.playground import TOKEN
from tests.docs.pages import read
from tests.docs.shell import commands, is_commands
from tests.packaging.built import ROOT, build, wheelhouse
from tests.packaging.debian_root import PYTHON, debian_root, offline

PAGE = ROOT / "docs" / "first-evening.md"
RELEASE, WHEELS = "/root/xo-guard", "/wheels"
UNITS = "/usr/local/lib/systemd/system"
SERVICE_USER = 61234  # one of those that systemd's DynamicUser= takes
PATIENCE_S = 60.0
ZONE = ZoneInfo("Europe/Paris")
SOON = timedelta(minutes=4)  # a run is due every minute or two, and takes half a one


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """The unpacked release, and the wheels it needs: this machine's registry is out of reach from inside."""
    folder = tmp_path_factory.mktemp("release")
    built = build(folder / "dist")
    shutil.unpack_archive(built.sdist, folder / "unpacked", filter="data")
    [unpacked] = (folder / "unpacked").iterdir()
    return unpacked, wheelhouse(folder / "wheels", built.wheel, python=PYTHON)


class Mailbox:
    """Takes mail over STARTTLS."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  aiosmtpd's own name
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 taken"


@contextmanager
def mailbox(authority):
    taken, tls = Mailbox(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    served = Controller(taken, hostname="127.0.0.1", port=port, tls_context=tls, require_starttls=True)
    served.start()
    try:
        yield taken, port
    finally:
        served.stop()


@contextmanager
def webhook():
    """(what was POSTed, the port)."""
    taken = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words):
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield taken, server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Evening:
    """The reader: every command of the page in its order. ``did``: those that were followed."""

    def __init__(self, root, close, hook_port, mail_port):
        self.root, self.close, self.did = root, close, []
        self.hook_port, self.mail_port = hook_port, mail_port
        self.url = ""
        self.daemon = None
        self.digest_at = None

    # --- what a command of the page is to the reader

    def follow(self, text):
        for pattern, how in self.HOW:
            if found := re.fullmatch(pattern, text):
                how(self, text, *found.groups())
                self.did.append(text)
                return
        pytest.fail(f"{PAGE.name} shows a command that this test cannot follow: {text}")

    def become_root(self, text):
        """The test is."""

    def in_shell(self, text):
        return self.root.run("sh", "-c", text, env=offline(WHEELS), cwd=RELEASE)

    def serve(self, text):
        """In a second terminal, on any port, since this machine may use the usual one."""
        process = self.root.start("sh", "-c", f"exec {text} 0")
        self.close.callback(ended, process)
        self.url = re.search(r'url = "(\S+)"', heard(process, b"half past one"))[1]

    def paste_token(self, text):
        self.root.run("sh", "-c", text, stdin=f"{TOKEN}\n")

    def edit(self, text, file):
        self.write(file, self.blocks.pop(0))

    def write(self, file, block):
        """What the page says to set, with the reader's own values, each in its place in the sample."""
        path = self.root.inside(file)
        path.write_text(edited(path.read_text(encoding="utf-8"), self.own(block)), encoding="utf-8")

    def own(self, block):
        """The page's example with the reader's own addresses, and what channels.md says of a mail server's CA and port."""
        now = clock.now()
        self.digest_at = (now + SOON).replace(second=0, microsecond=0)
        for example, mine in {
            "https://xo.example.org": self.url,
            "https://hooks.example.org/guard": f"http://127.0.0.1:{self.hook_port}/guard",
            "mail.example.org": "127.0.0.1",
            "07:00": f"{self.digest_at.astimezone(ZONE):%H:%M}",
        }.items():
            block = block.replace(example, mine)
        mail = f'[notify.mail]\nport = {self.mail_port}\nca_file = "/etc/guard/mail-ca.pem"\n'
        return block.replace("[notify.mail]\n", mail)

    def guard(self, text):
        done = self.in_shell(text)
        assert done.stdout or done.stderr, f"{text} says nothing"
        self.said = done.stdout

    def start_service(self, text, unit):
        assert unit == "guard", text
        self.daemon = Service(self.root, f"{unit}.service", self.close)

    def start_timer(self, text, unit):
        """Its service, once."""
        lines = unit_lines(self.root, f"{unit}.service")
        self.root.run("sh", "-c", lines["ExecStart"][0].lstrip("-"))

    def ask_status(self, text):
        """systemd's own answer is not to be had here; the daemon told it what it would show."""
        assert "next due" in self.daemon.status

    def reload(self, text):
        assert self.daemon is not None, text
        self.daemon.reload()

    HOW = (
        (r"sudo -i", become_root),
        (r"apt-get install --yes .*", in_shell),
        (r"make install", in_shell),
        (r"guard demo --serve", serve),
        (r"install -m 600 /dev/stdin \S+", paste_token),
        (r"nano (\S+)", edit),
        (r"guard \S.*", guard),
        (r"systemctl enable --now (guard)", start_service),
        (r"systemctl enable --now (\S+)\.timer", start_timer),
        (r"systemctl status guard", ask_status),
        (r"systemctl reload guard", reload),
    )


class Service:
    """What systemd does with a unit, as far as guard can see it: the user, the credential, the state folder, the ear."""

    def __init__(self, root, unit, close):
        self.root, self.lines, self.status = root, unit_lines(root, unit), ""
        credentials, state = f"/run/credentials/{unit}", f"/var/lib/{self.lines['StateDirectory'][0]}"
        for folder in (credentials, state):
            root.inside(folder).mkdir(parents=True, mode=0o700)
            os.chown(root.inside(folder), SERVICE_USER, SERVICE_USER)
        for given in self.lines["LoadCredential"]:
            name, _, file = given.partition(":")
            copied = root.inside(f"{credentials}/{name}")
            shutil.copy(root.inside(file), copied)
            copied.chmod(0o400)
            os.chown(copied, SERVICE_USER, SERVICE_USER)
        self.ear = close.enter_context(closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)))
        self.ear.settimeout(PATIENCE_S)
        heard_at = root.inside("/run/notify")
        self.ear.bind(str(heard_at))
        heard_at.chmod(0o777)
        self.env = {"CREDENTIALS_DIRECTORY": credentials, "STATE_DIRECTORY": state, "NOTIFY_SOCKET": "/run/notify"}
        for before in self.lines.get("ExecStartPre", []):
            root.run("sh", "-c", before)
        self.process = root.start(*self.lines["ExecStart"][0].split(), env=self.env, user=SERVICE_USER)
        close.callback(ended, self.process)
        self.wait_for("READY=1")

    def wait_for(self, line):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.stderr.read()
            told = self.ear.recv(65536).decode().splitlines()
            self.status = next((one for one in told if one.startswith("STATUS=")), self.status)
            if line in told:
                return
        pytest.fail(f"the daemon never said {line}")

    def reload(self):
        for line in self.lines["ExecReload"]:
            if "$MAINPID" in line:
                self.process.send_signal(signal.SIGHUP)
            else:
                self.root.run("sh", "-c", line)
        self.wait_for("READY=1")


def unit_lines(root, unit):
    found = {}
    for line in root.inside(f"{UNITS}/{unit}").read_text(encoding="utf-8").splitlines():
        key, is_set, value = line.partition("=")
        if is_set and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def heard(process, until):
    """What a process says on stderr up to some words."""
    said = b""
    while until not in said:
        assert select.select([process.stderr], [], [], PATIENCE_S)[0], said
        more = os.read(process.stderr.fileno(), 65_536)
        assert more, said
        said += more
    return said.decode()


def ended(process):
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        pipe.close()


def edited(text, block):
    """A policy's text with each key of a block set in its section: in its own line where the sample has one, else below
    the section's head; a section that the text lacks comes to its end.
    """
    section, lines = "", text.splitlines()
    for line in block.splitlines():
        if line.startswith("["):
            section = line
            if section.startswith("[[") or section not in lines:
                lines += ["", section]
        elif line.strip():
            key = line.split("=")[0].strip()
            head = len(lines) - 1 - lines[::-1].index(section)
            end = next((at for at in range(head + 1, len(lines)) if lines[at].startswith("[")), len(lines))
            own = [at for at in range(head + 1, end) if re.match(rf"#? ?{re.escape(key)} =", lines[at])]
            if own:
                lines[own[0]] = line
            else:
                lines.insert(head + 1, line)
    return "\n".join(lines) + "\n"


@pytest.fixture
def evening(tmp_path, release):
    unpacked, wheels = release
    authority = trustme.CA()
    with ExitStack() as close:
        root = close.enter_context(debian_root(tmp_path))
        root.copy(unpacked, RELEASE)
        root.copy(wheels, WHEELS)
        hooks, hook_port = close.enter_context(webhook())
        box, mail_port = close.enter_context(mailbox(authority))
        reader = Evening(root, close, hook_port, mail_port)
        reader.hooks, reader.mails = hooks, box.mails
        page = read(PAGE)
        reader.commands = [one.text for one in commands(page) if not one.in_line]
        reader.blocks = [block.text for block in page.blocks if not is_commands(block)]
        root.write("/etc/guard/mail-ca.pem", authority.cert_pem.bytes().decode())
        yield reader


def wait_until(true, limit):
    deadline = time.monotonic() + limit.total_seconds()
    while not true():
        assert time.monotonic() < deadline, "it did not come in time"
        threading.Event().wait(1.0)


def test_a_new_user_gets_from_nothing_to_a_guarded_night_by_the_page_alone(evening):
    steps = iter(evening.commands)
    # up to the morning
    for text in steps:
        if text == "guard report":
            break
        evening.follow(text)
        if text == "guard plan":
            assert "CHAIN_UNHEALTHY" in evening.said
        if text == "guard coverage":
            assert "forgotten-01" in evening.said
        if text == "guard notify test":
            wait_until(lambda: evening.hooks and evening.mails, timedelta(seconds=30))
    tests = len(evening.hooks), len(evening.mails)
    assert tests == (1, 1)

    # the night's digest arrives at both
    wait_until(lambda: len(evening.hooks) > 1 and len(evening.mails) > 1, SOON + timedelta(minutes=2))
    [digest, *_] = [one for one in evening.hooks[1:] if one["event"] == "digest"]
    assert digest["schema"] == "guard.message/1"
    assert datetime.fromisoformat(digest["at"]) <= clock.now()
    assert "CHAIN_UNHEALTHY" in digest["text"]
    assert "db-01" in digest["text"]
    mail = evening.mails[-1]
    assert mail["To"] == "backup@example.org"
    assert "Digest of" in mail["Subject"]
    assert "db-01" in mail.get_content()
    print(f"\n{mail['Subject']}\n\n{mail.get_content()}")

    # the morning, and a week later
    evening.follow("guard report")
    for text in steps:
        if text == "guard config check":
            evening.write("/etc/guard/guard.toml", evening.blocks.pop(0))
        evening.follow(text)
    assert tomli.loads(evening.root.inside("/etc/guard/guard.toml").read_text())["schedule"][0]["gate"] == "enforce"
    assert evening.did == evening.commands
    assert evening.blocks == []

    # stopped as systemd stops it
    evening.daemon.process.send_signal(signal.SIGTERM)
    assert evening.daemon.process.wait(PATIENCE_S) == 0
