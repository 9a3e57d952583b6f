"""All pools at once: each within its own limits, none at the cost of another, and none that keeps guard from ending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from guard.simulator.xapi import serving_xapi
from guard.xapi import pools as module
from guard.xapi.pools import DaemonThreads, read_pools
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import face_of
from tests.virtual_time import run
from tests.xapi.house import NOW, SHORT, answering, read, settings_of, silent, waits_for

ROOT = Path(__file__).parents[2]


def test_without_an_entry_there_is_nothing_to_read():
    assert read() == ()


def test_a_silent_pool_beside_a_good_one_holds_up_nothing_beyond_its_limit():
    small = small_world()
    face = face_of(small.world)
    with serving_xapi(face) as good, silent() as dead:
        before = time.monotonic()
        silent_one, good_one = read(
            settings_of(dead, name="lyon", **SHORT), settings_of(good), ask_vms=[small.thick["id"]]
        )
        assert time.monotonic() - before < 3
    assert (good_one.label, good_one.answered, set(good_one.vms)) == ("paris", True, {small.thick["id"]})
    assert (silent_one.label, silent_one.answered, silent_one.vms) == ("lyon", False, {})
    assert silent_one.error.startswith("Pool lyon (127.0.0.1) did not finish answering session.login_with_password")


def test_pools_are_asked_at_the_same_time(monkeypatch):
    together = threading.Barrier(3, timeout=10)
    real = module.read_facts

    def meet(session, **more):
        together.wait()  # breaks unless all three are here
        return real(session, **more)

    monkeypatch.setattr(module, "read_facts", meet)
    with serving_xapi(face_of(small_world().world)) as url:
        found = read(*(settings_of(url, name=name) for name in ("a", "b", "c")))
    assert [one.answered for one in found] == [True] * 3


def test_pools_come_back_in_the_order_of_their_entries():
    with answering(b"<html>") as first, silent() as second:
        found = read(settings_of(second, name="b", **SHORT), settings_of(first, name="a"))
    assert [one.label for one in found] == ["b", "a"]
    assert {one.read_at for one in found} == {NOW}
    assert not any(one.answered for one in found)


def test_a_ca_file_that_cannot_be_used_is_a_pool_that_was_not_read(tmp_path):
    face = face_of(small_world().world)
    with serving_xapi(face) as url:
        bad, good = read(settings_of("https://127.0.0.1:1", ca_file=tmp_path / "none"), settings_of(url))
    assert good.answered
    assert bad.error.startswith(f"[[pool]] ca_file {tmp_path / 'none'}: cannot be used")


def test_a_pool_that_guard_cannot_make_sense_of_costs_the_others_nothing(monkeypatch):
    real = module.read_facts

    def odd(session, **more):
        if more["label"] == "odd":
            raise KeyError("a shape nobody thought of")
        return real(session, **more)

    monkeypatch.setattr(module, "read_facts", odd)
    face = face_of(small_world().world)
    with serving_xapi(face) as url:
        bad, good = read(settings_of(url, name="odd"), settings_of(url))
    assert good.answered
    assert bad.error == "Pool odd (127.0.0.1) gave answers that guard cannot read (KeyError)"
    assert face.calls["session.logout"] == 2


def test_a_thread_that_hangs_where_there_is_no_limit_is_waited_for_no_longer(monkeypatch):
    stuck = threading.Event()

    def hang(*_args, **_more):
        stuck.wait(20)
        raise OSError

    monkeypatch.setattr(module, "GRACE_S", 0.05)
    monkeypatch.setattr("socket.create_connection", hang)
    before = time.monotonic()
    (found,) = read(settings_of("https://192.0.2.1", total_timeout_s=0.2))
    assert time.monotonic() - before < 5
    assert found.error == (
        "Pool paris (192.0.2.1) was not read within 0.2 s ([[pool]] total_timeout); looking up its name may hang"
    )
    stuck.set()
    waits_for(lambda: not any(thread.name == "pool paris" for thread in threading.enumerate()))


STUCK = """
import asyncio, socket, threading
from datetime import UTC, datetime
from guard.secret import Secret
from guard.xapi import pools
from guard.xapi.session import PoolSettings

socket.create_connection = lambda *_, **__: threading.Event().wait()
pools.GRACE_S = 0.05
one = PoolSettings(name="p", url="https://192.0.2.1", username="u", password=Secret("x"), total_timeout_s=0.2)
(found,) = asyncio.run(pools.read_pools([one], clock=lambda: datetime.now(UTC)))
print(found.answered, any(thread.name == "pool p" for thread in threading.enumerate()))
"""


def test_a_thread_that_hangs_for_ever_does_not_keep_the_process_from_ending():
    done = subprocess.run(
        [sys.executable, "-c", STUCK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False True\n"


def test_a_reading_that_is_cancelled_ends_at_once():
    async def cancelled() -> None:
        with silent() as url:
            reading = asyncio.ensure_future(read_pools([settings_of(url, **SHORT)], clock=lambda: NOW))
            await asyncio.sleep(0.05)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading

    before = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - before < 2
    waits_for(lambda: not any(thread.name == "pool paris" for thread in threading.enumerate()))


def test_in_driven_time_a_pool_is_read_in_the_loops_own_thread():
    face = face_of(small_world().world)
    with serving_xapi(face) as url:
        (found,) = run(read_pools([settings_of(url)], clock=lambda: NOW))
    assert found.answered


def test_a_thread_hands_on_what_was_raised():
    def fail(number):
        raise ValueError(number)

    with pytest.raises(ValueError, match="7"):
        DaemonThreads("x").submit(fail, 7).result(5)
