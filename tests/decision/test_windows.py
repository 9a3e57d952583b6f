"""When the policy lets a schedule start: allow and deny, stretches, both nights of a clock change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.decision.windows import opening, outside_window
from guard.finding import ClearedBy, Harm, Level
from guard.policy.schema import WindowRule
from tests.builders import DUE, make_estate, make_schedule, make_view

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
PARIS = "Europe/Paris"


def window(cron="0 22 * * *", hours=8.0, *, zone="utc", kind="allow", **more):
    return WindowRule(cron=cron, duration=timedelta(hours=hours), zone=zone, kind=kind, **more)


def deny(cron, hours, **more):
    return window(cron, hours, kind="deny", **more)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def told(windows, text):
    """(open, next opening, its end), each as day and time."""
    found = opening(windows, at(text))
    return (found.is_open, *(None if one is None else f"{one:%d %H:%M}" for one in (found.opens, found.closes)))


def test_without_windows_everything_is_allowed_for_ever():
    assert told([], "2026-11-25T00:00") == (True, "25 00:00", None)
    assert opening([], DUE).latest_start(3600) is None


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-24T21:59", (False, "24 22:00", "25 06:00")),
        ("2026-11-24T22:00", (True, "24 22:00", "25 06:00")),
        ("2026-11-25T05:59", (True, "25 05:59", "25 06:00")),
        ("2026-11-25T06:00", (False, "25 22:00", "26 06:00")),
    ],
)
def test_a_window_opens_at_its_first_moment_and_its_end_is_outside(time, expected):
    assert told([window()], time) == expected


def test_seconds_inside_a_minute_change_nothing():
    assert opening([window()], at("2026-11-24T22:00") + timedelta(seconds=30)).is_open
    assert not opening([window()], at("2026-11-25T06:00") + timedelta(seconds=30)).is_open
    assert not opening([window()], at("2026-11-24T22:00") - timedelta(microseconds=1)).is_open


def test_windows_that_touch_or_overlap_are_one_stretch():
    both = [window("0 22 * * *", 2), window("0 0 * * *", 3), window("0 2 * * *", 2)]
    assert told(both, "2026-11-24T22:30") == (True, "24 22:30", "25 04:00")
    assert told(both, "2026-11-24T12:00") == (False, "24 22:00", "25 04:00")


def test_a_window_longer_than_the_time_between_its_openings_goes_on():
    assert told([window("0 22 * * 5,6", 30)], "2026-11-28T01:00") == (True, "28 01:00", "30 04:00")


def test_windows_without_a_gap_never_close():
    assert told([window("* * * * *", 1 / 60)], "2026-11-25T00:00") == (True, "25 00:00", None)
    assert told([window("* 8-17 * * *", 1 / 60)], "2026-11-25T08:00") == (True, "25 08:00", "25 18:00")


def test_a_deny_window_wins_over_an_allow_window_and_cuts_it_short():
    both = [window(), deny("0 1 * * *", 2)]
    assert told(both, "2026-11-24T23:00") == (True, "24 23:00", "25 01:00")
    assert told(both, "2026-11-25T01:00") == (False, "25 03:00", "25 06:00")
    assert told(both, "2026-11-25T03:00") == (True, "25 03:00", "25 06:00")
    assert told([window(), deny("0 5 * * *", 4)], "2026-11-25T05:00") == (False, "25 22:00", "26 05:00")


def test_a_deny_window_alone_leaves_the_rest_open():
    assert told([deny("0 8 * * *", 10)], "2026-11-24T07:00") == (True, "24 07:00", "24 08:00")
    assert told([deny("0 8 * * *", 10)], "2026-11-24T09:00") == (False, "24 18:00", "25 08:00")


def test_windows_that_never_leave_room_never_open():
    for shut in (deny("0 0 * * *", 24), deny("0 21 * * *", 3)):
        found = opening([window("0 22 * * *", 1), shut], DUE)
        assert (found.is_open, found.opens, found.closes, found.latest_start(60)) == (False, None, None, None)


def test_a_window_is_read_in_its_zone_and_without_one_in_utc():
    assert told([window(zone=PARIS)], "2026-11-24T21:00") == (True, "24 21:00", "25 05:00")
    assert told([window(zone=None)], "2026-11-24T21:00")[0] is False


# The nights on which the clocks change: 28 March 2027 at 01:00 UTC forward, 31 October 2027 at 01:00 UTC back


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2027-03-27T20:59", (False, "27 21:00", "28 05:00")),
        ("2027-03-28T04:59", (True, "28 04:59", "28 05:00")),
        ("2027-03-28T05:00", (False, "28 20:00", "29 04:00")),
        ("2027-10-30T19:59", (False, "30 20:00", "31 04:00")),
        ("2027-10-31T03:59", (True, "31 03:59", "31 04:00")),
        ("2027-10-31T04:00", (False, "31 21:00", "01 05:00")),
    ],
)
def test_a_window_over_a_clock_change_opens_by_the_wall_and_lasts_in_real_time(time, expected):
    assert told([window("0 22 * * *", 8, zone=PARIS)], time) == expected


def test_a_time_that_the_clocks_skip_opens_once_after_the_gap():
    half_past = [window("30 2 * * *", 1, zone=PARIS)]
    assert told(half_past, "2027-03-28T00:59") == (False, "28 01:00", "28 02:00")
    assert told(half_past, "2027-03-28T01:00") == (True, "28 01:00", "28 02:00")
    assert told(half_past, "2027-03-28T02:00") == (False, "29 00:30", "29 01:30")


def test_a_time_that_comes_twice_opens_both_times():
    half_past = [window("30 2 * * *", 0.5, zone=PARIS)]
    assert told(half_past, "2027-10-31T00:29") == (False, "31 00:30", "31 01:00")
    assert told(half_past, "2027-10-31T01:00") == (False, "31 01:30", "31 02:00")
    assert told(half_past, "2027-10-31T01:59") == (True, "31 01:59", "31 02:00")
    assert told(half_past, "2027-10-31T02:00") == (False, "01 01:30", "01 02:00")


# The latest start


@pytest.mark.parametrize(
    ("time", "seconds", "latest"),
    [
        ("2026-11-24T23:00", 3600, "25 05:00"),
        ("2026-11-24T23:00", None, "25 06:00"),
        ("2026-11-24T20:00", 3600, "25 05:00"),
        ("2026-11-25T05:30", 3600, "25 05:30"),
        ("2026-11-24T20:00", 9 * 3600, "24 22:00"),
    ],
)
def test_the_latest_start_is_the_end_less_the_usual_duration_but_no_earlier_than_it_may(time, seconds, latest):
    assert f"{opening([window()], at(time)).latest_start(seconds):%d %H:%M}" == latest


# The finding


def run(**xo):
    return make_view(make_estate(schedules=[make_schedule(**xo)])).run


def test_inside_its_window_a_run_has_nothing_to_say():
    assert outside_window([], run(), DUE) is None
    assert outside_window([window()], run(), DUE) is None


def test_outside_it_is_told_which_windows_are_meant_and_when_the_next_opens():
    windows = [window("0 4 * * *", 1, name="early"), window("0 5 * * *", 1), deny("0 12 * * *", 1)]
    found = outside_window(windows, run(timezone=PARIS), DUE)
    assert (found.code, found.check, found.level, found.harm) == (
        "OUTSIDE_WINDOW",
        "policy",
        Level.BLOCK,
        Harm.PRODUCTION,
    )
    assert (found.holds, found.clears.by, found.clears.eta) == ((), ClearedBy.TIME, DUE + 4 * HOUR)
    assert found.summary == (
        'Wed 25 Nov 01:00 CET is outside the allowed window "early", "0 5 * * *"; '
        "starting is allowed from Wed 25 Nov 05:00 CET."
    )


def test_inside_a_deny_window_that_one_is_named():
    found = outside_window([window(), deny("30 23 * * *", 1, name="patches")], run(), DUE)
    assert 'inside the deny window "patches"' in found.summary
    assert found.clears.eta == DUE + 30 * MINUTE


def test_a_window_that_never_opens_is_told_without_a_time():
    found = outside_window([deny("0 0 * * *", 24)], run(), DUE)
    assert (found.clears.eta, found.summary.endswith("no time at which it may start is in sight.")) == (None, True)


def test_a_window_of_ten_years_every_night_is_one_without_an_end_in_sight():
    found = opening([window("0 22 * * *", 3650 * 24)], DUE)
    assert (found.is_open, found.closes) == (True, None)
