"""Zones by the names XO knows, their offsets minute by minute, and a wall clock that moves as moment's does."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

import pytest
from guard.mechanics.zones import DAY, HOUR, Change, Offsets, WallClock, next_showing, offsets_of, resolve, wall_date

BLOCK = 2**19  # minutes; offsets are looked up in blocks of this length


def minute(*moment):
    return int(datetime(*moment, tzinfo=UTC).timestamp()) // 60


SPRING = minute(2027, 3, 28, 1)  # Paris goes from +60 to +120
AUTUMN = minute(2027, 10, 31, 1)


@pytest.mark.parametrize("name", ["Europe/Paris", "europe/paris", "EUROPE/PARIS", "Europe_Paris"])
def test_a_zone_is_found_whatever_its_case_and_with_an_underscore_for_the_slash(name):
    assert str(resolve(name)) == "Europe/Paris"


@pytest.mark.parametrize("name", ["utc", "UTC", "Utc"])
def test_utc_is_found_in_any_case(name):
    assert resolve(name) is UTC


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "local", "localtime", "Factory", "Europe/Paris "])
def test_what_xo_does_not_know_is_no_zone(name):
    assert resolve(name) is None


def test_an_unknown_zone_has_the_offsets_of_utc():
    found = offsets_of("Mars/Olympus")
    assert (found.at(SPRING), list(found.changes(0, AUTUMN))) == (0, [])


def test_local_is_refused_because_only_the_caller_can_know_it():
    with pytest.raises(ValueError, match='put its name in place of "local"'):
        offsets_of("local")


def test_an_offset_changes_with_the_minute_of_the_change():
    paris = offsets_of("Europe/Paris")
    assert [paris.at(SPRING + step) for step in (-1, 0, 1)] == [60, 120, 120]
    assert [paris.at(AUTUMN + step) for step in (-1, 0, 1)] == [120, 60, 60]
    assert offsets_of("Asia/Kathmandu").at(SPRING) == 345
    assert offsets_of("America/New_York").at(SPRING) == -240


def test_the_changes_of_a_year_are_told_in_order_with_their_jump():
    year = list(offsets_of("Europe/Paris").changes(minute(2027, 1, 1), minute(2028, 1, 1)))
    assert year == [Change(SPRING, 60, 120), Change(AUTUMN, 120, 60)]
    assert [one.jump for one in year] == [60, -60]
    (half, _) = offsets_of("Australia/Lord_Howe").changes(minute(2027, 4, 1), minute(2027, 12, 1))
    assert half.jump == -30


@pytest.mark.parametrize(
    ("after", "until", "count"), [(SPRING - 1, SPRING, 1), (SPRING, SPRING + DAY, 0), (SPRING - DAY, SPRING - 1, 0)]
)
def test_a_change_belongs_to_the_stretch_that_ends_with_it_not_to_the_one_that_begins_with_it(after, until, count):
    assert len(list(offsets_of("Europe/Paris").changes(after, until))) == count


def test_a_year_without_changes_yields_none():
    assert list(offsets_of("Asia/Tokyo").changes(minute(2026, 1, 1), minute(2029, 1, 1))) == []


class OneChange(tzinfo):
    """UTC, and one hour ahead of it from a minute on."""

    def __init__(self, since):
        self.since = datetime(1970, 1, 1) + timedelta(minutes=since)  # noqa: DTZ001  a zone is asked with naive times

    def fromutc(self, moment):
        return moment + timedelta(hours=int(moment.replace(tzinfo=None) >= self.since))

    def utcoffset(self, moment):
        return timedelta(hours=int(moment.replace(tzinfo=None) >= self.since + timedelta(hours=1)))


@pytest.mark.parametrize(
    "since",
    [BLOCK * 56 - 1, BLOCK * 56, BLOCK * 56 + 1, BLOCK * 56 + DAY - 1, BLOCK * 56 + DAY, BLOCK * 56 + 1234],
)
def test_a_change_is_found_to_the_minute_wherever_it_falls_between_two_blocks(since):
    offsets = Offsets(OneChange(since))
    assert [offsets.at(since + step) for step in (-1, 0)] == [0, 60]
    assert list(offsets.changes(since - 2 * BLOCK, since + 2 * BLOCK)) == [Change(since, 0, 60)]


# --- the wall clock


def clock(*moment, zone="Europe/Paris"):
    return WallClock(offsets_of(zone).at, minute(*moment))


def shown(at):
    return (wall_date(at.wall).isoformat(), at.wall // HOUR % 24, at.wall % HOUR)


def test_a_wall_clock_shows_the_fields_xo_looks_at():
    at = clock(2026, 11, 29, 23, 30)  # Monday 30 November 2026, 00:30 in Paris
    assert (at.minute, at.hour, at.day, at.month, at.weekday) == (30, 0, 30, 10, 1)
    assert at.instant == minute(2026, 11, 29, 23, 30)
    assert wall_date(at.wall) == date(2026, 11, 30)
    assert clock(2026, 11, 28, 23).weekday == 0  # Sunday


def test_a_minute_is_set_on_the_same_instant_so_that_a_missing_wall_time_is_left():
    at = clock(2027, 3, 27, 1)  # 02:00 in Paris, the day before the change
    at.add_day()
    assert shown(at) == ("2027-03-28", 2, 0)  # a wall time that does not exist
    at.set_minute(30)
    assert shown(at) == ("2027-03-28", 1, 30)  # an hour early: that is where XO's early starts come from


def test_an_hour_is_added_to_the_instant_and_a_day_to_the_wall_time():
    hour, day = clock(2027, 3, 28, 0, 30), clock(2027, 3, 27, 2, 30)
    hour.add_hour()
    day.add_day()
    assert (shown(hour), shown(day)) == (("2027-03-28", 3, 30), ("2027-03-28", 3, 30))
    assert hour.instant == day.instant == minute(2027, 3, 28, 1, 30)


def test_a_copy_shows_a_wall_time_that_exists_and_leaves_the_original_alone():
    at = clock(2027, 3, 27, 1)
    at.add_day()
    copied = at.copy()
    assert (copied.instant, shown(copied)) == (at.instant, ("2027-03-28", 1, 0))
    copied.add_week()
    assert shown(at) == ("2027-03-28", 2, 0)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        (lambda at: at.set_hour(5), ("2026-01-31", 5, 20)),
        (lambda at: at.set_weekday(0), ("2026-01-25", 12, 20)),
        (lambda at: at.set_date(1), ("2026-01-01", 12, 20)),
        (lambda at: at.set_month(1), ("2026-02-28", 12, 20)),
        (lambda at: at.add_week(), ("2026-02-07", 12, 20)),
        (lambda at: at.add_month(), ("2026-02-28", 12, 20)),
        (lambda at: at.add_year(), ("2027-01-31", 12, 20)),
    ],
)
def test_setting_and_adding_keep_the_rest_of_the_wall_time(change, after):
    at = clock(2026, 1, 31, 11, 20)  # Saturday, 12:20 in Paris
    change(at)
    assert shown(at) == after


def test_the_31st_of_a_shorter_month_runs_over_but_a_month_ahead_is_its_last_day():
    run_over, leap = clock(2026, 11, 5, 11), clock(2028, 2, 29, 11)
    run_over.set_date(31)
    leap.add_year()
    assert (shown(run_over)[0], shown(leap)[0]) == ("2026-12-01", "2029-02-28")
    december = clock(2026, 12, 31, 11)
    december.add_month()
    assert shown(december)[0] == "2027-01-31"


@pytest.mark.parametrize(
    ("now", "shown", "found"),
    [
        ((2026, 1, 31, 7), time(9), (2026, 1, 31, 8)),  # Paris is an hour ahead
        ((2026, 1, 31, 8), time(9), (2026, 2, 1, 8)),  # it is that time now: the next one
        ((2026, 1, 31, 23, 30), time(0, 15), (2026, 2, 1, 23, 15)),  # past midnight in Paris already
        ((2027, 3, 27, 2), time(2, 30), (2027, 3, 29, 0, 30)),  # on the 28th no clock shows 02:30
        ((2027, 10, 30, 23), time(2, 30), (2027, 10, 31, 0, 30)),  # the 31st shows it twice
        ((2027, 10, 31, 0, 30), time(2, 30), (2027, 10, 31, 1, 30)),
        ((2027, 10, 31, 1, 30), time(2, 30), (2027, 11, 1, 1, 30)),
    ],
)
def test_a_time_of_day_is_the_next_moment_at_which_a_clock_of_the_zone_shows_it(now, shown, found):
    zone = resolve("Europe/Paris")
    assert next_showing(shown, zone, datetime(*now, tzinfo=UTC)) == datetime(*found, tzinfo=UTC)
