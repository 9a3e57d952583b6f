"""XO in memory answers as over sockets, and fails as XO does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.errors import (
    XoAnswerError,
    XoAuthError,
    XoBootingError,
    XoNotSentError,
    XoTimeoutError,
    XoUnreachableError,
)
from guard.mechanics.fallback import Fallback, FallbackKind, at_minutes
from guard.simulator.rest import RestApi
from guard.simulator.serve import running
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.reads import id_filters
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.stories.in_process import TOKEN, InProcess, asked
from tests.stories.small_world import EVENING, schedule, small_world
from tests.virtual_time import run as finished


@pytest.fixture
def live():
    made = small_world()
    made.advance(EVENING + timedelta(hours=5, minutes=40))  # one run goes on
    return made


def test_all_three_readings_are_those_over_sockets(live):
    inside = InProcess(live)
    with running(live.world) as url:
        outside = LiveXo(lambda: XoSettings(url=url), lambda: Token(TOKEN), clock=live.now)
        for name, arguments in (("estate", ()), ("setup", ()), ("logs", (EVENING, {"1795478400005"}))):
            theirs, ours = (
                asyncio.run(getattr(outside, name)(*arguments)),
                finished(getattr(inside, name)(*arguments)),
            )
            assert repr(ours) == repr(theirs).replace(url, "http://simulated.example")


def test_logs_by_id_are_those_that_xos_filter_finds(live):
    ids = list(live.world.logs)[:3]
    inside = InProcess(live)
    for text in [*id_filters(ids), *id_filters(["unknown"]), "start:>0", "id:/^1/"]:
        request = asked("/rest/v0/backup-logs", {"fields": "id,status,tasks", "filter": text})
        ours, plain = (finished(rest.handle(request)).body for rest in (inside.rest, RestApi(live.world)))
        assert ours == plain


@pytest.mark.parametrize(("down", "kind"), [("gone", XoUnreachableError), ("hangs", XoTimeoutError)])
def test_an_xo_that_is_down_is_no_answer(live, down, kind):
    live.stop_xo(down)
    for reading in ("estate", "setup"):
        with pytest.raises(kind):
            finished(getattr(InProcess(live), reading)())


def test_an_xo_that_boots_refuses_a_good_token_once(live):
    inside = InProcess(live)
    live.stop_xo()
    live.start_xo()
    with pytest.raises(XoAuthError):
        finished(inside.setup())
    assert len(finished(inside.setup()).schedules) == 7
    assert XoBootingError.party == "XO"


def test_a_planted_outage_meets_every_reading(live):
    inside = InProcess(live)
    inside.outage = XoUnreachableError("the way to XO is cut")
    with pytest.raises(XoUnreachableError, match="is cut"):
        finished(inside.logs(EVENING, ()))
    inside.outage = None
    assert len(finished(inside.logs(EVENING, ()))) == len(live.world.logs)


# --- the write half


DUE = EVENING.replace(hour=2, minute=0, second=0) + timedelta(
    days=2
)  # the night after the one the world has lived through


def fallback(live, minute, kind=FallbackKind.START):
    when = DUE + timedelta(minutes=minute)
    return Fallback(kind=kind, schedule=nightly(live)["id"], due=DUE, cron=at_minutes([when]), instance="0123456789ab")


def nightly(live):
    return schedule(live, "nightly")


def start_nightly(live, inside, known=()):
    return inside.start(nightly(live)["jobId"], "backup", nightly(live)["id"], None, known)


WRITES = {
    "set_enabled": lambda live, inside: inside.set_enabled(nightly(live)["id"], False),
    "put_fallback": lambda live, inside: inside.put_fallback(fallback(live, 5)),
    "drop_fallback": lambda live, inside: inside.drop_fallback(next(iter(live.world.call_jobs))),
    "start": start_nightly,
    "run_sequence": lambda live, inside: inside.run_sequence([nightly(live)["id"]], ()),
}
every_write = pytest.mark.parametrize(("name", "write"), WRITES.items(), ids=WRITES)


def done(live):
    """How often XO was asked for something, and what is left of it."""
    return len(live.world.writes), len(live.world.starts), len(live.world.call_jobs), nightly(live)["enabled"]


def test_the_readings_of_the_write_half_are_those_over_sockets(live):
    inside, job_id = InProcess(live), nightly(live)["jobId"]
    finished(inside.put_fallback(fallback(live, 5)))
    with running(live.world) as url:
        outside = WritingXo(lambda: XoSettings(url=url), lambda: Token(TOKEN), clock=live.now)
        for name, arguments in (
            ("schedule", (nightly(live)["id"],)),
            ("schedule", ("gone",)),
            ("fallbacks", ()),
            ("runs_of", (job_id, EVENING)),
            ("rolling_updates", ()),
        ):
            theirs = asyncio.run(getattr(outside, name)(*arguments))
            assert finished(getattr(inside, name)(*arguments)) == theirs
    assert [one.armed for one in finished(inside.fallbacks())] == [True]
    assert inside.calls["schedule"] == 2


def test_a_claimed_schedule_is_started_and_enabled_by_xo_when_guard_is_gone(live):
    inside = InProcess(live)
    finished(inside.put_fallback(fallback(live, 5)))
    finished(inside.put_fallback(fallback(live, 9, FallbackKind.RELEASE)))
    finished(inside.set_enabled(nightly(live)["id"], False))
    live.advance(DUE + timedelta(minutes=8))
    ours = [one for one in live.world.starts if one.schedule_id == nightly(live)["id"] and one.at >= DUE]
    assert [(one.origin, f"{one.at:%H:%M}") for one in ours] == [("sequence", "02:05")]
    assert nightly(live)["enabled"] is False
    live.advance(DUE + timedelta(minutes=10))
    assert nightly(live)["enabled"] is True
    for one in finished(inside.fallbacks()):
        finished(inside.drop_fallback(one.job_id))
    assert finished(inside.fallbacks()) == ()


def test_a_start_tells_the_run_that_goes_on(live):
    run_id = finished(start_nightly(live, InProcess(live)))
    assert live.world.jobs[nightly(live)["jobId"]]["runId"] == run_id
    live.advance(timedelta(hours=1))
    assert live.world.logs[run_id]["status"] == "success"


def test_a_second_start_tells_its_own_refused_run(live):
    inside = InProcess(live)
    first, second = (finished(start_nightly(live, inside)) for _ in range(2))
    live.advance(timedelta(hours=1))
    assert [live.world.logs[one]["status"] for one in (first, second)] == ["success", "failure"]


def test_a_sequence_tells_its_first_members_run(live):
    first, second = (schedule(live, name)["id"] for name in ("first", "second"))
    run_id = finished(InProcess(live).run_sequence([first, second], ()))
    assert live.world.logs[run_id]["scheduleId"] == first
    assert finished(InProcess(live).run_sequence([first, second], (run_id,))) == ""


def test_what_xo_refuses_is_refused_in_memory_too(live):
    inside = InProcess(live)
    for write in (
        inside.set_enabled("gone", True),
        inside.start("gone", "backup", nightly(live)["id"], None, ()),
        inside.run_sequence(["gone"], ()),
    ):
        with pytest.raises(XoAnswerError, match="no such"):
            finished(write)
    for mistake in (inside.start("job", "backup", "schedule", (), ()), inside.run_sequence([], ())):
        with pytest.raises(ValueError, match="needs a"):
            finished(mistake)


@every_write
@pytest.mark.parametrize("down", ["gone", "hangs", "boots", "outage"])
def test_a_write_to_an_xo_that_is_away_was_not_sent(live, name, write, down):
    inside = InProcess(live)
    if down == "outage":
        inside.outage = XoTimeoutError("the way to XO is slow")
    else:
        live.stop_xo("gone" if down == "boots" else down)
        if down == "boots":
            live.start_xo()
    before = done(live)
    with pytest.raises(XoNotSentError):
        finished(write(live, inside))
    assert done(live) == before
    assert inside.calls[name] == 1


@every_write
@pytest.mark.parametrize(
    ("how", "kind"), [("unsent", XoNotSentError), ("refused", XoAnswerError), ("hang", XoTimeoutError)]
)
def test_a_write_may_be_planned_to_fail_without_being_done(live, name, write, how, kind):
    inside, asked = InProcess(live), []
    inside.lose = lambda one: asked.append(one) or how
    before = done(live)
    with pytest.raises(kind):
        finished(write(live, inside))
    assert done(live) == before
    assert asked == [name]


@every_write
def test_a_write_may_be_planned_to_be_done_and_its_answer_lost(live, name, write):
    inside = InProcess(live)
    inside.lose = lambda one: "lost" if one == name else ""
    before = done(live)
    with pytest.raises(XoTimeoutError):
        finished(write(live, inside))
    assert done(live) != before
