"""XO in memory answers as over sockets, and fails as XO does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.errors import XoAuthError, XoBootingError, XoTimeoutError, XoUnreachableError
from guard.simulator.rest import RestApi
from guard.simulator.serve import running
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.reads import id_filters
from guard.xo.token import Token
from tests.stories.in_process import TOKEN, InProcess, asked
from tests.stories.small_world import EVENING, small_world
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
