"""Real processes that act, and what happens to them: judged by the simulated XO's own starts and its schedule table."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from guard.gate.watch import CONFIRMED
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, End
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from tests.ledger.opening import opened
from tests.stories.driven import EVER
from tests.stories.small_world import happens
from tests.virtual_time import run as finished

EVENING = datetime(2026, 11, 24, 1, 57, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
FORENOON = DUE + timedelta(hours=4)
PATIENCE = 60.0
LOWER, HIGHER = "0a" * 8, "b0" * 8
POLICY = '[xo]\nurl = "{url}"\nzone = "utc"\n[defaults]\ngate = "enforce"\nclaim = "always"\nmax_defer = "30 min"\n'


class Process:
    """process_guard.py, asked and told. Its journal is a pipe, as under systemd: no file has to grow for it."""

    def __init__(self, night, name="guard", instance=LOWER):
        self.night, self.path = night, night.folder / f"{name}.sqlite"
        if not self.path.exists():
            night.known(self.path, instance)
        self._journal = b""
        line = [sys.executable, str(Path(__file__).with_name("process_guard.py")), night.url, str(self.path)]
        line += [str(night.policy), instance]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.popen = subprocess.Popen(
            line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        os.set_blocking(self.popen.stderr.fileno(), False)
        night.close.callback(self.kill)

    def tell(self, word):
        self.popen.stdin.write(f"{word}\n".encode())

    def look(self):
        """One look at the world's time; until when nothing is to be seen."""
        self.tell(self.night.live.now().isoformat())
        ready, _, _ = select.select([self.popen.stdout], [], [], PATIENCE)
        line = self.popen.stdout.readline() if ready else b""
        assert line, f"guard does not answer: {self.read()}"
        return datetime.fromisoformat(line.decode().strip())

    def live_until(self, until):
        """It looks when it wants to, and the world goes on."""
        live = self.night.live
        while live.now() < until:
            wake = self.look()
            live.advance(min(until, max(wake, live.now() + timedelta(seconds=1))))

    def kill(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(PATIENCE)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            pipe.close()

    def read(self):
        """What it wrote into its journal so far."""
        while more := self.popen.stderr.read(65_536):
            self._journal += more
        return self._journal.decode()


class Night:
    """A served world of some schedules due at 2, each with a VM on an SR of its own. ``blocked``: their chains never clear."""

    def __init__(self, folder, close, count=1, cron="0 2 * * *", blocked=False):
        self.folder, self.close = folder, close
        world = World(lambda: EVENING)
        pool = world.add_pool("paris")
        nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
        self.schedules, srs = [], []
        for number in range(count):
            srs.append(world.add_sr(pool, f"SR {number}", "nfs", size=100 * GIB))
            vm = world.add_vm(pool, f"vm {number}")
            disk = world.add_disk(vm, srs[-1], 2 * GIB, usage=GIB // 4)
            if blocked:
                world.add_base_copies(disk, 4)
            job = world.add_job(f"job {number}", vms=[vm], remotes=[nas])
            self.schedules.append(world.add_schedule(job, cron, name=f"schedule {number}"))
        self.live = Live(world)
        for sr in srs if blocked else ():
            self.live.collector.switch_off(sr)
        self.url = close.enter_context(running(world))
        self.policy = folder / "guard.toml"
        self.policy.write_text(POLICY.format(url=self.url))

    def known(self, path, instance):
        """A ledger of a guard that saw these schedules before, and real starts of XO's that agreed with it."""
        firing = {one["id"]: f"{one['cron']}|utc" for one in self.schedules}
        with opened(path, xo=self.url, clock=self.live.now, instance=bytes.fromhex(instance)) as ledger:
            finished(ledger.remember(CONFIRMED, msgspec.json.encode(firing)))
            finished(ledger.mark(dict.fromkeys(firing, self.live.now())))

    def starts(self, schedule=None):
        ids = {one["id"] for one in ([schedule] if schedule else self.schedules)}
        return [one for one in self.live.world.starts if one.schedule_id in ids]

    def off(self):
        return [one["name"] for one in self.live.world.schedules.values() if not one["enabled"]]

    def left(self):
        return [one["name"] for one in self.live.world.call_jobs.values()]

    def ends(self, path):
        with read_ledger(path, xo=self.url, clock=self.live.now) as ledger:
            stories = finished(ledger.between(*EVER))
        return [fold(key, events).ended for key, events in stories.items() if key.via != BY_HAND]


@pytest.fixture
def night(tmp_path):
    with ExitStack() as close:
        yield lambda **world: Night(tmp_path, close, **world)


def test_xo_that_takes_a_run_and_dies_of_it_is_not_asked_for_it_again(night):
    world = night()
    run_schedule = world.live.jobs.run_schedule

    def and_dies(*arguments, **named):
        run = run_schedule(*arguments, **named)
        world.live.stop_xo()
        return run

    world.live.jobs.run_schedule = and_dies
    happens(world.live, DUE + timedelta(minutes=2), world.live.start_xo)
    # a follow-up would start what the interruption left undone
    world.policy.write_text(f"{world.policy.read_text()}[remedies]\nfollow_up = false\n")
    guard = Process(world)
    guard.live_until(FORENOON)
    assert len(world.starts()) == 1
    (end,) = world.ends(guard.path)
    assert end.end in (End.RAN, End.LEFT_TO_XO)
    assert (world.off(), world.left()) == ([], [])


def test_a_guard_that_is_frozen_across_two_due_times_wakes_to_runs_that_xo_started(night):
    world = night(cron="0 2,3 * * *")
    guard = Process(world)
    guard.live_until(DUE - timedelta(seconds=30))
    assert world.off() == ["schedule 0"]
    guard.popen.send_signal(signal.SIGSTOP)
    world.live.advance(DUE + timedelta(minutes=90))
    guard.popen.send_signal(signal.SIGCONT)
    guard.live_until(FORENOON)
    minutes = [(one.at - DUE) // timedelta(minutes=1) for one in world.starts()]
    assert minutes == [3, 60]
    assert [end.end for end in world.ends(guard.path)] == [End.LEFT_TO_XO] * 2
    assert (world.off(), world.left()) == ([], [])


def test_when_no_file_can_grow_between_claim_and_start_the_run_starts_once_and_is_in_the_journal(night):
    world = night()
    guard = Process(world)
    guard.live_until(DUE - timedelta(seconds=30))
    assert world.off() == ["schedule 0"]
    guard.tell("full")
    guard.live_until(DUE + timedelta(minutes=8))
    (start,) = world.starts()
    assert (start.origin, start.at - DUE < timedelta(seconds=5)) == ("rpc", True)
    assert (world.off(), world.left()) == ([], [])
    told = guard.read()
    assert told.index('"kind":"starting"') < told.index('"kind":"started"') < told.index('"kind":"released"')
    assert told.count("told LEDGER_UNWRITABLE") == 1
    guard.tell("room")
    guard.live_until(FORENOON)
    assert len(world.starts()) == 1
    assert [end.end for end in world.ends(guard.path)] == [End.RAN]


def test_a_ledger_of_yesterday_starts_nothing_again(night):
    world = night()
    guard = Process(world)
    guard.live_until(DUE - timedelta(seconds=30))
    assert world.off() == ["schedule 0"]
    copy = guard.path.with_suffix(".yesterday")
    with opened(guard.path, xo=world.url, clock=world.live.now) as ledger:  # what a snapshot of the machine holds
        ledger._store.connection.execute("VACUUM INTO ?", (str(copy),))
    guard.live_until(DUE + timedelta(hours=1))
    guard.kill()
    assert len(world.starts()) == 1
    for old in guard.path.parent.glob("guard.sqlite*"):
        old.unlink()
    shutil.copy(copy, guard.path)
    again = Process(world)
    again.live_until(FORENOON)
    assert len(world.starts()) == 1
    assert [end.end for end in world.ends(again.path)] == [End.LEFT_TO_XO]
    assert (world.off(), world.left()) == ([], [])


def test_of_two_guards_on_one_xo_the_lower_id_acts_and_every_run_starts_once(night):
    world = night(count=3)
    lower, higher = Process(world, "lower", LOWER), Process(world, "higher", HIGHER)
    while world.live.now() < FORENOON:
        wake = min(lower.look(), higher.look())
        world.live.advance(min(FORENOON, max(wake, world.live.now() + timedelta(seconds=1))))
    for schedule in world.schedules:
        assert len(world.starts(schedule)) == 1
    assert [end.end for end in world.ends(lower.path)] == [End.RAN] * 3
    assert all(end.end is not End.RAN for end in world.ends(higher.path))
    assert (world.off(), world.left()) == ([], [])


def test_when_guard_is_gone_for_good_with_twenty_runs_deferred_xo_starts_each_of_them_once(night):
    world = night(count=20, blocked=True)
    guard = Process(world)
    guard.live_until(DUE + timedelta(minutes=5))
    assert (world.starts(), world.off(), len(world.left())) == ([], [], 20)
    guard.kill()
    world.live.advance(FORENOON)
    for schedule in world.schedules:
        (start,) = world.starts(schedule)
        assert start.at == DUE + timedelta(minutes=33) + (start.at - start.at.replace(second=0, microsecond=0))
    assert world.off() == []
