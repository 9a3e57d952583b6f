"""A look that takes long, in driven time: the watchdog is told meanwhile, a stop breaks it off, a stuck one is found out."""

from __future__ import annotations

import asyncio

from guard.daemon.loop import LONGEST_LOOK_S, Flags, run
from guard.lifecycle.loop import Loop
from tests.virtual_time import START
from tests.virtual_time import run as in_driven_time

EVERY_S = 30.0


class Slow:
    """A watch whose looks take so many seconds. ``ended``: how they ended."""

    def __init__(self, seconds):
        self.seconds, self.ended = seconds, []

    async def tick(self):
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.ended.append("broken off")
            raise
        self.ended.append("whole")
        return Loop(at=START)

    async def let_go(self):
        return False


class Ear:
    """What systemd hears, and when."""

    def __init__(self):
        self.heard = []

    def __getattr__(self, word):
        return lambda *text: self.heard.append((asyncio.get_running_loop().time(), word, *text))


def serve(watch, stop_after_s):
    """(what systemd heard, seconds until it stopped)."""
    ear = Ear()

    async def nothing():
        pass

    async def go():
        flags = Flags()
        asyncio.get_running_loop().call_later(stop_after_s, flags.ask_stop)
        await run(
            watch,
            flags,
            ear,
            send_news=nothing,
            reload=lambda: None,
            log=lambda text: None,
            look_every_s=EVERY_S,
            clock=lambda: START,
        )
        return asyncio.get_running_loop().time()

    stopped_at = in_driven_time(go())
    return ear.heard, stopped_at


def test_the_watchdog_hears_of_a_long_look_every_half_minute_and_readiness_waits_for_its_end():
    heard, _ = serve(Slow(100), stop_after_s=110)
    first = "reads XO for the first time"
    assert heard[:3] == [(30.0, "alive", first), (60.0, "alive", first), (90.0, "alive", first)]
    assert [(at, word) for at, word, *_ in heard[3:]] == [(100.0, "ready"), (100.0, "alive"), (110.0, "stopping")]


def test_a_stop_breaks_a_look_off_at_once_and_nothing_is_said_of_it():
    watch = Slow(100)
    heard, stopped_at = serve(watch, stop_after_s=12)
    assert (watch.ended, stopped_at, heard) == (["broken off"], 12.0, [(12.0, "stopping")])


def test_a_look_that_never_ends_is_left_to_the_watchdog():
    heard, _ = serve(Slow(10 * LONGEST_LOOK_S), stop_after_s=3 * LONGEST_LOOK_S)
    beats = [at for at, word, *_ in heard if word == "alive"]
    assert beats == [EVERY_S * count for count in range(1, int(LONGEST_LOOK_S / EVERY_S))]
