"""A daemon that acts, as a process: what it leaves in XO when it is stopped, and guard release after it was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from guard.cli import clock
from guard.daemon.compose import LEDGER
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import ReleasedHow
from guard.simulator.serve import running
from tests.stories.claimed import ENFORCE, TOKEN, fallbacks_in, knows, small_xo

GUARD = Path(sys.executable).with_name("guard")
LEAD_S = 60  # so long before a due time it is claimed
ROOM_S = 25  # a stop or a release must be over before the schedule is due
PATIENCE = 60.0


class Acting:
    """A daemon with gate = enforce and claim = always whose one schedule is due within two minutes; real time."""

    def __init__(self, folder):
        now = clock.now()
        self.due = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        if (self.due - now).total_seconds() < ROOM_S + 5:
            self.due += timedelta(minutes=1)
        self.live, self.schedule = small_xo(clock.now, f"{self.due.minute} {self.due.hour} * * *")
        self.world = self.live.world
        self.state, self.policy, token = folder / "state", folder / "guard.toml", folder / "token"
        self.state.mkdir()
        token.write_text(TOKEN + "\n")
        token.chmod(0o600)
        self.policy_of = lambda url: f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n{ENFORCE}'
        self.env = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "HOME")}

    @contextmanager
    def claimed(self):
        """The process, once the schedule is off in XO with both fallbacks there and the ledger knows it."""
        with running(self.world) as self.url:
            self.policy.write_text(self.policy_of(self.url))
            knows(self.state / LEDGER, self.url, self.schedule, clock.now())
            line = [str(GUARD), "daemon", *self.given()]
            process = subprocess.Popen(line, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                self.wait_for_the_claim(process)
                yield process
            finally:
                process.kill()
                process.communicate()

    def given(self):
        return ["--config", str(self.policy), "--state", str(self.state)]

    def guard(self, *words):
        line = [str(GUARD), *words, *self.given()]
        return subprocess.run(line, env=self.env, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def wait_for_the_claim(self, process):
        deadline, pause = time.monotonic() + LEAD_S + PATIENCE, threading.Event()
        while time.monotonic() < deadline and process.poll() is None:
            if any(run.claim is not None and run.claim.held is not None for run in self.runs()):
                assert (self.is_on, len(fallbacks_in(self.world))) == (False, 2)
                return
            pause.wait(0.2)
        raise AssertionError(
            f"nothing was claimed; the daemon said {process.stderr.read() if process.poll() else ''!r}"
        )

    @property
    def is_on(self):
        return self.world.schedules[self.schedule["id"]]["enabled"]

    def runs(self):
        with read_ledger(self.state / LEDGER, xo=self.url, clock=clock.now) as ledger:
            day = timedelta(days=1)
            found = asyncio.run(ledger.between(self.due - day, self.due + day))
        return [fold(key, events) for key, events in found.items()]

    def released_how(self):
        return [run.claim.released.how for run in self.runs() if run.claim is not None and run.claim.released]


@pytest.fixture
def acting(tmp_path):
    return Acting(tmp_path)


def test_killed_while_it_holds_a_schedule_guard_release_enables_it_and_leaves_no_fallback(acting):
    with acting.claimed() as daemon:
        refused = acting.guard("release")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "guard daemon runs and holds what is claimed" in refused.stderr
        status = acting.guard("status").stdout
        assert "Claimed: nightly / every night" in status
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(PATIENCE)
        assert (acting.is_on, len(fallbacks_in(acting.world))) == (False, 2)
        assert acting.guard("release", "--dry-run").returncode == 2
        assert (acting.is_on, len(fallbacks_in(acting.world))) == (False, 2)
        done = acting.guard("release", "--stale", "0s")
        assert (done.returncode, done.stderr) == (0, "")
        assert "enabled again" in " ".join(done.stdout.split())
        assert (acting.is_on, fallbacks_in(acting.world)) == (True, [])
        assert acting.released_how() == [ReleasedHow.ENABLED]
        again = acting.guard("release", "--all")
        assert (again.returncode, again.stderr) == (0, "")
        assert "Nothing is claimed" in again.stdout


def test_asked_to_stop_while_it_holds_a_schedule_it_gives_it_back_first_and_leaves_no_fallback(acting):
    with acting.claimed() as daemon:
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate(timeout=PATIENCE)
        assert daemon.returncode == 0
        lines = [line for line in said.splitlines() if line.startswith("guard: nightly / every night, due ")]
        assert any("claims the schedule" in line for line in lines)
        assert lines[-1].endswith("released: the schedule is enabled again")
        assert said.splitlines()[-1] == "guard: stops; guard holds nothing in XO"
        assert (acting.is_on, fallbacks_in(acting.world)) == (True, [])
        assert acting.released_how() == [ReleasedHow.ENABLED]
        done = acting.guard("release", "--stale", "0s")
        assert (done.returncode, done.stdout) == (0, "Nothing is claimed: every schedule is XO's.\n")


def test_a_bypass_set_beside_the_daemon_has_it_give_the_schedule_back_at_its_next_look(acting):
    with acting.claimed() as daemon:
        done = acting.guard("bypass", "all", "--reason", "an update of XO")
        assert (done.returncode, done.stderr) == (0, "")
        daemon.send_signal(signal.SIGUSR1)
        deadline, pause = time.monotonic() + PATIENCE, threading.Event()
        while time.monotonic() < deadline and (not acting.is_on or fallbacks_in(acting.world)):
            pause.wait(0.2)
        assert (acting.is_on, fallbacks_in(acting.world)) == (True, [])
        assert clock.now() < acting.due
