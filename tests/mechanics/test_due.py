"""Due times on clock-change nights, as a real xo-server was seen to start them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.estate.xo_records import CallJob, Schedule
from guard.mechanics.cron import CronError
from guard.mechanics.due import due_times, is_calm, next_storm, sequence_members, storm_free

SPRING = datetime(2027, 3, 28, tzinfo=UTC)
AUTUMN = datetime(2027, 10, 31, tzinfo=UTC)


def night(cron, day, zone="Europe/Paris"):
    schedule = Schedule(id="s", cron=cron, job_id="j")
    return due_times(schedule, zone=zone, after=day - timedelta(hours=1), until=day + timedelta(hours=2, minutes=30))


def starts(cron, day, zone="Europe/Paris"):
    return [[f"{one:%H:%M}" for one in due.starts] for due in night(cron, day, zone)]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 2 * * *", [["00:00", "01:00"]]),
        ("30 2 * * *", [["00:30", "01:30"]]),
        ("0 3 * * *", [["01:00"]]),
        ("0 1 * * *", [["00:00"]]),
        ("0 1,2 * * *", [["00:00"]]),
        ("0 2,3 * * *", [["00:00"], ["01:00"]]),
        ("*/30 * * * *", [["23:30"], ["00:00"], ["00:30"], ["01:00"], ["01:30"], ["02:00"], ["02:30"]]),
    ],
)
def test_the_spring_night_in_paris(cron, expected):
    found = starts(cron, SPRING)
    assert found == expected
    assert not [due for due in night(cron, SPRING) if due.storm]


@pytest.mark.parametrize(
    ("cron", "first", "last"),
    [
        ("0,30 2 * * *", "00:00", "01:29"),
        ("*/15 2 * * *", "00:00", "01:44"),
        ("15,30 2 * * *", "00:15", "01:29"),
        ("0,30 2,14 * * *", "00:00", "00:29"),
    ],
)
def test_several_times_inside_the_gap_are_a_storm_and_one_due_time(cron, first, last):
    (due,) = night(cron, SPRING)
    assert (f"{due.storm.first:%H:%M}", f"{due.storm.last:%H:%M}") == (first, last)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [("0 2 * * *", [["00:00", "01:00"]]), ("30 2 * * *", [["00:30", "01:30"]]), ("0 3 * * *", [["02:00"]])],
)
def test_the_autumn_night_runs_the_repeated_hour_twice(cron, expected):
    assert starts(cron, AUTUMN) == expected


def test_without_a_zone_there_is_no_odd_night():
    assert starts("0,30 2 * * *", SPRING, "utc") == [["02:00"], ["02:30"]]


def test_a_second_start_is_no_due_time_of_its_own():
    schedule = Schedule(id="s", cron="30 2 * * *")
    between = SPRING + timedelta(hours=1)
    assert due_times(schedule, zone="Europe/Paris", after=between, until=between + timedelta(hours=1)) == ()


def test_a_storm_is_seen_weeks_ahead_and_only_then():
    before = SPRING - timedelta(days=50)
    assert next_storm("0,30 2 * * *", "Europe/Paris", before, SPRING + timedelta(days=1)).first == SPRING
    assert next_storm("0,30 2 * * *", "Europe/Paris", before, SPRING - timedelta(days=1)) is None
    assert next_storm("0 2 * * *", "Europe/Paris", before, SPRING + timedelta(days=1)) is None
    assert next_storm("*/30 * * * *", "Europe/Paris", before, SPRING + timedelta(days=1)) is None
    assert next_storm("0,30 2 * * *", "utc", before, SPRING + timedelta(days=1)) is None


def test_the_safer_expressions_lie_before_and_after_the_gap():
    assert storm_free("0,30 2 * * *", "Europe/Paris", SPRING) == ("0,30 1 * * *", "0,30 3 * * *")
    assert storm_free("0,30 1 * * *", "Europe/London", SPRING) == ("0,30 0 * * *", "0,30 2 * * *")
    assert storm_free("0 * * * *", "Europe/Paris", SPRING) == ()
    assert storm_free("0 2 * * *", "utc", SPRING) == ()


def test_the_members_of_a_sequence_are_in_order():
    vector = {"items": [{"values": [{"schedules": ["b", "a"]}]}]}
    assert sequence_members(CallJob(id="c", method="schedule.runSequence", params_vector=vector)) == ("b", "a")
    assert sequence_members(CallJob(id="c", method="vm.start", params_vector=vector)) == ()
    assert sequence_members(CallJob(id="c", method="schedule.runSequence")) == ()


@pytest.mark.parametrize(
    "cron", ["*/0 * * * *", "0 0 31 1 *", "0 2 * * wed", "0 2 * 12 *", "0 2 * *", "nonsense", "60 * * * *"]
)
def test_what_xo_cannot_run_is_an_error_with_its_position(cron):
    with pytest.raises(CronError, match="position") as caught:
        night(cron, SPRING)
    assert 0 <= caught.value.position <= len(cron)


def test_a_year_in_paris_has_one_due_time_a_day_and_two_of_them_start_twice():
    schedule = Schedule(id="s", cron="30 2 * * *")
    year = due_times(
        schedule, zone="Europe/Paris", after=datetime(2026, 7, 1, tzinfo=UTC), until=datetime(2027, 7, 1, tzinfo=UTC)
    )
    assert len(year) == 365
    assert [f"{due.at:%d %b}" for due in year if len(due.starts) == 2] == ["25 Oct", "28 Mar"]
    assert max(len(due.starts) for due in year) == 2


def test_a_schedule_that_is_due_once_a_year_is_found_across_xos_longest_timer():
    schedule = Schedule(id="s", cron="0 12 1 jan *")
    found = due_times(
        schedule, zone="Europe/Paris", after=SPRING - timedelta(days=1), until=SPRING + timedelta(days=365)
    )
    assert [f"{due.at:%Y-%m-%d %H:%M}" for due in found] == ["2028-01-01 11:00"]


def test_a_storm_that_xos_timer_does_not_reach_is_no_due_time():
    storm = next_storm("30,55 2,4 * * 0", "Europe/Paris", SPRING - timedelta(days=1), SPRING + timedelta(days=1))
    assert (storm.first, storm.reached) == (SPRING + timedelta(minutes=30), False)
    assert not [due for due in night("30,55 2,4 * * 0", SPRING) if due.storm]


def test_another_hour_is_not_offered_beyond_midnight_where_that_would_change_the_day():
    santiago = datetime(2027, 9, 1, tzinfo=UTC)  # there the clocks skip the hour after midnight
    assert storm_free("0,30 0 * * *", "America/Santiago", santiago) == ("0,30 23 * * *", "0,30 1 * * *")
    assert storm_free("0,30 0 * * 0", "America/Santiago", santiago) == ("0,30 1 * * 0",)


def test_an_hour_the_schedule_has_already_is_not_offered_and_none_twice():
    assert storm_free("*/10 2,3 * * *", "Europe/Paris", SPRING) == ("*/10 1,3 * * *", "*/10 3,4 * * *")
    but_one = ",".join(str(hour) for hour in range(24) if hour != 1)
    kept = ",".join(str(hour) for hour in range(24) if hour != 2)
    assert storm_free(f"0,30 {but_one} * * *", "Europe/Paris", SPRING) == (f"0,30 {kept} * * *",)


@pytest.mark.parametrize(
    ("cron", "zone", "calm"),
    [
        ("0 1 * * *", "Europe/Paris", True),
        ("30 2 * * *", "Europe/Paris", False),  # skipped in spring, twice in autumn
        ("0,30 2 * * *", "Europe/Paris", False),  # a storm
        ("30 2 * * *", "utc", True),
        ("30 * * * *", "Europe/Paris", True),
        ("30 2 * * *", "Asia/Tokyo", True),
        ("30 1 * * *", "Europe/London", False),
        ("0 3 * * sun", "Europe/Paris", True),
    ],
)
def test_an_expression_is_calm_when_no_change_of_the_clocks_skips_or_doubles_it(cron, zone, calm):
    assert is_calm(cron, zone, SPRING - timedelta(days=30)) is calm
