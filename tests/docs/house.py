"""Where the commands of a page are run: a simulated XO on loopback, a policy, a token, and a ledger with two nights in it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from guard.cli.main import main
from guard.daemon.compose import LEDGER
from guard.daemon.news import News
from guard.gate.watch import Watch
from guard.ledger.sqlite import open_ledger
from guard.policy.load import load
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.ledger.opening import INSTANCE

TOKEN = "a-token-of-the-docs"
DUE = datetime(2027, 3, 28, 1, tzinfo=UTC)
"""A due time that the docs ask for: 2027-03-28T02:00+01:00."""
_BEGINS = DUE - timedelta(days=1, hours=1)
_LOOKS = (
    timedelta(minutes=-30),
    timedelta(seconds=-50),
    timedelta(seconds=15),
    timedelta(seconds=75),
    timedelta(hours=2),
)
"""When guard looked at XO, before and after each due time."""
GUARD = Path(sys.executable).with_name("guard")
PATIENCE_S = 30.0


class House:
    """``guard`` runs a command in this process; ``lasting`` runs one as a process
    of its own until it is up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.etc, self.policy = folder / "state", folder / "xo-server", folder / "guard.toml"
        for made in (self.state, self.etc):
            made.mkdir(mode=0o700)
        self.token = self._secret("xo-token", TOKEN)
        self.world = _world(lambda: _BEGINS)
        self.live = Live(self.world)
        self.url = self.hook = ""
        self._made, self._tokens = 0, dict(self.world.tokens)

    @contextmanager
    def open(self):
        with ExitStack() as held:
            self.url = held.enter_context(running(self.world))
            self.hook = held.enter_context(_webhook())
            self.write_policy()
            for night in range(2):
                for at in _LOOKS:
                    self._look_at(DUE + timedelta(days=night) + at)
            yield self

    def now(self) -> datetime:
        return self.live.now()

    def write_policy(self, more: str | None = None) -> None:
        """``more``: in place of what lets guard act, write into XO's folder, and tell a webhook."""
        usual = (
            '[defaults]\ngate = "enforce"\n'
            f'[remedies]\nxo_config = "{self.etc}"\n[notify.webhook]\nurl = "{self.hook}/hook"\n'
        )
        head = f'[xo]\nurl = "{self.url}"\ntoken_file = "{self.token}"\nzone = "utc"\n'
        self.policy.write_text(head + (usual if more is None else more), encoding="utf-8")

    def reset(self) -> None:
        """What the commands of one page left is not there for those of the next."""
        self._secret(self.token.name, TOKEN)
        self.world.tokens, self.world.token_records = dict(self._tokens), {}
        for left in (*self.folder.glob(f"{self.token.name}?*"), *self.etc.iterdir()):
            left.unlink()
        self.write_policy()

    def new_file(self) -> Path:
        return self.folder / f"file-{self._next()}.json"

    def _next(self) -> int:
        self._made += 1
        return self._made

    def capture(self) -> Path:
        """What guard capture makes of this XO."""
        file = self.new_file()
        assert self.guard("capture", str(file), "--config", str(self.policy))[0] == 0
        return file

    def logs(self) -> Path:
        """What XO's backup logs are, as curl saves them."""
        file = self.new_file()
        file.write_text(json.dumps(self.world.shown_logs()), encoding="utf-8")
        return file

    def guard(self, *words: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr). What it had XO start is over when this returns."""
        out, err = io.StringIO(), io.StringIO()
        with _patience():
            code = main(words, out, err, {"SUDO_USER": "alice"})
        if self.live.jobs.running:
            self.live.advance(timedelta(hours=1))
        return code, out.getvalue(), err.getvalue()

    def clear_brakes(self) -> None:
        """End every hold and bypass, so that the next command of a page meets none."""
        there = ("--config", str(self.policy), "--state", str(self.state))
        for words in (("unhold", "all"), ("unbypass", "all")):
            self.guard(*words, *there)

    def lasting(self, *words: str, meanwhile: Callable[[], None] = lambda: None) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a command that goes on until it is stopped, as systemd stops it, once it is up.

        ``meanwhile`` is called before that.
        """
        env = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "HOME")}
        state = self.folder / "daemon"
        state.mkdir(mode=0o700, exist_ok=True)
        words = tuple(str(state) if word == str(self.state) else word for word in words)
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as ear:
            ear.bind(str(self.folder / f"ear-{self._next()}"))
            ear.settimeout(PATIENCE_S)
            process = subprocess.Popen(
                [GUARD, *words],
                env=env | {"NOTIFY_SOCKET": ear.getsockname()},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                if words[0] == "daemon":
                    while "READY=1" not in ear.recv(65536).decode().splitlines():
                        assert process.poll() is None, "guard daemon ended by itself"
                else:
                    assert select.select([process.stderr], [], [], PATIENCE_S)[0], "it said nothing"
                    os.read(process.stderr.fileno(), 65536)  # it tells the token of a simulation, which is no secret
                meanwhile()
                process.send_signal(signal.SIGTERM)
                out, err = process.communicate(timeout=PATIENCE_S)
                return process.returncode, out, err
            finally:
                process.kill()
                process.communicate()

    def _secret(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(f"{text}\n", encoding="utf-8")
        path.chmod(0o600)
        return path

    def _look_at(self, moment: datetime) -> None:
        self.live.advance(moment)
        asyncio.run(self._look())

    async def _look(self) -> None:
        async def nobody(message):
            del message

        made, policy = XoSettings(url=self.url), load(self.policy.read_text(encoding="utf-8"), file="guard.toml")
        xo = WritingXo(lambda: made, lambda: Token(TOKEN), clock=self.now)
        ledger = open_ledger(self.state / LEDGER, xo=self.url, clock=self.now, instance=INSTANCE, ballast_bytes=65_536)
        with ledger:
            news = News(nobody, lambda: UTC)
            await Watch(ledger, xo, news, clock=self.now, policy_of=lambda: policy, instance=ledger.instance).tick()


def _world(now) -> World:
    """Names are those of the docs: nightly with db1, db2 and db-1; pools paris and Lyon; the SR NFS-2, the repository nas."""
    world = World(now, token=TOKEN)
    paris, lyon = world.add_pool("paris"), world.add_pool("Lyon")
    world.add_host(paris, "xcp-1")
    world.add_host(lyon, "xcp-2")
    disks = world.add_sr(paris, "NFS-2", "nfs", size=100 * GIB)
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    vms = []
    for name in ("db1", "db2", "db-1"):
        vms.append(world.add_vm(paris, name))
        world.add_disk(vms[-1], disks, GIB // 4)
    job = world.add_job("nightly", vms=vms, remotes=[nas])
    world.add_schedule(job, f"0 {DUE.hour} * * *", name="nightly", timezone="UTC")
    return world


@contextmanager
def _patience():
    """A command that hangs is an error that says so."""

    def enough(*_words):
        raise TimeoutError(f"no end within {PATIENCE_S:g} s")

    before = signal.signal(signal.SIGALRM, enough)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class _Taker(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", "0")))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_words):
        """It is silent."""


@contextmanager
def _webhook():
    """A server that takes every message."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
