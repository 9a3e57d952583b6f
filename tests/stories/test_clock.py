"""Clocks that step and machines that sleep, in the middle of a night: nothing is told twice, nothing is lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.lifecycle.events import End
from tests.stories.driven import Guarded
from tests.stories.small_world import EVENING, happens, schedule, small_world

MORNING = EVENING + timedelta(hours=14)


def tonight(hour, minute=0, second=20):
    return EVENING.replace(hour=hour, minute=minute, second=second) + timedelta(days=1)


def minutes(count):
    return timedelta(minutes=count)


@pytest.fixture
def night(tmp_path):
    made = Guarded(small_world(), tmp_path / "ledger.sqlite")
    yield made
    made.close()


def live_through(night, *steps):
    """``steps``: from when on guard's clock is how far ahead."""
    for when, shift in steps:
        night.run(when)
        night.shift = shift
    night.run(MORNING)
    return night.violations(clock_is_right=False)


def ends(night):
    """How many due times ended how; each only once, as the invariants say."""
    told = night.stories().values()
    return {end.value: sum(1 for events in told if events[-1].end is end) for end in (End.OBSERVED, End.MISSED)}


ALL_OBSERVED = {"observed": 7, "missed": 0}


def test_a_night_with_a_good_clock_is_whole(night):
    assert live_through(night) == []
    assert ends(night) == ALL_OBSERVED


@pytest.mark.parametrize("put_right", [tonight(2, 5), tonight(4, 30)], ids=["soon", "hours later"])
@pytest.mark.parametrize("stepped", [tonight(1, 29), tonight(1, 30, 30), tonight(2, 0, 2), tonight(3, 1)])
def test_a_clock_that_steps_back_half_an_hour_and_is_put_right_again(night, stepped, put_right):
    steps = [(stepped, minutes(-30)), (max(put_right, stepped + minutes(10)), minutes(0))]
    assert live_through(night, *steps) == []
    assert ends(night) == ALL_OBSERVED


@pytest.mark.parametrize("stepped", [tonight(0, 30), tonight(1, 45), tonight(2, 0, 2), tonight(4, 0, 1)])
def test_a_clock_that_was_three_hours_behind_and_is_put_right(night, stepped):
    night.shift = minutes(-180)
    night.close()
    night.start()
    assert live_through(night, (stepped, minutes(0))) == []
    assert ends(night) == ALL_OBSERVED


@pytest.mark.parametrize("stepped", [tonight(0, 30), tonight(1, 45), tonight(2, 0, 2)])
def test_a_clock_that_leaps_three_hours_ahead_and_is_put_right_makes_nothing_missed(night, stepped):
    """What comes due by the wrong clock waits until XO's own says so."""
    assert live_through(night, (stepped, minutes(180)), (stepped + minutes(10), minutes(0))) == []


@pytest.mark.parametrize("ahead", [-180, -1, 1, 180])
def test_how_far_guards_clock_is_ahead_of_xos_is_told(night, ahead):
    night.shift = minutes(ahead)
    night.run(EVENING + minutes(10))
    assert night.ear.ahead == minutes(ahead)


def test_half_an_hour_back_then_three_hours_ahead_then_right_tells_every_run(night):
    steps = [(tonight(1, 45), minutes(-30)), (tonight(2, 20), minutes(150)), (tonight(2, 30), minutes(0))]
    wrong = live_through(night, *steps)
    assert [
        one for one in wrong if "in no story" in one or "stories" in one or "once" in one or "not ended" in one
    ] == []


@pytest.mark.parametrize("asleep", [tonight(1, 29), tonight(1, 30, 50), tonight(1, 59), tonight(4, 0, 30)])
def test_a_machine_that_sleeps_for_five_hours_tells_all_that_happened_meanwhile(night, asleep):
    night.run(asleep)
    night.live.advance(timedelta(hours=5))
    night.run(MORNING)
    assert night.violations() == []
    assert ends(night) == ALL_OBSERVED


def test_a_machine_that_sleeps_through_a_run_by_hand_and_a_restart_of_xo_tells_both(night):
    live = night.live
    happens(live, tonight(2, 10), live.restart_xo)
    happens(live, tonight(2, 40), lambda: live.jobs.run_schedule(schedule(live, "nightly"), "rpc"))
    night.run(tonight(1, 0))
    live.advance(timedelta(hours=5))
    night.run(MORNING)
    assert night.violations() == []
    assert ends(night) == {"observed": 8, "missed": 0}
