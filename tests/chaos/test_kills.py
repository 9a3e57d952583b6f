"""A guard that is killed at any point and started again leaves the same truth: in memory at every write, and for real."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from guard.gate.ports import XoReads
from guard.gate.watch import CONFIRMED
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.events import Alarmed, Decided, Ended
from guard.lifecycle.ledger import Ledger
from guard.simulator.serve import running
from tests.chaos import acting
from tests.chaos.mortal import Fate, KilledError, Mortal, methods_of
from tests.ledger.opening import hasty, opened
from tests.stories.driven import EVER, Guarded
from tests.stories.in_process import URL, InProcess
from tests.stories.invariants import Diary, sequence_numbers, violations
from tests.stories.small_world import EVENING, happens, small_world, with_trouble
from tests.virtual_time import run as finished

WRITES = frozenset({"append", "mark", "remember"})
NIGHT, WEEK = timedelta(hours=9, minutes=30), timedelta(days=7)
A_WHILE = timedelta(minutes=10)
DOWNTIMES = (timedelta(0), timedelta(seconds=2), timedelta(seconds=40), timedelta(minutes=4), timedelta(minutes=50))


class Killable(Guarded):
    """A guard whose ports are under one fate. It is down for ``downtimes`` in turn."""

    def __init__(self, live, path, fate, downtimes=DOWNTIMES):
        self.fate, self._downtimes = fate, downtimes
        xo = Mortal(InProcess(live), fate, methods_of(XoReads))
        super().__init__(live, path, xo=xo, ledger_of=lambda ledger: Mortal(hasty(ledger), fate, methods_of(Ledger)))

    def live_through(self, until):
        finished(self._live_through(until))
        self.fate.retire()

    async def _live_through(self, until):
        while self.live.now() < until:
            try:
                await self.go(until)
            except KilledError:
                self.live.advance(self._downtimes[self.fate.deaths % len(self._downtimes)])
                until = max(until, self.live.now() + A_WHILE)  # whoever was away at the end still has to look
                self.fate.revive()
                self.start()


def lived(folder, live, until, fate, **options):
    """A guard that lived through it, and what is wrong afterwards."""
    guarded = Killable(live, folder / f"{len(list(folder.iterdir()))}.sqlite", fate, **options)
    try:
        guarded.live_through(EVENING + until)
        untold = alarms_in(guarded.stories()) - set(guarded.ear.alarms)
        return guarded, guarded.violations() + [f"never told: {one}" for one in untold]
    finally:
        guarded.close()


def never(_number, _name):
    return False


# --- one crash in a night


def writes_of_a_night(folder):
    """The numbers of the port calls that write, of a night without a crash."""
    fate = Fate(never, before=True)
    _, wrong = lived(folder, small_world(long_minutes=3), NIGHT, fate)
    assert wrong == []
    return {number: name for number, name in enumerate(fate.names, 1) if name in WRITES}


def test_a_crash_at_any_write_of_a_night_loses_and_doubles_nothing(tmp_path, capsys):
    """Between two writes nothing durable happens, so these are all the crash points there are."""
    found = writes_of_a_night(tmp_path)
    appends = [number for number, name in found.items() if name == "append"]
    began, points = time.perf_counter(), 0
    for number in found:
        for before in (True, False):
            fate = Fate(lambda count, _name, at=number: count == at, before=before)
            downtimes = (DOWNTIMES[points % len(DOWNTIMES)],)
            guarded, wrong = lived(tmp_path, small_world(long_minutes=3), NIGHT, fate, downtimes=downtimes)
            assert (number, found[number], before, downtimes, wrong) == (number, found[number], before, downtimes, [])
            assert fate.deaths == 1
            guarded.path.unlink()
            points += 1
    took = (time.perf_counter() - began) * 1000 / points
    with capsys.disabled():
        print(f"\nkills: {points} crash points of one night ({len(appends)} appends), {took:.0f} ms each")
    assert points > 100


# --- many crashes in a week


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("every", [15, 30, 60, 120])
def test_a_week_in_which_guard_dies_at_every_so_manieth_call_is_told_whole(tmp_path, every, before):
    chance = random.Random(every)
    fate = Fate(lambda _count, _name: chance.random() < 1 / every, before=before)
    guarded, wrong = lived(tmp_path, with_trouble(small_world(), nights=7), WEEK, fate)
    assert wrong == []
    assert fate.deaths > 20
    assert guarded.live.world.writes == []


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("seed", range(3))
def test_a_week_in_which_guard_dies_at_every_third_append_or_so_is_told_whole(tmp_path, seed, before):
    chance = random.Random(seed)
    fate = Fate(lambda _count, name: name == "append" and chance.random() < 1 / 3, before=before)
    _, wrong = lived(tmp_path, with_trouble(small_world(), nights=7), WEEK, fate)
    assert wrong == []
    assert fate.deaths > 20


def alarms_in(stories):
    return {(key, event.code) for key, events in stories.items() for event in events if isinstance(event, Alarmed)}


def test_an_alarm_is_told_even_if_guard_dies_right_after_writing_it(tmp_path):
    live = small_world()
    silent = next(one for one in live.world.schedules.values() if one["name"] == "nightly")
    happens(live, EVENING + timedelta(minutes=5), lambda: live.scheduler.disarm(silent["id"]))
    overdue = EVENING.replace(hour=2, minute=1, second=5) + timedelta(days=1)
    fate = Fate(lambda _count, name: name == "append" and live.now() >= overdue and not fate.deaths, before=False)
    guarded = Killable(live, tmp_path / "ledger.sqlite", fate, downtimes=(timedelta(seconds=2),))
    guarded.live_through(overdue + A_WHILE)
    stories = guarded.stories()
    guarded.close()
    assert (fate.deaths, len(alarms_in(stories))) == (1, 1)
    assert set(guarded.ear.alarms) == alarms_in(stories)


# --- real processes

KILLS = 30
PATIENCE = 30.0


class Process:
    """night_guard.py, asked and told."""

    def __init__(self, url, path, policy=None):
        line = [sys.executable, str(Path(__file__).with_name("night_guard.py")), url, str(path)]
        line += [] if policy is None else [str(policy)]
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        self.popen = subprocess.Popen(line, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def tell(self, now):
        self.popen.stdin.write(f"{now.isoformat()}\n".encode())

    def answer(self, within):
        """What it says within so many seconds, None if nothing."""
        ready, _, _ = select.select([self.popen.stdout], [], [], within)
        line = self.popen.stdout.readline() if ready else b""
        return datetime.fromisoformat(line.decode().strip()) if line else None

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.end()

    def end(self):
        self.popen.stdin.close()
        code = self.popen.wait(PATIENCE)
        self.popen.stdout.close()
        return code


class RealNight:
    """A served world and the processes that watch it, one after the other, on one ledger."""

    def __init__(self, url, live, path, seed, *, policy=None, longest_s=0.03, away_s=(1, 5, 30, 200)):
        self.url, self.live, self.path, self.policy = url, live, path, policy
        self.longest_s, self.away_s = longest_s, away_s
        self.random = random.Random(seed)
        self.kills = self.kills_in_a_look = self.looks = 0

    def live_through(self, until, kills):
        process = Process(self.url, self.path, self.policy)
        looks_left = self.looks_to_live()
        try:
            while self.live.now() < until:
                is_last = looks_left <= 0 and self.kills < kills
                process.tell(self.live.now())
                wake = process.answer(self.random.uniform(0.0, self.longest_s) if is_last else PATIENCE)
                self.looks += 1
                looks_left -= 1
                if is_last:
                    self.kills += 1
                    self.kills_in_a_look += wake is None
                    process.kill()
                    self.live.advance(timedelta(seconds=self.random.choice(self.away_s)))
                    process, looks_left = Process(self.url, self.path, self.policy), self.looks_to_live()
                    continue
                assert wake is not None, "guard does not answer"
                self.live.advance(min(until, max(wake, self.live.now() + timedelta(seconds=1))))
        except BaseException:
            process.kill()
            raise
        assert process.end() == 0

    def looks_to_live(self):
        return self.random.randint(0, 2)


def test_thirty_real_kills_in_two_nights_lose_and_double_nothing(tmp_path, capsys):
    live = small_world()
    happens(live, EVENING.replace(hour=1, minute=40) + timedelta(days=1), live.restart_xo)
    diary, path = Diary(live), tmp_path / "ledger.sqlite"
    with running(live.world) as url:
        night = RealNight(url, live, path, seed=3)
        night.live_through(EVENING + timedelta(days=1) + NIGHT, KILLS)
    with read_ledger(path, xo=url, clock=live.now) as ledger:
        stories = dict(finished(ledger.between(*EVER)))
    wrong = violations(live.world, diary, stories, first=EVENING, last=live.now(), numbers=sequence_numbers(path))
    assert wrong == []
    assert (night.kills, live.world.writes) == (KILLS, [])
    assert all(isinstance(events[-1], Ended) for events in stories.values())
    assert any(isinstance(event, Decided) for events in stories.values() for event in events)
    with capsys.disabled():
        print(f"\nkills: {night.kills} real ones, {night.kills_in_a_look} in the middle of a look, {night.looks} looks")


# --- real processes that act

KILLS_A_NIGHT, NIGHTS = 26, 4


class Judged:
    """What the invariants ask of a guard."""

    downtimes = (timedelta(),)

    def __init__(self, path, url, clock):
        self.path, self.url, self.clock = path, url, clock

    def stories(self):
        with read_ledger(self.path, xo=self.url, clock=self.clock) as ledger:
            return dict(finished(ledger.between(*EVER)))


def acting_night(folder, seed):
    """One night of real kills; what is broken, and how many there were."""
    live, path, policy = acting.acting_world(seed), folder / f"{seed}.sqlite", folder / "guard.toml"
    with running(live.world) as url:
        policy.write_text(acting.POLICY_TEXT.replace(URL, url))
        known = {one["id"]: f"{one['cron']}|utc" for one in live.world.schedules.values()}
        with opened(path, xo=url, clock=live.now) as ledger:
            finished(ledger.remember(CONFIRMED, msgspec.json.encode(known)))
            finished(ledger.mark(dict.fromkeys(known, live.now())))
        night = RealNight(url, live, path, seed, policy=policy, longest_s=0.5, away_s=(0, 1, 1, 2, 5, 20))
        night.live_through(acting.END, KILLS_A_NIGHT)
    return acting.broken(Judged(path, url, live.now), live), night


def test_a_hundred_real_kills_of_a_guard_that_acts_lose_and_double_nothing(tmp_path, capsys):
    nights = [acting_night(tmp_path, seed) for seed in range(NIGHTS)]
    assert [wrong for wrong, _ in nights] == [[]] * NIGHTS
    kills, inside = sum(one.kills for _, one in nights), sum(one.kills_in_a_look for _, one in nights)
    assert kills == KILLS_A_NIGHT * NIGHTS
    with capsys.disabled():
        print(f"\nkills: {kills} real ones of a guard that acts, {inside} in the middle of a look")
