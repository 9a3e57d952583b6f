"""Guard is gone, and XO is down in all minutes in which its fallback would enable a claimed schedule."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.cli import clock
from tests.stories.claimed import DUE, Claimed


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Claimed(tmp_path)
    monkeypatch.setattr(clock, "now", made.now)
    with made.serving():
        made.tick()
        assert (made.is_on, len(made.fallbacks)) == (False, 2)
        made.live.advance(DUE - timedelta(seconds=30))
        made.live.stop_xo()
        made.live.advance(DUE + timedelta(minutes=30))
        made.live.start_xo()
        made.live.advance(DUE + timedelta(hours=3))
        yield made


def test_the_schedule_stays_off_and_is_not_started_as_long_as_nobody_comes(place):
    assert (place.is_on, place.world.starts) == (False, [])


def test_guard_release_enables_it_and_leaves_nothing_behind(place):
    code, _, err = place.guard("release", "--all")
    assert (code, err) == (0, "")
    assert (place.is_on, place.fallbacks) == (True, [])


def test_a_guard_that_is_back_enables_it_and_leaves_nothing_behind(place):
    place.tick()
    place.live.advance(timedelta(minutes=1))
    place.tick()
    assert (place.is_on, place.fallbacks) == (True, [])
