"""guard daemon as a process, as systemd runs it: against a simulated XO on loopback, with a test-side NOTIFY_SOCKET."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from guard.cli import clock
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.events import Seen
from guard.simulator.faults import Faults, Hang, HttpStatus
from guard.simulator.serve import running
from guard.simulator.world import GIB, World

GUARD = Path(sys.executable).with_name("guard")
TOKEN = "simulated-token"
PATIENCE = 20.0  # seconds a test waits for what comes at once on an idle machine


class Xo:
    """A simulated XO with one nightly job; ``faults`` can be planted at any time."""

    def __init__(self, cron="0 3 * * *"):
        self.world, self.faults, self.url = World(clock.now), Faults(), ""
        pool = self.world.add_pool("paris")
        self.world.add_host(pool, "xcp-1")
        vm = self.world.add_vm(pool, "web-01")
        self.world.add_disk(vm, self.world.add_sr(pool, "NFS", "nfs", size=100 * GIB), 5 * GIB)
        job = self.world.add_job("nightly", vms=[vm], remotes=[self.world.add_repository("nas")])
        self.world.add_schedule(job, cron, timezone="Europe/Paris")

    @contextmanager
    def serving(self):
        with running(self.world, self.faults) as self.url:
            yield self
        assert self.world.starts == []
        assert list(getattr(self.world, "writes", [])) == []

    def next_request(self):
        """Set when XO is asked for the next time."""
        asked = threading.Event()
        self.faults.after(0, asked.set)
        return asked


@pytest.fixture
def xo():
    with Xo().serving() as serving:
        yield serving


STOPS = "guard: stops; guard holds nothing in XO"


class Home:
    """What the unit gives the daemon: a policy, a credential, a state folder, and an ear for what it tells systemd."""

    def __init__(self, folder, url):
        self.policy, self.state, self.credential = folder / "guard.toml", folder / "state", folder / "cred" / "xo-token"
        self.state.mkdir(mode=0o700)
        self.credential.parent.mkdir()
        self.credential.write_text(TOKEN + "\n", encoding="utf-8")
        self.credential.chmod(0o400)
        self.write_policy(url)
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(folder / "notify"))
        self.env = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "HOME")} | {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "STATE_DIRECTORY": str(self.state),
            "CREDENTIALS_DIRECTORY": str(self.credential.parent),
        }

    def write_policy(self, url, more=""):
        """``token_file`` is one that the service may not read, as /etc/guard/xo-token is."""
        text = f'[xo]\nurl = "{url}"\ntoken_file = "{self.policy.parent}/for-root-only"\n{more}'
        self.policy.write_text(text, encoding="utf-8")

    def guard(self, command, *arguments):
        """Another command beside the daemon, to its end."""
        line = [str(GUARD), command, "--config", str(self.policy), *arguments]
        return subprocess.run(line, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def looked_at(self):
        done = self.guard("status", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)["looked_at"]

    def ledger(self, url):
        """(instance, events by due run)."""
        with read_ledger(self.state / "ledger.sqlite", xo=url, clock=clock.now) as ledger:
            found = asyncio.run(ledger.between(clock.now() - timedelta(days=1), clock.now() + timedelta(days=1)))
            return ledger.instance, dict(found)

    def messages(self):
        """What is heard from now on, each message as a dictionary, for as long as a test has patience."""
        deadline = time.monotonic() + PATIENCE
        while (left := deadline - time.monotonic()) > 0:
            self.ear.settimeout(left)
            yield dict(line.split("=", 1) for line in self.ear.recv(65536).decode().splitlines())
        raise TimeoutError

    def wait_for(self, key):
        """The next message that has this key, and those before it."""
        before = []
        for message in self.messages():
            if key in message:
                return message, before
            before.append(message)
        raise AssertionError("unreachable")

    def unheard(self):
        """What was said and not listened to yet."""
        self.ear.setblocking(False)
        found = []
        while True:
            try:
                found.append(self.ear.recv(65536).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def home(tmp_path, xo):
    made = Home(tmp_path, xo.url)
    yield made
    made.ear.close()


class Daemon:
    """The running process."""

    def __init__(self, home):
        line = [str(GUARD), "daemon", "--config", str(home.policy)]
        self.process = subprocess.Popen(
            line, env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """(exit code, lines on stderr, seconds it took)."""
        began = time.monotonic()
        self.send(number)
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said.splitlines(), time.monotonic() - began


@contextmanager
def daemon(home):
    started = Daemon(home)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def test_it_is_ready_after_its_first_look_tells_that_it_lives_after_every_look_and_stops_at_once(home, xo):
    with daemon(home) as guard:
        ready, before = home.wait_for("READY")
        assert (before, xo.faults.requests > 0) == ([], True)
        assert ready["STATUS"].startswith("nothing runs; next due ")
        looks = [home.looked_at()]
        assert home.wait_for("WATCHDOG")[0] == {"WATCHDOG": "1", "STATUS": ready["STATUS"]}
        for _ in range(2):
            guard.send(signal.SIGUSR1)
            assert home.wait_for("WATCHDOG")[0]["STATUS"] == ready["STATUS"]
            looks.append(home.looked_at())
        assert looks == sorted(set(looks))
        code, said, took = guard.stop()
        assert (code, said) == (0, [STOPS])
        assert took < 2
        assert home.unheard() == ["STOPPING=1"]


def test_ctrl_c_stops_it_like_systemd_does(home):
    with daemon(home) as guard:
        home.wait_for("READY")
        assert guard.stop(signal.SIGINT)[:2] == (0, [STOPS])
        assert home.wait_for("STOPPING")[0] == {"STOPPING": "1"}


def test_a_reload_is_told_to_systemd_and_a_broken_policy_leaves_the_old_one_in_force(home, xo):
    with daemon(home) as guard:
        home.wait_for("WATCHDOG")
        asked = time.monotonic_ns() // 1000
        guard.send(signal.SIGHUP)
        assert asked <= int(home.wait_for("RELOADING")[0]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        ready, before = home.wait_for("READY")
        assert (before, ready["STATUS"].startswith("nothing runs; ")) == ([], True)
        home.wait_for("WATCHDOG")

        home.write_policy(xo.url, "nonsense = 1\nmore_nonsense = 2\n")
        guard.send(signal.SIGHUP)
        home.wait_for("RELOADING")
        home.wait_for("READY")
        assert home.wait_for("WATCHDOG")[0]["STATUS"] == ready["STATUS"]

        home.write_policy("http://127.0.0.1:1")
        guard.send(signal.SIGHUP)
        assert home.wait_for("READY")[0]["STATUS"] == home.wait_for("WATCHDOG")[0]["STATUS"] == ready["STATUS"]

        code, said, _ = guard.stop()
        assert code == 0
        assert said[0] == "guard: the policy was read anew"
        assert said[1].startswith(
            f"guard: warning: the policy stays as it was: {home.policy}:4: xo.nonsense = 1: unknown key"
        )
        assert f"; {home.policy}:5: xo.more_nonsense = 2" in said[1]
        assert said[2].startswith("guard: warning: the policy stays as it was: [xo] url changed")
        assert said[3:] == [STOPS]


def test_a_second_daemon_on_the_same_state_folder_is_refused_in_one_sentence_and_the_first_goes_on(home):
    with daemon(home) as first:
        home.wait_for("WATCHDOG")
        refused(home.guard("daemon"), "another guard daemon")
        first.send(signal.SIGUSR1)
        home.wait_for("WATCHDOG")
        assert first.stop()[:2] == (0, [STOPS])


def refused(done, *words):
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("guard: ")
    for word in words:
        assert word in line


def test_a_token_that_others_may_read_is_refused_in_one_sentence(home, xo):
    home.credential.chmod(0o444)
    refused(home.guard("daemon"), str(home.credential), "others may read this secret")
    assert (xo.faults.requests, home.unheard()) == (0, [])


def test_a_token_that_is_not_there_is_told_in_one_sentence(home, xo):
    home.credential.unlink()
    refused(home.guard("daemon"), "for-root-only", "[xo] token_file cannot be read")
    assert (xo.faults.requests, home.unheard()) == (0, [])


def test_a_state_folder_that_is_not_there_is_told_in_one_sentence(home, xo):
    home.state.rmdir()
    refused(home.guard("daemon"), str(home.state), "there is no such folder")
    assert (xo.faults.requests, home.unheard()) == (0, [])


def test_the_ledger_of_another_xo_is_refused_in_one_sentence_and_not_touched(home, xo):
    with daemon(home) as guard:
        home.wait_for("READY")
        guard.stop()
    home.unheard()
    before = (home.state / "ledger.sqlite").read_bytes()
    home.write_policy("http://127.0.0.1:1")
    refused(home.guard("daemon"), "ledger.sqlite belongs to the XO at", xo.url)
    assert (home.state / "ledger.sqlite").read_bytes() == before
    assert home.unheard() == []


def test_with_xo_down_at_its_start_it_is_ready_and_says_so(home):
    with socket.socket() as nobody:  # bound, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        home.write_policy(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with daemon(home) as guard:
            assert home.wait_for("READY")[0]["STATUS"].startswith("XO cannot be read since ")
            assert home.wait_for("WATCHDOG")[0]["STATUS"].startswith("XO cannot be read since ")
            code, said, _ = guard.stop()
            assert (code, said[1:]) == (0, [STOPS])
            assert said[0].startswith("guard: ")


def test_an_xo_that_goes_and_comes_back_is_told_once_each_time(home, xo):
    with daemon(home) as guard:
        home.wait_for("WATCHDOG")
        xo.faults.plant("/rest/v0/schedules", HttpStatus(503, "gone\nfishing\x1b[31m"))
        for _ in range(2):
            guard.send(signal.SIGUSR1)
            assert home.wait_for("WATCHDOG")[0]["STATUS"].startswith("XO cannot be read since ")
        xo.faults.lift("/rest/v0/schedules")
        guard.send(signal.SIGUSR1)
        assert home.wait_for("WATCHDOG")[0]["STATUS"].startswith("nothing runs; ")
        code, said, _ = guard.stop()
        assert (code, said[1:]) == (0, ["guard: XO can be read, and the ledger be written", STOPS])
        assert "503" in said[0]
        assert said[0].isprintable()


def test_a_stop_while_xo_hangs_does_not_wait_for_it(home, xo):
    xo.faults.plant("system.getServerVersion", Hang())
    asked = xo.next_request()
    with daemon(home) as guard:
        assert asked.wait(PATIENCE)
        code, said, took = guard.stop()
        assert (code, said) == (0, [STOPS])
        assert took < 2
        assert home.unheard() == ["STOPPING=1"]


def troubles(said):
    """What was logged beside the lines of due runs."""
    return [line for line in said if not line.startswith("guard: nightly / ")]


def test_killed_at_once_and_started_again_it_goes_on_with_the_same_ledger(tmp_path):
    with Xo(cron="* * * * *").serving() as xo:
        home = Home(tmp_path, xo.url)
        with daemon(home) as guard:
            home.wait_for("WATCHDOG")
            code, said, _ = guard.stop(signal.SIGKILL)
            assert (code, troubles(said)) == (-signal.SIGKILL, [])
        instance, before = home.ledger(xo.url)
        assert before
        with daemon(home) as guard:
            home.wait_for("WATCHDOG")
            same_instance, after = home.ledger(xo.url)
            code, said, _ = guard.stop()
            assert (code, troubles(said)) == (0, [STOPS])
        home.ear.close()
        assert same_instance == instance
        for key, events in before.items():
            assert after[key][: len(events)] == events
            assert sum(isinstance(event, Seen) for event in after[key]) == 1
