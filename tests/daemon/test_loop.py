"""The daemon's loop in driven time: looks, signals, reload, a ledger that fails, channels that hang."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest
from guard.daemon.loop import LAST_WORDS_S, LET_GO_S, LONGEST_LOOK_S, SHORTEST_SLEEP_S, Flags, run, status_line
from guard.errors import LedgerError, PolicyError
from guard.lifecycle.loop import Loop, Progress
from tests.builders import DUE
from tests.lifecycle.stories import after
from tests.virtual_time import run as finished

IDLE = Loop(at=DUE, next_due=after(3600))
BLIND = Loop(at=DUE, xo_error="No XO answers", unread_since=after(-60))
STOPS = "stops; guard holds nothing in XO"
SAID = "nothing runs; next due Wed 25 Nov 01:00 UTC"


class Ear:
    """A systemd that writes down what it is told."""

    def __init__(self, told):
        self._told = told

    def ready(self, status):
        self._told.append(("ready", status))

    def reloading(self):
        self._told.append(("reloading",))

    def stopping(self):
        self._told.append(("stopping",))

    def alive(self, status):
        self._told.append(("alive", status))


class Scene:
    """The loop with scripted looks: each a Loop, an error to raise, or seconds that it takes. Ends with the last one."""

    def __init__(self, *looks):
        self.looks, self.told, self.logged, self.at, self.reloads = list(looks), [], [], [], []
        self.flags = Flags()
        self.sent, self.send_takes, self.bad_policy = [], 0.0, None
        self.claims, self.let_go_at = 0, []  # how many more times something stands when it lets go; an error to raise

    def now(self):
        return asyncio.get_running_loop().time()

    async def tick(self):
        self.at.append(self.now())
        look = self.looks.pop(0)
        if not self.looks:
            self.flags.ask_stop()
        if callable(look):
            look = look()
        if isinstance(look, Exception):
            raise look
        if isinstance(look, float):
            await asyncio.sleep(look)
            return IDLE
        return look

    async def let_go(self):
        self.let_go_at.append(self.now())
        if isinstance(self.claims, Exception):
            raise self.claims
        self.claims -= 1
        return self.claims >= 0

    async def send(self):
        self.sent.append(self.now())
        await asyncio.sleep(self.send_takes)
        self.sent.append("done")

    def reload(self):
        self.reloads.append(self.now())
        if self.bad_policy is not None:
            raise self.bad_policy

    async def _run(self):
        await run(
            self,
            self.flags,
            Ear(self.told),
            send_news=self.send,
            reload=self.reload,
            log=self.logged.append,
            look_every_s=30.0,
            clock=lambda: after(self.now()),
        )
        return self.now()

    def play(self):
        return finished(self._run())


def test_it_looks_every_half_minute_tells_systemd_and_sends_what_waits():
    scene = Scene(IDLE, IDLE, IDLE)
    assert scene.play() == 60
    assert scene.at == [0, 30, 60]
    assert scene.told == [("ready", SAID), *[("alive", SAID)] * 3, ("stopping",)]
    assert scene.sent == [0, "done", 30, "done", 60, 60, "done", "done"]
    assert scene.logged == [STOPS]


@pytest.mark.parametrize(
    ("wake", "at"),
    [(after(12.5), 12.5), (after(90), 30), (after(-60), SHORTEST_SLEEP_S), (DUE, SHORTEST_SLEEP_S), (None, 30)],
    ids=["sooner", "later", "long past", "just now", "never"],
)
def test_it_wakes_at_the_very_second_the_last_look_asked_for_and_never_later_than_half_a_minute(wake, at):
    scene = Scene(Loop(at=DUE, wake=wake), IDLE)
    scene.play()
    assert scene.at[1] == at


def test_a_failed_look_is_tried_again_after_half_a_minute_whatever_the_one_before_asked_for():
    scene = Scene(Loop(at=DUE, wake=after(1)), LedgerError("the disk is full"), IDLE)
    scene.play()
    assert scene.at == [0, 1, 31]


def test_a_stop_gives_back_what_is_claimed_before_it_ends():
    scene = Scene(IDLE)
    scene.claims = 3
    assert scene.play() == 3
    assert scene.let_go_at == [0, 1, 2, 3]
    assert scene.sent == [0, "done", 3, "done"]
    assert (scene.told[-1], scene.logged) == (("stopping",), [STOPS])


def test_a_stop_with_nothing_claimed_takes_no_time():
    scene = Scene(IDLE)
    assert (scene.play(), scene.let_go_at) == (0, [0])


def test_a_stop_does_not_wait_for_ever_for_a_claim_and_tells_where_to_look():
    scene = Scene(IDLE)
    scene.claims = 10**6
    assert scene.play() == LET_GO_S
    (said,) = scene.logged
    assert "guard release --dry-run" in said


def test_a_stop_whose_ledger_fails_ends_all_the_same_and_says_so():
    scene = Scene(IDLE)
    scene.claims = LedgerError("the disk is full")
    assert scene.play() == 0
    assert scene.logged == ["warning: stops, and whether all schedules were given back is not known: the disk is full"]


def test_what_goes_wrong_is_logged_once_and_so_is_its_end():
    scene = Scene(IDLE, BLIND, BLIND, IDLE, IDLE)
    scene.play()
    assert scene.logged == ["warning: No XO answers", "XO can be read, and the ledger be written", STOPS]


def test_a_ledger_that_cannot_be_written_is_tried_again_at_the_next_look():
    scene = Scene(LedgerError("the disk is full"), LedgerError("the disk is full"), IDLE)
    scene.play()
    assert scene.at == [0, 30, 60]
    assert scene.logged == ["warning: the disk is full", "XO can be read, and the ledger be written", STOPS]
    assert ("alive", "the disk is full") in scene.told


def test_any_other_crash_ends_the_daemon_so_that_systemd_starts_it_anew():
    with pytest.raises(ZeroDivisionError):
        Scene(ZeroDivisionError(), IDLE).play()


def test_a_reload_is_told_to_systemd_and_done_before_the_next_look():
    scene = Scene(IDLE, IDLE)
    scene.flags.ask_reload()
    scene.play()
    assert scene.reloads == [0]
    assert scene.told[:3] == [("reloading",), ("ready", ""), ("ready", SAID)]
    assert scene.logged == ["the policy was read anew", STOPS]


def test_a_reload_within_the_wait_is_done_at_once():
    scene = Scene(lambda: scene.later(10, scene.flags.ask_reload), IDLE)
    scene.later = lambda seconds, what: asyncio.get_running_loop().call_later(seconds, what) and IDLE
    scene.play()
    assert (scene.reloads, scene.at) == ([10], [0, 10])


def test_a_bad_policy_stays_out_and_the_looks_go_on():
    scene = Scene(IDLE, IDLE)
    scene.bad_policy = PolicyError("g.toml:3: no such key")
    scene.flags.ask_reload()
    scene.play()
    assert scene.logged == ["warning: the policy stays as it was: g.toml:3: no such key", STOPS]
    assert len(scene.at) == 2


def test_a_long_look_keeps_the_watchdog_quiet_but_not_for_ever():
    scene = Scene(LONGEST_LOOK_S + 3600, IDLE)
    scene.play()
    during = [told for told in scene.told if told == ("alive", "reads XO for the first time")]
    assert len(during) == LONGEST_LOOK_S / 30 - 1
    assert scene.at[1] == LONGEST_LOOK_S + 3600 + 30


def test_a_stop_breaks_off_a_look():
    scene = Scene(lambda: scene.later(45, scene.flags.ask_stop), IDLE)

    def long_look(seconds, what):
        asyncio.get_running_loop().call_later(seconds, what)
        return 3600.0

    scene.later = long_look
    assert scene.play() == 45
    assert (scene.at, scene.told[-1]) == ([0], ("stopping",))


def test_a_stop_before_the_first_look_looks_at_nothing():
    scene = Scene(IDLE)
    scene.flags.ask_stop()
    assert scene.play() == 0
    assert (scene.at, scene.told) == ([], [("stopping",)])


def test_a_channel_that_hangs_delays_no_look():
    scene = Scene(IDLE, IDLE, IDLE, IDLE)
    scene.send_takes = 70.0
    scene.play()
    assert scene.at == [0, 30, 60, 90]
    assert scene.sent.count("done") == 1


@pytest.mark.parametrize(("takes", "waited", "done"), [(2.0, 2.0, True), (60.0, LAST_WORDS_S, False)])
def test_the_last_messages_have_a_moment_to_go_out_when_it_stops(takes, waited, done):
    scene = Scene(IDLE)
    scene.send_takes = takes
    assert scene.play() == waited
    assert ("done" in scene.sent) is done


def test_a_crash_while_sending_is_not_swallowed():
    scene = Scene(IDLE, IDLE, IDLE)

    async def crash():
        raise ZeroDivisionError

    scene.send = crash
    with pytest.raises(ZeroDivisionError):
        scene.play()
    assert scene.at == [0, 30]


def test_signals_raise_flags_only():
    async def raise_them():
        flags = Flags()
        flags.install(asyncio.get_running_loop())
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            await flags.wait(5)
            looked = flags.stop, flags.reload
            os.kill(os.getpid(), signal.SIGHUP)
            await flags.wait(5)
            reloaded = flags.stop, flags.reload
            os.kill(os.getpid(), signal.SIGTERM)
            await flags.wait(5)
            await flags.wait_for_stop()
            return looked, reloaded, flags.stop
        finally:
            for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().remove_signal_handler(number)

    assert asyncio.run(raise_them()) == ((False, False), (False, True), True)


def test_a_flag_ends_one_wait_and_not_the_next():
    async def wait_twice():
        flags, now = Flags(), asyncio.get_running_loop().time
        flags.ask_look()
        await flags.wait(30)
        first = now()
        await flags.wait(30)
        return first, now()

    assert finished(wait_twice()) == (0, 30)


RUNNING = Progress(schedule="s", job_name="nightly", run="1", began=DUE, vms=3, vms_done=1, sent_bytes=5)
EMPTY = msgspec.structs.replace(RUNNING, vms=0, vms_done=0)


@pytest.mark.parametrize(
    ("loop", "line"),
    [
        (IDLE, SAID),
        (msgspec.structs.replace(IDLE, next_due_of="web / often"), f"{SAID}, web / often"),
        (Loop(at=DUE, running=(EMPTY,)), "nightly (no VM in its log yet); nothing is due within two days"),
        (Loop(at=DUE), "nothing runs; nothing is due within two days"),
        (Loop(at=DUE, running=(RUNNING, RUNNING)), "nightly (1 of 3 VMs), nightly (1 of 3 VMs); nothing is due within two days"),
        (BLIND, "XO cannot be read since Tue 24 Nov 23:59 UTC: No XO answers"),
        (Loop(at=DUE, xo_error="No XO answers"), "XO cannot be read: No XO answers"),
    ],
)  # fmt: skip
def test_the_status_line_tells_what_goes_on(loop, line):
    assert status_line(loop) == line
