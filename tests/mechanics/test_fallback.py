"""XO's fallbacks by name and by minute: what a guard reads back is what it wrote (observed-on-real-xo.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from guard.mechanics.fallback import (
    Fallback,
    FallbackKind,
    at_minutes,
    is_fallback,
    placed_in,
    read_name,
    whole_minute,
)
from tests.builders import DUE, make_schedule, make_sequence

START, RELEASE = FallbackKind.START, FallbackKind.RELEASE


def fallback(kind=START, **changes):
    given = {"schedule": "s-1", "due": DUE, "cron": "5 0 25 10 *", "instance": "0a1b2c"} | changes
    return Fallback(kind=kind, **given)


@pytest.mark.parametrize("kind", [START, RELEASE])
def test_a_name_says_whose_it_is_what_it_does_and_for_which_due_time(kind):
    one = fallback(kind)
    assert one.name == f"guard[0a1b2c]: {kind} s-1 2026-11-25T00:00:00Z"
    assert read_name(one.name) == ("0a1b2c", kind, "s-1", DUE)
    assert is_fallback(make_sequence("s-1", name=one.name))


def test_a_due_time_is_named_in_utc_whatever_zone_it_came_in():
    east = fallback(due=DUE.astimezone(timezone(timedelta(hours=9))))
    assert east.name == fallback().name


def test_a_starting_fallback_runs_the_schedule_and_a_releasing_one_enables_it():
    assert (fallback().method, fallback().params) == ("schedule.runSequence", {"schedules": ["s-1"]})
    released = fallback(RELEASE)
    assert (released.method, released.params) == ("schedule.set", {"id": "s-1", "enabled": True})


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nightly",
        "guard",
        "guard[xyz]: start s 2026-11-25T00:00:00Z",
        "guard[0a]: start s 2026-11-25T00:00:00Z",
        "guard[0a1b]: stop s 2026-11-25T00:00:00Z",
        "guard[0a1b]: start s t 2026-11-25T00:00:00Z",
        "guard[0a1b]: start s 2026-11-25T00:00:00",
        " guard[0a1b]: start s 2026-11-25T00:00:00Z",
        "guard[0a1b]: start s 2026-11-25T00:00:00Z ",
        "guard[0a1b]: start s 2026-11-25T00:00:00Z\n",
        "copy of guard[0a1b]: start s 2026-11-25T00:00:00Z",
    ],
)
def test_a_name_that_is_nearly_one_is_a_persons(name):
    assert read_name(name) is None
    assert not is_fallback(make_sequence("s", name=name))


def test_a_name_with_a_day_that_does_not_exist_tells_nothing():
    assert read_name("guard[0a1b]: start s 2026-02-30T00:00:00Z") is None


def test_the_fallbacks_in_xo_are_found_with_their_schedules():
    jobs = [
        make_sequence("s-1", id_="one", name=fallback().name),
        make_sequence("s-1", id_="two", name=fallback(RELEASE).name),
        make_sequence("s-1", id_="three", name=fallback(instance="ffff").name),
        make_sequence("s-1", id_="own", name="all night"),
    ]
    schedules = [make_schedule("x", job="one", cron="5 0 25 10 *"), make_schedule("y", job="two", enabled=False)]
    found = placed_in(jobs, schedules)
    assert [(one.job_id, one.fallback.kind, one.fallback.cron, one.armed) for one in found] == [
        ("one", START, "5 0 25 10 *", True),
        ("two", RELEASE, "0 0 * * *", False),
        ("three", START, "", False),
    ]
    assert found[0].fallback == fallback()
    assert [one.fallback.instance for one in found] == ["0a1b2c", "0a1b2c", "ffff"]


@pytest.mark.parametrize(
    ("minutes", "cron"),
    [
        ([0], "0 0 25 10 *"),
        ([30, 5, 5], "5,30 0 25 10 *"),
        ([59], "59 0 25 10 *"),
    ],
)
def test_minutes_of_one_hour_become_a_cron_expression_whose_months_count_from_0(minutes, cron):
    assert at_minutes([DUE + timedelta(minutes=one) for one in minutes]) == cron


def test_january_is_month_0_and_the_day_is_that_of_utc():
    east = timezone(timedelta(hours=2))
    assert at_minutes([datetime(2027, 1, 1, 0, 30, tzinfo=UTC)]) == "30 0 1 0 *"
    assert at_minutes([datetime(2027, 1, 1, 0, 30, tzinfo=east)]) == "30 22 31 11 *"


@pytest.mark.parametrize("apart", [timedelta(hours=1), timedelta(days=1), timedelta(minutes=10)])
def test_minutes_of_two_hours_cannot_be_one_expression(apart):
    first = DUE + timedelta(minutes=55)
    with pytest.raises(ValueError, match="lie in one hour"):
        at_minutes([first, first + apart])


def test_a_whole_minute_is_itself_and_any_other_moment_becomes_the_next():
    assert whole_minute(DUE) == DUE
    for later in (timedelta(microseconds=1), timedelta(seconds=59)):
        assert whole_minute(DUE + later) == DUE + timedelta(minutes=1)
